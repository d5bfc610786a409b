"""`lock import` and `lock export`: other tools' pins, with a real registry."""

import json
import unittest

import harness

MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Interchange(harness.Case):
    def setUp(self):
        super().setUp()
        self.name = f"{self.registry.address}/base"
        # The tag has moved on; what the others wrote down is the old digest.
        image = json.loads(
            self.registry.blob_path(self.base_digest).read_bytes())
        moved = json.dumps({**image, "annotations": {"a": "b"}}).encode()
        self.moved = self.registry.put_manifest("base", "moved", MANIFEST,
                                                moved)
        self.write("Dockerfile", f"FROM {self.name}:moved\n")

    def imported(self, *words, status=0):
        return self.imgbuild("lock", "import", *words, status=status)

    def locked(self):
        return (self.context / "Dockerfile.lock").read_text()

    def test_docker_lock(self):
        self.write("docker-lock.json", json.dumps({"dockerfiles": {
            "Dockerfile": [
                {"name": self.name, "tag": "moved",
                 "digest": self.base_digest.split(":")[1]},
                {"name": f"{self.registry.address}/other", "tag": "1",
                 "digest": "a" * 64}]}}))
        done = self.imported("docker-lock.json")
        self.assertIn(f'digest = "{self.base_digest}"', self.locked())
        self.assertNotIn("/other", self.locked())
        self.assertIn("/other:1: the Dockerfile does not name it\n",
                      done.stderr)
        self.imgbuild("lock", "verify")
        # And a build takes it.
        built = self.build("--locked").digest
        self.dockerfile("FROM BASE\n", "Pinned")
        self.assertEqual(built, self.build("-f", "Pinned").digest)

    def test_provenance(self):
        self.write("metadata.json", json.dumps({"buildx.build.provenance": {
            "materials": [{
                "uri": f"pkg:docker/{self.name}@moved?platform=linux%2Famd64",
                "digest": {"sha256": self.base_digest.split(":")[1]}}]}}))
        self.imported("metadata.json")
        self.assertIn(f'digest = "{self.base_digest}"', self.locked())

    def test_inline(self):
        self.write("Dockerfile",
                   f"FROM {self.name}:moved@{self.base_digest}\n")
        self.imported("--inline")
        self.assertIn(f'digest = "{self.base_digest}"', self.locked())

    def test_export_and_back(self):
        self.imgbuild("lock")
        before = self.locked()
        policy = self.imgbuild("lock", "export").stdout
        self.assertEqual(json.loads(policy), {"version": 1, "rules": [{
            "action": "CONVERT",
            "selector": {"identifier": f"docker-image://{self.name}:moved"},
            "updates": {"identifier": f"docker-image://{self.name}:moved@"
                                      f"{self.moved}"}}]})
        self.write("policy.json", policy)
        (self.context / "Dockerfile.lock").unlink()
        self.imported("policy.json")
        self.assertEqual(self.locked(), before)

    def test_a_lost_digest_is_told_by_its_line(self):
        self.write("docker-lock.json",
                   '{"dockerfiles": {"Dockerfile": [\n'
                   f' {{"name": "{self.name}", "tag": "moved",\n'
                   f'  "digest": "{"a" * 64}"}}]}}}}\n')
        done = self.imported("docker-lock.json", status=4)
        self.assertIn(" --> docker-lock.json:3:13\n", done.error)
        self.assertFalse((self.context / "Dockerfile.lock").exists())

    def test_usage(self):
        self.assertIn("takes a FILE or --inline",
                      self.imported(status=2).stderr)
        self.write("x.json", "{}")
        self.assertIn("neither a lock of docker-lock",
                      self.imported("x.json", status=3).stderr)


if __name__ == "__main__":
    unittest.main()
