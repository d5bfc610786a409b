"""`pull` and `push`, in Docker's words."""

import unittest

import harness


class PullAndPush(harness.Case):
    def setUp(self):
        super().setUp()
        self.address = self.registry.address
        self.base_name = f"{self.address}/base"
        digest = self.imgbuild("resolve", "-q", f"{self.base_name}:1").stdout
        self.assertEqual(digest.strip(), self.base_digest)
        self.layer = self.layers(f"{self.base_name}:1")[0]

    def layers(self, name):
        """The layers' short digests, from `copy` into a fresh layout."""
        layout = self.dir / f"layout{len(list(self.dir.iterdir()))}"
        self.imgbuild("copy", name, f"oci:{layout}:x")
        sizes = {path.name: path.stat().st_size
                 for path in (layout / "blobs/sha256").iterdir()}
        return [max(sizes, key=sizes.get)[:12]]

    def test_pull(self):
        name = f"{self.base_name}:1"
        self.assertEqual(
            self.imgbuild("pull", name).stdout,
            "1: Pulling from base\n"
            f"{self.layer}: Pulling fs layer\n"
            f"{self.layer}: Download complete\n"
            f"{self.layer}: Pull complete\n"
            f"Digest: {self.base_digest}\n"
            f"Status: Downloaded newer image for {name}\n"
            f"{name}\n")
        self.assertEqual(
            self.imgbuild("pull", name).stdout,
            "1: Pulling from base\n"
            f"Digest: {self.base_digest}\n"
            f"Status: Image is up to date for {name}\n"
            f"{name}\n")
        self.assertEqual(self.imgbuild("pull", "-q", name).stdout, f"{name}\n")

    def test_pull_by_digest_beside_a_tag(self):
        name = f"{self.base_name}@{self.base_digest}"
        typed = f"{self.base_name}:1@{self.base_digest}"
        lines = self.imgbuild("pull", typed).stdout.splitlines()
        self.assertEqual(lines[0], f"{name}: Pulling from base")
        self.assertEqual(lines[-2:],
                         [f"Status: Downloaded newer image for {name}", typed])

    def test_pull_all_tags(self):
        every = f"{self.address}/every"
        for tag in ("a", "b"):
            self.imgbuild("copy", "-q", f"{self.base_name}:1", f"{every}:{tag}")
        done = self.imgbuild("pull", "-a", every)
        self.assertEqual(sorted(self.image_names()),
                         [(every, "a"), (every, "b")])
        self.assertEqual(done.stdout.splitlines()[-2:],
                         [f"Status: Downloaded newer image for {every}", every])
        self.assertEqual(
            self.imgbuild("pull", "-a", f"{every}:a", status=2).error,
            "error: tag can't be used with --all-tags/-a\n")
        # One that is no image is told; the others are there.
        self.registry.put_manifest(
            "every", "c", "application/vnd.oci.image.index.v1+json",
            b'{"schemaVersion":2,"manifests":[]}')
        done = self.imgbuild("pull", "-a", every, status=4)
        self.assertIn("no image for platform", done.error)

    def test_push(self):
        name = f"{self.address}/pushed:2"
        self.imgbuild("pull", "-q", f"{self.base_name}:1")
        self.imgbuild("tag", f"{self.base_name}:1", name)
        for outcome in ("Mounted from base", "Layer already exists"):
            done = self.imgbuild("push", name)
            self.assertRegex(
                done.stdout,
                rf"\AThe push refers to repository \[{name[:-2]}\]\n"
                rf"{self.layer}: Preparing\n"
                rf"{self.layer}: {outcome}\n"
                rf"2: digest: {self.base_digest} size: \d+\n\Z")
        self.assertEqual(
            self.imgbuild("push", f"{name[:-2]}@{self.base_digest}",
                          status=2).error.split("\n")[0],
            "error: cannot push a digest reference")
        self.assertEqual(
            self.imgbuild("push", "nosuch/app:1", status=2).error.split("\n")[0],
            "error: an image does not exist locally with the tag: nosuch/app")

    def test_push_with_another_compression(self):
        name = f"{self.address}/packed:1"
        self.imgbuild("pull", "-q", f"{self.base_name}:1")
        self.imgbuild("tag", f"{self.base_name}:1", name)
        seen = set()
        for words in (["zstd"], ["zstd", "--compression-level=19"],
                      ["gzip", "--compression-level=9"], ["uncompressed"]):
            flags = ["-q", "--compression", *words, name]
            pushed = self.imgbuild("push", *flags).stdout
            # Explicit, a new digest, and the same one each time.
            self.assertEqual(self.imgbuild("push", *flags).stdout, pushed)
            digest = pushed.strip().split("@")[1]
            seen.add(digest)
            self.assertEqual(
                self.imgbuild("resolve", "-q", name).stdout.strip(), digest)
            # What was pushed runs.
            store = {"IMGBUILD_ROOT": str(self.dir / digest[7:19])}
            self.imgbuild("pull", "-q", name, env=store)
            self.assertEqual(
                self.imgbuild("run", "--rm", name, "echo", "hi",
                              env=store).stdout, "hi\n")
        self.assertEqual(len(seen), 4)
        # The image in the store is what it was.
        self.assertEqual(
            self.imgbuild("push", "-q", name).stdout.strip(),
            f"{name[:-2]}@{self.base_digest}")
        for words, text in (
                (["--compression=lz4"], "unknown --compression lz4"),
                (["--compression-level=3"],
                 "--compression-level needs --compression gzip or zstd"),
                (["--compression=zstd", "--compression-level=23"],
                 "zstd has no compression level 23"),
                (["--compression=gzip", "--compression-level=x"],
                 "--compression-level x is not a level")):
            self.assertEqual(
                self.imgbuild("push", *words, name,
                              status=2).error.split("\n")[0],
                f"error: {text}")

    def test_push_a_platform(self):
        name = f"{self.address}/one:1"
        self.imgbuild("index", "create", "-t", f"{self.address}/two:1",
                      f"{self.base_name}:1")
        self.imgbuild("pull", "-q", f"{self.address}/two:1")
        self.imgbuild("tag", f"{self.address}/two:1", name)
        self.assertIn(
            f"1: digest: {self.base_digest} size: ",
            self.imgbuild("push", "--platform=linux/amd64", name).stdout)


if __name__ == "__main__":
    unittest.main()
