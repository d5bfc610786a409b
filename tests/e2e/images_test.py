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
        self.imgbuild("inspect", f"i@{digest}", status=2)
        self.assert_usable()

    def test_rmi_by_digest(self):
        self.imgbuild("pull", self.base)
        image_id = json.loads(self.imgbuild("inspect", self.base).stdout)
        self.assertEqual(
            self.imgbuild("rmi", self.base).stdout,
            f"Untagged: {self.base}\nDeleted: {image_id[0]['Id']}\n")
        self.assertEqual(self.image_names(), [])
        self.assert_error(self.imgbuild("rmi", self.base, status=2),
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
        done = self.imgbuild("rmi", "nosuch:1", "i:1", status=2)
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
            rf"(?m)\A.*\n.*\n1: digest: {digest} size: \d+\n\Z")
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


if __name__ == "__main__":
    unittest.main()
