"""prune, df and store check."""

import unittest

import harness


class Prune(harness.Case):
    def image(self, name, text):
        self.dockerfile("FROM BASE\n" + text)
        return self.build("-t", name).digest

    def test_only_what_has_no_name_goes(self):
        self.imgbuild("pull", self.base)
        self.image("i:1", "ENV A=1\n")
        done = self.imgbuild("prune", "images", "-f")
        self.assertEqual(done.stdout, "Total reclaimed space: 0B\n")
        self.assertEqual(len(self.image_names()), 2)

    def test_all_images_but_those_of_a_lock(self):
        self.imgbuild("pull", self.base)
        digest = self.image("i:1", "RUN echo x > /x\n")
        image_id = self.imgbuild("inspect", "-f", "{{.Id}}", "i:1").stdout
        self.write("Dockerfile.lock", f"""\
version = 1

[[image]]
name = "{self.base}"
digest = "{self.base_digest}"
media-type = "application/vnd.oci.image.manifest.v1+json"
size = 1
[image.platform."linux/amd64"]
manifest = "{self.base_digest}"
size = 1
config = "{self.base_digest}"
""")
        done = self.imgbuild("image", "prune", "-af", "--keep-locked",
                             self.context / "Dockerfile.lock")
        self.assertRegex(
            done.stdout,
            f"\\ADeleted Images:\nuntagged: i:1\nuntagged: i@{digest}\n"
            f"deleted: {image_id}\nTotal reclaimed space: \\S+\n\\Z")
        self.assertEqual(self.image_names(),
                         [(f"{self.registry.address}/base", "<none>")])
        self.assert_usable()

    def test_filters(self):
        self.image("a:1", "LABEL k=1\n")
        self.image("b:1", "LABEL k=2\n")

        def prune(*words):
            self.imgbuild("prune", "images", "-af", *words)
            return sorted(name for name, tag in self.image_names())

        self.assertEqual(prune("--filter", "until=24h"), ["a", "b"])
        self.assertEqual(prune("--filter", "label=k=3"), ["a", "b"])
        self.assertEqual(prune("--filter", "label!=k=1"), ["a"])
        self.imgbuild("prune", "images", "--filter", "x=1", status=1)
        self.imgbuild("prune", "everything", status=2)

    def test_it_asks_first(self):
        self.image("a:1", "ENV A=1\n")
        done = self.imgbuild("image", "prune", "-a", stdin=b"n\n")
        self.assertIn("Are you sure you want to continue? [y/N]", done.stdout)
        self.assertEqual(self.image_names(), [("a", "1")])
        self.imgbuild("image", "prune", "-a", stdin=b"y\n")
        self.assertEqual(self.image_names(), [])

    def test_the_cache(self):
        self.image("a:1", "RUN echo x > /x\n")
        self.imgbuild("rmi", "a:1")
        again = self.build("-t", "a:1")
        self.assertEqual(harness.cached(again), 1)
        self.imgbuild("rmi", "a:1")
        done = self.imgbuild("builder", "prune", "-f")
        self.assertIn("Deleted build cache objects:\n", done.stdout)
        self.assertEqual(harness.cached(self.build("-t", "a:1")), 0)
        self.imgbuild("system", "prune", "-f")
        self.assertEqual(self.image_names(), [("a", "1")])

    def test_df(self):
        self.image("a:1", "RUN echo x > /x\n")
        lines = self.imgbuild("df", "--format",
                              "{{.Type}}={{.TotalCount}}").stdout.split("\n")
        self.assertIn("Images=1", lines)
        self.assertIn("Containers=0", lines)

    def test_check_and_repair(self):
        digest = self.image("a:1", "RUN echo x > /x\n")
        self.assertEqual(self.imgbuild("store", "check").stdout,
                         "the store is sound\n")
        blob = self.store / "blobs/sha256" / digest.split(":")[1]
        blob.chmod(0o600)
        blob.write_bytes(blob.read_bytes()[:-1] + b" ")
        done = self.imgbuild("store", "check", status=5)
        self.assertIn(digest, done.stdout)
        self.assertIn("hint: imgbuild store check --repair", done.stderr)
        self.imgbuild("store", "check", "--repair")
        self.assertEqual(self.imgbuild("store", "check").stdout,
                         "the store is sound\n")
        self.assert_usable()


if __name__ == "__main__":
    unittest.main()
