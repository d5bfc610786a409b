"""What Docker's own tests ask of images by digest, one test each."""

import json
import tempfile
import unittest

import harness


class ByDigestTest(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.name = f"{cls.registry.address}/base"

    def setUp(self):
        super().setUp()
        self.addCleanup(self.remove_containers)

    def remove_containers(self):
        ids = self.imgbuild("ps", "-aq").stdout.split()
        if ids:
            self.imgbuild("rm", "-f", *ids)

    def pull(self):
        self.imgbuild("pull", self.base)

    def rows(self, *words):
        """[(repository, tag, digest)], `images --digests`."""
        out = self.imgbuild("images", "--digests", *words, "--format",
                            "{{.Repository}} {{.Tag}} {{.Digest}}").stdout
        return [tuple(line.split()) for line in out.splitlines()]

    def image_id(self):
        return self.imgbuild("inspect", "-f", "{{.Id}}",
                             self.base).stdout.strip()

    def test_pull_by_tag_displays_the_digest(self):
        result = self.imgbuild("pull", f"{self.name}:1")
        self.assertIn(f"Digest: {self.base_digest}\n", result.stdout)

    def test_pull_by_digest(self):
        result = self.imgbuild("pull", self.base)
        self.assertIn(f"Digest: {self.base_digest}\n", result.stdout)
        self.assertEqual(self.rows(),
                         [(self.name, "<none>", self.base_digest)])

    def test_pull_by_digest_has_no_fallback(self):
        digest = "sha256:" + "f" * 64
        result = self.imgbuild("pull", f"{self.name}@{digest}", status=4)
        self.assertIn("not found", result.error)
        result = self.imgbuild("pull", f"{self.name}:1@{digest}", status=4)
        self.assertIn("not found", result.error)
        self.assertEqual(self.rows(), [])

    def test_create_by_digest(self):
        self.imgbuild("create", "--name", "cc", self.base, "true")
        self.assertEqual(
            self.imgbuild("inspect", "-f", "{{.Config.Image}}",
                          "cc").stdout.strip(), self.base)

    def test_run_by_digest(self):
        self.assertEqual(
            self.imgbuild("run", "--rm", self.base, "echo", "x").stdout, "x\n")

    def test_remove_by_digest(self):
        self.pull()
        result = self.imgbuild("rmi", self.base)
        self.assertIn(f"Untagged: {self.base}\n", result.stdout)
        self.assertEqual(self.rows(), [])
        self.imgbuild("inspect", self.base, status=1)

    def test_build_by_digest(self):
        self.pull()
        self.dockerfile("FROM BASE\nCMD [\"echo\", \"x\"]\n")
        self.build("-t", "derived:1")
        self.assertEqual(self.imgbuild("run", "--rm", "derived:1").stdout,
                         "x\n")

    def test_tag_by_digest(self):
        self.pull()
        self.imgbuild("tag", self.base, "tagged:1")
        self.assertEqual(
            self.imgbuild("inspect", "-f", "{{.Id}}",
                          "tagged:1").stdout.strip(), self.image_id())

    def test_list_without_digests(self):
        self.pull()
        out = self.imgbuild("images").stdout
        self.assertNotIn("DIGEST", out)
        self.assertEqual(self.image_names(), [(self.name, "<none>")])

    def test_list_with_digests(self):
        # A second image, and tags beside the digests.
        self.dockerfile("FROM BASE\nENV N=2\n")
        second = self.build("-t", f"{self.name}2:2").digest
        self.pull()
        first_row = (self.name, "<none>", self.base_digest)
        second_row = (self.name + "2", "2", second)
        self.assertCountEqual(self.rows(), [first_row, second_row])
        self.imgbuild("pull", f"{self.name}:1")
        self.assertCountEqual(
            self.rows(), [(self.name, "1", self.base_digest), second_row])
        self.assertIn("DIGEST", self.imgbuild("images", "--digests").stdout)
        self.assertEqual(self.rows(self.name),
                         [(self.name, "1", self.base_digest)])

    def test_dangling_filter_with_digests(self):
        # Pinned is not dangling: a clean-up must not take it.
        self.pull()
        self.dockerfile("FROM BASE\nENV N=2\n")
        self.build("-t", "moves:1")
        self.dockerfile("FROM BASE\nENV N=3\n")
        self.build("-t", "moves:1")
        dangling = self.rows("--filter", "dangling=true")
        self.assertNotIn(self.base_digest, [row[2] for row in dangling])
        self.assertIn(self.base_digest, [
            row[2] for row in self.rows("--filter", "dangling=false")])
        self.imgbuild("prune", "-f", "images")
        self.assertIn(self.base_digest, [row[2] for row in self.rows()])

    def test_inspect_shows_digests(self):
        self.pull()
        image, = json.loads(self.imgbuild("inspect", self.base).stdout)
        self.assertEqual(image["RepoDigests"], [self.base])
        self.assertEqual(image["RepoTags"], [])

    def test_ps_filters_by_ancestor_with_a_digest(self):
        self.pull()
        self.imgbuild("tag", self.base, "own:1")
        self.dockerfile("FROM BASE\nRUN echo 2 > /n\n")
        self.build("-t", "child:1")
        ids = [self.imgbuild("create", image, "true").stdout.strip()
               for image in (self.base, "own:1", "child:1")]
        other, = json.loads(self.imgbuild("inspect", "child:1").stdout)
        for ancestor, expected in (
                (self.base, ids),
                (f"{self.name}@{self.base_digest[:19]}", ids),
                (self.image_id(), ids),
                (other["RepoDigests"][0], ids[2:]),
                (f"{self.name}@sha256:" + "f" * 64, [])):
            found = self.imgbuild("ps", "-aq", "--no-trunc", "--filter",
                                  f"ancestor={ancestor}").stdout.split()
            self.assertCountEqual(found, expected, ancestor)

    def test_delete_by_id_what_was_pulled_by_digest(self):
        self.pull()
        self.imgbuild("rmi", self.image_id())
        self.assertEqual(self.rows(), [])

    def test_delete_by_id_with_digest_and_tag(self):
        self.pull()
        self.imgbuild("tag", self.base, f"{self.name}:mine")
        result = self.imgbuild("rmi", self.image_id())
        self.assertIn(f"Untagged: {self.name}:mine\n", result.stdout)
        self.assertIn(f"Untagged: {self.base}\n", result.stdout)
        self.assertEqual(self.rows(), [])

    def test_delete_by_id_with_tags_of_several_repositories(self):
        self.pull()
        for name in ("one:1", "two:2"):
            self.imgbuild("tag", self.base, name)
        result = self.imgbuild("rmi", self.image_id(), status=1)
        self.assertIn("(must be forced) - image is referenced in multiple "
                      "repositories", result.error)
        self.assertEqual(len(self.rows()), 3)
        self.imgbuild("rmi", "-f", self.image_id())
        self.assertEqual(self.rows(), [])

    def test_an_altered_manifest_is_refused(self):
        path = self.registry.blob_path(self.base_digest)
        with harness.damaged(path, lambda data: data.replace(
                b"schemaVersion", b"schemaversion")):
            result = self.imgbuild("pull", self.base, status=4)
        self.assertRegex(result.error, "digest|manifest")
        self.assertEqual(self.rows(), [])

    def test_an_altered_layer_is_refused(self):
        manifest = json.loads(
            self.registry.blob_path(self.base_digest).read_text())
        path = self.registry.blob_path(manifest["layers"][0]["digest"])
        with harness.damaged(path, lambda data: data[:-1] +
                             bytes([data[-1] ^ 1])):
            result = self.imgbuild("pull", self.base, status=4)
        self.assertIn("digest", result.error)
        self.assertEqual(self.rows(), [])
        self.assert_no_litter()


class RemovalTest(harness.Case):
    """Removing what is in use, and one platform's image."""

    def test_the_image_of_a_running_container(self):
        self.imgbuild("pull", "-q", self.base)
        self.imgbuild("run", "-d", "--name", "cc", self.base, "sleep", "1000")
        self.addCleanup(self.imgbuild, "rm", "-f", "cc")
        number = self.imgbuild("inspect", "-f", "{{.Id}}",
                               self.base).stdout.strip()
        for words in ((number,), ("-f", number)):
            result = self.imgbuild("rmi", *words, status=1)
            self.assertIn("(cannot be forced) - image is being used by running "
                          "container", result.error)
        # Its name may go; what it runs on stays.
        self.imgbuild("rmi", "-f", self.base)
        self.imgbuild("prune", "-f", "-a", "all", status=None)
        self.assertEqual(
            self.imgbuild("exec", "cc", "echo", "x").stdout, "x\n")

    def test_one_platform_of_an_index(self):
        manifests = []
        for architecture in ("amd64", "arm64"):
            with tempfile.TemporaryDirectory() as layout:
                digest = harness.write_layout(
                    layout, harness.busybox_tar(), {"Cmd": [architecture]},
                    architecture)
                self.registry.push(layout, "multi")
                size = self.registry.blob_path(digest).stat().st_size
            manifests.append({
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest, "size": size,
                "platform": {"os": "linux", "architecture": architecture}})
        kind = "application/vnd.oci.image.index.v1+json"
        self.registry.put_manifest("multi", "all", kind, json.dumps({
            "schemaVersion": 2, "mediaType": kind,
            "manifests": manifests}).encode())
        name = f"{self.registry.address}/multi:all"
        for platform in ("linux/arm64", "linux/amd64"):
            self.imgbuild("pull", "-q", "--platform", platform, name)
        result = self.imgbuild("rmi", "--platform", "linux/amd64", name,
                               status=1)
        self.assertEqual(result.error, "error: Content will be removed from "
                         "all images referencing this variant. Use --force to "
                         "force delete.\n")
        result = self.imgbuild("rmi", "-f", "--platform", "linux/amd64", name)
        self.assertRegex(result.stdout, r"^Deleted: sha256:[0-9a-f]{64}\n$")
        self.assertEqual(
            self.imgbuild("inspect", "-f", "{{.Architecture}}",
                          name).stdout.strip(), "arm64")
        # With -f it is no failure that there is nothing to remove.
        self.imgbuild("rmi", "-f", "--platform", "linux/s390x", name,
                      status=None)
        self.imgbuild("rmi", "-f", "--platform", "linux/arm64", name)
        self.assertNotIn("multi", self.imgbuild("images").stdout)

    def test_prune_containers_by_label(self):
        self.imgbuild("pull", "-q", self.base)
        for name, label in (("aa", "keep=yes"), ("bb", "keep=no"),
                            ("dd", "other")):
            self.imgbuild("create", "--name", name, "--label", label,
                          self.base, "true")

        def left():
            return sorted(self.imgbuild("ps", "-a", "--format",
                                        "{{.Names}}").stdout.split())
        self.imgbuild("prune", "-f", "containers", "--filter", "label=other")
        self.assertEqual(left(), ["aa", "bb"])
        self.imgbuild("prune", "-f", "containers", "--filter",
                      "label!=keep=yes")
        self.assertEqual(left(), ["aa"])
        self.imgbuild("container", "prune", "-f")
        self.assertEqual(left(), [])


class KeepTagsTest(harness.Case):
    def test_load_refuses_to_move_a_tag(self):
        self.dockerfile("FROM BASE\nENV N=1\n")
        self.build("-t", "app:1")
        data = self.imgbuild("save", "app:1", binary=True).stdout
        self.imgbuild("rmi", "app:1")
        # One that is new, and one that is there already, are loaded.
        for _ in range(2):
            self.imgbuild("load", "--keep-tags", stdin=data)
        self.dockerfile("FROM BASE\nENV N=2\n")
        here = self.build("-t", "app:1").digest
        number = self.imgbuild("inspect", "-f", "{{.Id}}",
                               "app:1").stdout.strip()
        result = self.imgbuild("load", "--keep-tags", stdin=data, status=1)
        self.assertEqual(
            result.error,
            f"error: load: the tag app:1 is on image {number[7:19]} here, and "
            "the archive would move it\n   = hint: remove or rename the tag, "
            "or leave out --keep-tags\n")
        self.assertIn(here, self.imgbuild("images", "--digests",
                                          "app").stdout)
        self.assertEqual(self.image_names().count(("app", "1")), 1)
        self.imgbuild("load", stdin=data)
        self.assertNotEqual(self.imgbuild(
            "inspect", "-f", "{{.Id}}", "app:1").stdout.strip(), number)


if __name__ == "__main__":
    unittest.main()
