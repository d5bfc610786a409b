"""registries.conf: mirrors, other locations and blocked registries, as what is
pulled shows them. The registry of the names exists nowhere."""

import json
import unittest

import harness

CONFIG = """
[[registry]]
prefix = "mirrored.invalid"
location = "mirrored.invalid"
[[registry.mirror]]
location = "DEAD"
insecure = true
[[registry.mirror]]
location = "REGISTRY"

[[registry]]
prefix = "moved.invalid/team"
location = "REGISTRY"

[[registry]]
prefix = "digests.invalid"
location = "digests.invalid"
[[registry.mirror]]
location = "REGISTRY"
pull-from-mirror = "digest-only"

[[registry]]
prefix = "blocked.invalid"
location = "REGISTRY"
blocked = true
"""


class Mirrors(harness.Case):
    def setUp(self):
        super().setUp()
        config = self.write(
            "registries.conf", CONFIG.replace("DEAD", "127.0.0.1:1").replace(
                "REGISTRY", self.registry.address))
        self.env = {"CONTAINERS_REGISTRIES_CONF": str(config)}

    def pull(self, name, status=0):
        return self.imgbuild("pull", name, status=status, env=self.env)

    def test_the_first_that_answers(self):
        done = self.pull("mirrored.invalid/base:1")
        self.assertEqual(done.digest, self.base_digest)
        # What is recorded is the name, not where it came from.
        self.assertEqual(self.image_names(), [("mirrored.invalid/base", "1")])
        digests = json.loads(self.imgbuild(
            "inspect", "mirrored.invalid/base:1").stdout)[0]["RepoDigests"]
        self.assertEqual(digests, [f"mirrored.invalid/base@{self.base_digest}"])

    def test_a_build(self):
        self.dockerfile("FROM mirrored.invalid/base:1\nRUN echo built\n")
        self.build("-t", "m:1", env=self.env)
        self.assertIn(("m", "1"), self.image_names())

    def test_nothing_is_pushed_to_a_mirror(self):
        self.pull("mirrored.invalid/base:1")
        before = len(self.registry.every_request())
        done = self.imgbuild("push", "mirrored.invalid/base:1", status=4,
                             env=self.env)
        self.assertIn("mirrored.invalid", done.error)
        self.assertEqual(self.registry.every_request()[before:], [])

    def test_another_location(self):
        self.assertEqual(self.pull("moved.invalid/team/base:1").digest,
                         self.base_digest)
        self.assertEqual(self.image_names(), [("moved.invalid/team/base", "1")])

    def test_a_mirror_for_digests(self):
        self.pull("digests.invalid/base:1", status=4)
        name = f"digests.invalid/base@{self.base_digest}"
        self.assertEqual(self.pull(name).digest, self.base_digest)

    def test_blocked(self):
        before = len(self.registry.every_request())
        done = self.pull("blocked.invalid/base:1", status=6)
        self.assertRegex(done.error,
                         r'^error: registry "blocked\.invalid" is blocked by '
                         rf"\S*/registries\.conf:\d+\n")
        self.assertEqual(self.registry.every_request()[before:], [])


if __name__ == "__main__":
    unittest.main()
