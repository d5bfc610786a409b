"""pull, images, tag, inspect and rmi, by tag and by digest."""

import json
import unittest

import harness


class Images(harness.Case):
    def image(self, name="i:1", text="ENV A=1\n"):
        self.dockerfile("FROM BASE\n" + text)
        return self.build("-t", name).digest

    def test_pull_by_digest(self):
        done = self.imgbuild("pull", self.base)
        self.assertEqual(done.digest, self.base_digest)
        self.assertEqual(
            self.image_names(),
            [(f"{self.registry.address}/base", "<none>")])
        again = self.imgbuild("pull", self.base)
        self.assertIn(f"Status: Image is up to date for {self.base}\n",
                      again.stdout)

    def test_pull_by_tag(self):
        name = f"{self.registry.address}/base:1"
        done = self.imgbuild("pull", name)
        self.assertEqual(done.digest, self.base_digest)
        self.assertIn(f"Status: Downloaded newer image for {name}\n",
                      done.stdout)
        self.assertEqual(self.image_names(),
                         [(f"{self.registry.address}/base", "1")])
        self.assertEqual(self.imgbuild("run", self.base, "echo", "x").stdout,
                         "x\n")

    def test_list_with_digests(self):
        digest = self.image()
        lines = self.imgbuild("images", "--digests").stdout.splitlines()
        self.assertEqual(lines[0].split(), ["REPOSITORY", "TAG", "DIGEST",
                                            "IMAGE", "ID", "CREATED", "SIZE"])
        self.assertIn(["i", "1", digest], [line.split()[:3] for line in lines])

    def test_rmi_by_tag(self):
        digest = self.image()
        image_id = json.loads(self.imgbuild("inspect", "i:1").stdout)[0]["Id"]
        self.assertEqual(self.imgbuild("rmi", "i:1").stdout,
                         f"Untagged: i:1\nUntagged: i@{digest}\n"
                         f"Deleted: {image_id}\n")
        self.assertNotIn(("i", "1"), self.image_names())
        self.imgbuild("inspect", f"i@{digest}", status=1)
        self.assert_usable()

    def test_rmi_by_digest(self):
        self.imgbuild("pull", self.base)
        image_id = json.loads(self.imgbuild("inspect", self.base).stdout)
        self.assertEqual(
            self.imgbuild("rmi", self.base).stdout,
            f"Untagged: {self.base}\nDeleted: {image_id[0]['Id']}\n")
        self.assertEqual(self.image_names(), [])
        self.assert_error(self.imgbuild("rmi", self.base, status=1),
                          "error: no such image: BASE\n")
        self.assert_usable()

    def test_rmi_by_id_prefix(self):
        digest = self.image()
        image_id = json.loads(self.imgbuild("inspect", "i:1").stdout)[0]["Id"]
        self.assertEqual(
            self.imgbuild("rmi", image_id.split(":")[1][:12]).stdout,
            f"Untagged: i:1\nUntagged: i@{digest}\nDeleted: {image_id}\n")

    def test_rmi_goes_on_after_a_missing_one(self):
        self.image()
        done = self.imgbuild("rmi", "nosuch:1", "i:1", status=1)
        self.assertIn("Untagged: i:1\n", done.stdout)
        self.assert_error(done, "error: no such image: nosuch:1\n")

    def test_tag(self):
        digest = self.image()
        self.imgbuild("tag", f"i@{digest}", "other:2")
        self.assertEqual(self.imgbuild("rmi", "i:1").stdout,
                         f"Untagged: i:1\nUntagged: i@{digest}\n")
        self.assertIn(("other", "2"), self.image_names())
        self.imgbuild("run", f"other@{digest}", "true")

    def test_push_keeps_the_digest(self):
        name = f"{self.registry.address}/mine"
        digest = self.image(f"{name}:1")
        self.assertRegex(
            self.imgbuild("push", f"{name}:1").stdout,
            rf"(?m)\A.*\n.*: Preparing\n.*\n1: digest: {digest} size: \d+\n\Z")
        done = self.imgbuild("run", f"{name}@{digest}", "echo", "x",
                             env={"IMGBUILD_ROOT": str(self.dir / "other")})
        self.assertEqual(done.stdout, "x\n")

    def test_name_tag_and_digest(self):
        digest = self.image()
        self.imgbuild("run", f"i:1@{digest}", "true")

    def test_rebuild_after_rmi_is_cached(self):
        digest = self.image(text="RUN echo x > /x\n")
        self.imgbuild("rmi", "i:1")
        again = self.build("-t", "i:1")
        self.assertEqual(again.digest, digest)
        self.assertEqual(harness.cached(again), 1, str(again))

    # --- listing ------------------------------------------------------------

    def images(self, *words):
        return self.imgbuild("images", *words).stdout

    def test_filters(self):
        self.image("old:1", "LABEL kind=a\n")
        self.image("new:1", "LABEL kind=b\nLABEL x=1\n")
        name = "{{.Repository}}:{{.Tag}}"

        def names(*filters):
            words = [word for one in filters for word in ("--filter", one)]
            return self.images(*words, "--format", name).split()

        self.assertEqual(names("label=kind=a"), ["old:1"])
        self.assertEqual(names("label=kind"), ["new:1", "old:1"])
        self.assertEqual(names("label=kind", "label=x"), ["new:1"])
        self.assertEqual(names("reference=o*:1"), ["old:1"])
        self.assertEqual(names("reference=o*", "reference=n*"),
                         ["new:1", "old:1"])
        self.assertEqual(names("reference=old:2"), [])
        self.assertEqual(names("until=2023-01-01"), [])
        self.assertEqual(names("until=24h"), ["new:1", "old:1"])
        self.assert_error(self.imgbuild("images", "--filter", "danglin=true",
                                        status=1),
                          'error: invalid filter "danglin"\n'
                          "   = hint: did you mean dangling?\n")
        self.imgbuild("images", "--filter", "before=nosuch", status=1)
        self.imgbuild("images", "--filter", "dangling=maybe", status=1)
        self.imgbuild("images", "--filter", "until=x", status=1)

    def test_only_an_image_without_names_dangles(self):
        self.imgbuild("pull", self.base)
        first = self.image("i:1", "ENV A=1\n")
        self.image("i:1", "ENV A=2\n")
        # The pinned base has no tag, the replaced image keeps its digest.
        self.assertEqual(self.images("-q", "--filter", "dangling=true"), "")
        self.imgbuild("rmi", f"i@{first}")
        self.assertNotIn(first, self.images("--digests"))

    def test_formats(self):
        digest = self.image()
        rows = [json.loads(line) for line in
                self.images("--format", "json", "i").splitlines()]
        self.assertEqual([(row["Repository"], row["Tag"], row["Digest"])
                          for row in rows], [("i", "1", digest)])
        self.assertEqual(
            self.images("--format", "table {{.Repository}}\\t{{.Tag}}", "i"),
            "REPOSITORY   TAG\ni            1\n")
        self.assertEqual(self.images("--format", "{{.Digest}}", "i"),
                         digest + "\n")
        self.assertEqual(self.images("-q", "i").strip(),
                         self.images("--format", "{{.ID}}", "i").strip())
        self.assertIn('template: no field "Foo" here', self.imgbuild(
            "images", "--format", "{{.Foo}}", status=1).stderr)
        self.imgbuild("images", "--format", "{{.Foo", status=1)

    def test_tree_of_an_index(self):
        self.image("i:1")
        tree = self.images("--tree")
        self.assertRegex(tree, r"(?m)^i:1 +[0-9a-f]{12} +\S+ +\S+")
        self.imgbuild("images", "--tree", "-q", status=2)

    # --- removing: the table of the specification ---------------------------

    def test_rmi_of_an_image_in_several_repositories(self):
        digest = self.image("a:1")
        self.imgbuild("tag", "a:1", "b:1")
        image_id = self.imgbuild("inspect", "-f", "{{.Id}}", "a:1").stdout
        short = image_id.split(":")[1][:12]
        self.assert_error(
            self.imgbuild("rmi", short, status=1),
            f"error: conflict: unable to delete {short} (must be forced) - "
            "image is referenced in multiple repositories\n"
            "   = hint: -f removes it with all its names\n")
        self.assertEqual(
            self.imgbuild("rmi", "-f", short).stdout,
            f"Untagged: a:1\nUntagged: a@{digest}\nUntagged: b:1\n"
            f"Untagged: b@{digest}\nDeleted: {image_id}")

    def test_rmi_by_digest_says_what_is_left(self):
        digest = self.image("a:1")
        done = self.imgbuild("rmi", f"a@{digest[:19]}")
        self.assertEqual(done.stdout, f"Untagged: a@{digest}\n")
        self.assertEqual(done.stderr, "still named: a:1\n")
        self.assertIn(("a", "1"), self.image_names())

    def test_rmi_of_an_ambiguous_prefix_lists_them(self):
        ids = set()
        for i in range(24):  # two of these share their first digit
            self.image(f"i:{i}", f"ENV N={i}\n")
            ids.add(self.imgbuild("images", "-q", f"i:{i}").stdout.strip())
        first = [i[0] for i in ids]
        twice = next(c for c in first if first.count(c) > 1)
        done = self.imgbuild("rmi", twice, status=1)
        self.assertIn(f'error: ambiguous reference "{twice}"', done.stderr)
        for one in (i for i in ids if i[0] == twice):
            self.assertIn(one, done.stderr)

    def test_rmi_of_malformed_names(self):
        for name in ("A", "a@sha256:xyz", ":1", "a:b:c"):
            self.assertIn("error: invalid reference format",
                          self.imgbuild("rmi", name, status=1).stderr)

    # --- inspect and history ------------------------------------------------

    def test_inspect_templates(self):
        self.dockerfile('FROM BASE\nLABEL a.b=c\nCMD ["x", "y"]\n')
        digest = self.build("-t", "i:1").digest

        def show(template):
            return self.imgbuild("inspect", "-f", template, "i:1").stdout

        self.assertEqual(show('{{index .Config.Labels "a.b"}}'), "c\n")
        self.assertEqual(show("{{json .RepoTags}} {{json .RepoDigests}}"),
                         f'["i:1"] ["i@{digest}"]\n')
        self.assertEqual(show("{{.Config.Entrypoint}} {{join .Config.Cmd \",\"}}"
                              "{{if .Config.Healthcheck}}!{{end}}"),
                         "[] x,y\n")
        done = self.imgbuild("inspect", "nosuch", "i:1", status=1)
        self.assertEqual(len(json.loads(done.stdout)), 1)
        self.assert_error(done, "error: no such object: nosuch\n")
        self.imgbuild("inspect", "-f", "{{.Id", "i:1", status=64)
        self.imgbuild("inspect", "-f", "{{.Nope}}", "i:1", status=1)
        self.imgbuild("inspect", "--platform", "linux/s390x", "i:1", status=1)

    def test_history(self):
        self.dockerfile("FROM BASE\nENV A=1\nRUN echo x > /x\n")
        self.build("-t", "i:1")
        rows = [json.loads(line) for line in self.imgbuild(
            "history", "--format", "json", "--no-trunc", "i:1"
        ).stdout.splitlines()]
        self.assertEqual([row["ID"] for row in rows[1:]], ["<missing>"] * 2)
        self.assertEqual(rows[1]["CreatedBy"], "ENV A=1")
        self.assertEqual(rows[1]["Digest"], "<none>")
        self.assertRegex(rows[0]["Digest"], "^sha256:[0-9a-f]{64}$")
        self.assertEqual(
            self.imgbuild("history", "-q", "i:1").stdout.splitlines()[1:],
            ["<missing>"] * 2)
        self.assertRegex(self.imgbuild("history", "-H=false", "i:1").stdout,
                         r"2024-01-01T00:00:00Z")
        self.imgbuild("history", "nosuch", status=1)

    def test_tag_refuses_a_digest(self):
        digest = self.image()
        self.assert_error(
            self.imgbuild("tag", "i:1", f"x@{digest}", status=1),
            "error: refusing to create a tag with a digest reference\n")
        self.assert_error(
            self.imgbuild("tag", "i:1", "X:1", status=1),
            'error: "X:1" is not a valid repository/tag: invalid reference '
            "format: repository name (library/X) must be lowercase\n"
            '   = hint: write "library/x"\n')
        self.imgbuild("tag", "nosuch", "x:1", status=1)

    def test_dockers_spellings(self):
        self.image()
        self.assertEqual(self.imgbuild("image", "ls").stdout, self.images())
        self.assertIn('"Id"', self.imgbuild("image", "inspect", "i:1").stdout)
        self.assertIn("Build Cache", self.imgbuild("system", "df").stdout)
        self.assertIn("Untagged: i:1\n",
                      self.imgbuild("image", "rm", "i:1").stdout)


if __name__ == "__main__":
    unittest.main()
