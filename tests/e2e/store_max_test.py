"""--store-max: one hard limit on the size of the store."""

import time
import unittest

import harness

MB = 1 << 20


class StoreMaxTest(harness.Case):
    def setUp(self):
        super().setUp()
        self.imgbuild("pull", "-q", self.base)

    def big(self, name, megabytes, tag=None, *words, status=0):
        """An image with a step that wrote so much that does not compress."""
        self.write(name, f"FROM {self.base}\nRUN dd if=/dev/urandom of=/big "
                   f"bs=1M count={megabytes} 2>/dev/null; echo {name}\n"
                   .replace("dd ", "busybox dd "))
        return self.build("-f", name, *(["-t", tag] if tag else []), *words,
                          status=status)

    def is_cached(self, name):
        result = self.build("-f", name)
        return harness.cached(result) > 0

    def store_bytes(self):
        return sum(path.lstat().st_blocks * 512
                   for path in self.store.rglob("*"))

    def test_a_build_makes_room_before_and_after(self):
        self.big("one", 8)
        self.big("two", 8)
        # The time of use is kept in seconds: what was used in one second goes
        # together.
        time.sleep(1.1)
        # Each takes 8 MB unpacked and 8 MB as a blob.
        self.assertGreater(self.store_bytes(), 32 * MB)
        self.big("three", 8, None, "--store-max", "40M")
        self.assertLess(self.store_bytes(), 40 * MB)
        self.assertTrue(self.is_cached("three"))

    def test_tags_containers_mounts_and_locks_stay(self):
        self.big("tagged", 4, "tagged:1")
        self.big("mounted", 4, "mounted:1")
        self.imgbuild("mount", "mounted:1")
        self.imgbuild("rmi", "-f", "mounted:1")
        self.big("contained", 4, "contained:1")
        self.imgbuild("create", "--name", "cc", "contained:1", "true")
        self.imgbuild("rmi", "-f", "contained:1")
        digest = self.big("locked", 4, "locked:1").digest
        self.imgbuild("rmi", "locked:1")
        self.big("locked", 4)
        lock = self.write("l/Dockerfile", f"FROM {self.base}\n")
        self.imgbuild("lock", cwd=lock.parent)
        self.big("gone", 4)
        result = self.imgbuild("prune", "--store-max", "1M", "--keep-locked",
                               f"{lock}.lock", status=5)
        self.assertRegex(
            result.error,
            r"^error: the store takes \S+MB, --store-max is 1\.05MB\n")
        self.assertIn("what is left is in use:", result.error)
        self.assertRegex(result.error, r"MB  image tagged:1\n")
        self.assertIn("remove tags with rmi, containers with rm, or give a "
                      "larger limit", result.error)
        # The base image is in no tag, but in the lock.
        self.assertIn(self.base_digest,
                      self.imgbuild("images", "--digests").stdout)
        self.assertNotIn(digest, self.imgbuild("images", "--digests").stdout)
        self.imgbuild("start", "-a", "cc")
        self.imgbuild("run", "--rm", "tagged:1", "true")
        self.imgbuild("umount", "-a")
        self.imgbuild("rm", "cc")

    def test_a_build_keeps_what_other_locks_name(self):
        self.big("tagged", 4, "tagged:1")
        lock = self.write("l/Dockerfile", f"FROM {self.base}\n")
        self.imgbuild("lock", cwd=lock.parent)
        self.write("small", "FROM scratch\nCOPY small /\n")

        def has_base():
            return self.base_digest in self.imgbuild(
                "images", "--digests").stdout
        self.build("-f", "small", "--store-max", "1M", "--keep-locked",
                   f"{lock}.lock", status=5)
        self.assertTrue(has_base())
        self.build("-f", "small", "--store-max", "1M", status=5)
        self.assertFalse(has_base())

    def test_a_limit_that_cannot_be_kept(self):
        self.big("tagged", 4, "tagged:1")
        # Before: there is no build.
        self.write("small", f"FROM {self.base}\nRUN true\n")
        result = self.build("-f", "small", "--store-max", "2M", status=5)
        self.assertIn("--store-max is 2.1MB", result.error)
        self.assertNotIn("RUN true", result.stderr)
        # After: the image is there, and it is told.
        result = self.big("other", 8, "other:1", "--store-max", "16M")
        self.assertRegex(result.stderr, r"(?m)^warning: the store takes "
                         r"\S+MB, --store-max is 16\.8MB$")
        self.assertRegex(result.stderr, r"MB  image other:1\n")
        self.imgbuild("run", "--rm", "other:1", "true")

    def test_what_is_wrong(self):
        result = self.build("--store-max", "much", status=2)
        self.assertIn('invalid --store-max "much"', result.error)
        self.imgbuild("prune", "--store-max", "0", status=2)
        self.imgbuild("prune", "--store-max", "1G", "all", status=2)
        self.imgbuild("prune", status=2)
        result = self.imgbuild("prune", "--store-max", "1G")
        self.assertEqual(result.stdout, "Total reclaimed space: 0B\n")


if __name__ == "__main__":
    unittest.main()
