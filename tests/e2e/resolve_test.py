"""`resolve` and `config show`: questions that need no store and no root."""

import json
import os
import subprocess
import unittest

import harness

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Resolve(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.size = len(cls.registry.blob_path(cls.base_digest).read_bytes())
        entry = {"mediaType": MANIFEST, "size": cls.size,
                 "digest": cls.base_digest}
        cls.index = json.dumps({
            "schemaVersion": 2, "mediaType": INDEX,
            "manifests": [
                {**entry, "platform": {"os": "linux",
                                       "architecture": "arm64"}},
                entry,
                {**entry, "platform": {"os": "unknown",
                                       "architecture": "unknown"},
                 "annotations": {
                     "vnd.docker.reference.type": "attestation-manifest"}},
            ]}).encode()
        cls.index_digest = cls.registry.put_manifest("base", "multi", INDEX,
                                                     cls.index)

    def setUp(self):
        super().setUp()
        self.name = f"{self.registry.address}/base"

    def resolve(self, *words, status=0):
        done = self.imgbuild("resolve", *words, status=status)
        self.assertFalse(self.store.exists())
        return done

    def test_an_image(self):
        done = self.resolve(f"{self.name}:1")
        self.assertEqual(
            done.stdout,
            f"Name:       {self.name}:1\n"
            f"Digest:     {self.base_digest}\n"
            f"MediaType:  {MANIFEST}\n"
            f"Size:       {self.size}\n"
            "\n"
            f"PLATFORM      DIGEST{' ' * 68}SIZE\n"
            f"linux/amd64   {self.base_digest}   {self.size}\n")
        self.assertEqual(done.stderr, "")

    def test_an_index(self):
        """What an entry does not say is read from the image's config."""
        lines = self.resolve(f"{self.name}:multi").stdout.splitlines()
        self.assertEqual(lines[1], f"Digest:     {self.index_digest}")
        self.assertEqual([line.split()[0] for line in lines[6:]],
                         ["linux/arm64", "linux/amd64", "attestation"])

    def test_json(self):
        done = self.resolve("--format", "json", "--platform", "linux/arm64",
                            f"{self.name}:multi")
        self.assertEqual(json.loads(done.stdout), {
            "name": f"{self.name}:multi", "digest": self.base_digest,
            "mediaType": MANIFEST, "size": self.size,
            "platforms": [{
                "platform": "linux/amd64", "digest": self.base_digest,
                "mediaType": MANIFEST, "size": self.size}]})

    def test_quiet_is_the_digest_and_one_request(self):
        before = self.registry.log.read_text().count(" /v2/base/")
        self.assertEqual(self.resolve("-q", f"{self.name}:multi").stdout,
                         self.index_digest + "\n")
        after = self.registry.log.read_text().count(" /v2/base/")
        self.assertEqual(after - before, 1)
        self.assertEqual(
            self.resolve("-q", "--platform=linux/arm64",
                         f"{self.name}:multi").stdout, self.base_digest + "\n")

    def test_errors(self):
        self.assertEqual(
            self.resolve("--platform=linux/s390x", f"{self.name}:multi",
                         status=4).error.replace(self.name, "BASE"),
            "error: BASE:multi is for linux/amd64, not for linux/s390x\n")
        self.assertEqual(
            self.resolve("--platform=linux/arm64", f"{self.name}:1",
                         status=4).error.replace(self.name, "BASE"),
            "error: BASE:1 is for linux/amd64, not for linux/arm64\n")
        self.assertEqual(
            self.resolve("--format={{.}}", self.name, status=2).error,
            "error: unknown --format {{.}}\n   = hint: plain or json\n")
        self.assertIn("no/such:latest not found",
                      self.resolve(f"{self.registry.address}/no/such",
                                   status=4).error)

    def test_without_root(self):
        if os.getuid() != 0:
            self.skipTest("is not root anyway")
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
             harness.IMGBUILD, "resolve", "-q", f"{self.name}:1"],
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"}, cwd="/",
            capture_output=True, timeout=harness.SECONDS, check=False)
        self.assertEqual((done.returncode, done.stdout.decode()),
                         (0, self.base_digest + "\n"), done.stderr)


class ConfigShow(harness.Case):
    def show(self, *words, status=0, **env):
        done = self.imgbuild("config", "show", *words, status=status, env=env)
        self.assertFalse(self.store.exists())
        return done

    def test_nothing_configured(self):
        self.assertEqual(
            self.show("127.0.0.1:5000/a").stdout,
            "127.0.0.1:5000/a:latest\n"
            "registry https://127.0.0.1:5000/v2/a\n"
            "  rule         default\n"
            "  tls          not verified, plain http allowed (insecure: a "
            "loopback address)\n"
            "  credentials  none: anonymous\n")

    def test_everything_configured(self):
        conf = self.write("r.conf", '[[registry]]\nprefix = "docker.io"\n'
                          '[[registry.mirror]]\nlocation = "m.example/hub"\n')
        config = self.dir / "home/.docker/config.json"
        config.parent.mkdir()
        config.write_text('{"auths": {\n  "m.example": {\n'
                          '    "auth": "bWU6aHVudGVyMg=="}}}\n')
        certs = config.parent / "certs.d/m.example"
        certs.mkdir(parents=True)
        for name in ("ca.crt", "me.cert", "me.key"):
            (certs / name).touch()
        more = {"CONTAINERS_REGISTRIES_CONF": str(conf),
                "HTTPS_PROXY": "http://u:pass@proxy.example:1",
                "IMGBUILD_AUTH_DOCKER_IO": "you:hunter3"}
        done = self.show("alpine", **more)
        self.assertEqual(
            done.stdout.replace(str(self.dir), "DIR"),
            "docker.io/library/alpine:latest\n"
            "mirror   https://m.example/v2/hub/library/alpine\n"
            "  rule         mirror in DIR/context/r.conf:3\n"
            "  tls          certificates in DIR/home/.docker/certs.d/"
            "m.example\n"
            "  root         DIR/home/.docker/certs.d/m.example/ca.crt\n"
            "  client cert  DIR/home/.docker/certs.d/m.example/me.cert\n"
            "  proxy        http://proxy.example:1\n"
            '  credentials  user me: auths "m.example" in '
            "DIR/home/.docker/config.json:2\n"
            "registry https://registry-1.docker.io/v2/library/alpine\n"
            f"  rule         registry in DIR/context/r.conf:1\n"
            "  tls          the system's roots\n"
            "  proxy        http://proxy.example:1\n"
            "  credentials  user you: $IMGBUILD_AUTH_DOCKER_IO\n")
        shown = json.loads(self.show("--format=json", "alpine",
                                     **more).stdout)["endpoints"]
        self.assertEqual([step["mirror"] for step in shown], [True, False])
        self.assertEqual(shown[0]["credentials"]["identity"], "user me")
        for secret in ("hunter", "bWU6", "pass"):
            self.assertNotIn(secret, done.stdout + json.dumps(shown))

    def test_blocked(self):
        conf = self.write("r.conf",
                          '\n[[registry]]\nlocation = "b.example"\n'
                          "blocked = true\n")
        self.assertEqual(
            self.show("b.example/a", status=6,
                      CONTAINERS_REGISTRIES_CONF=str(conf)).error,
            f'error: registry "b.example" is blocked by {conf}:2\n')

    def test_usage(self):
        self.assertEqual(
            self.imgbuild("config", "hide", "a", status=2).error,
            "error: unknown word after config: hide\n"
            "   = hint: imgbuild config show NAME\n")


if __name__ == "__main__":
    unittest.main()
