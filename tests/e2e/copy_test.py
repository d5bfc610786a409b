"""`copy` and `index create` against a real registry; what comes out is read
back by skopeo and tar."""

import gzip
import json
import subprocess
import tarfile
import tempfile
import unittest
import urllib.request

import harness


def skopeo(*words):
    return subprocess.run(
        [harness.need("skopeo"), "--insecure-policy", *words], check=True,
        capture_output=True, timeout=harness.SECONDS).stdout


class Copy(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = harness.Registry(delete=True)
        cls.addClassCleanup(cls.other.stop)
        with tempfile.TemporaryDirectory() as layout:
            harness.write_layout(layout, harness.busybox_tar(),
                                 architecture="arm64")
            cls.arm_digest = cls.registry.push(layout, "arm")

    def setUp(self):
        super().setUp()
        self.from_name = f"{self.registry.address}/base:1"
        self.index = self.imgbuild(
            "index", "create", "-q", "-t", f"{self.registry.address}/multi:1",
            self.from_name, f"{self.registry.address}/arm:1").stdout.strip()
        self.multi = f"{self.registry.address}/multi:1"

    def copy(self, *words, status=0):
        return self.imgbuild("copy", *words, status=status)

    def raw(self, place):
        return skopeo("inspect", "--raw", "--tls-verify=false", place)

    def test_between_registries(self):
        name = f"{self.other.address}/x:1"
        done = self.copy(self.from_name, name)
        self.assertEqual(done.digest, self.base_digest)
        self.assertFalse(self.store.exists())
        self.assertEqual(self.raw(f"docker://{name}"),
                         self.raw(f"docker://{self.from_name}"))
        self.assertRegex(done.stdout,
                         r"\A([0-9a-f]{12}: Copied [0-9.]+[kM]?B\n){2}Digest: ")
        # Again: nothing is sent, nothing is listed.
        before = len(self.other.requests())
        again = self.copy(self.from_name, name)
        self.assertEqual(again.stdout, f"Digest: {self.base_digest}\n")
        self.assertEqual(self.other.requests()[before:],
                         ["PUT /v2/x/manifests/1"])

    def test_an_index_with_everything(self):
        name = f"{self.other.address}/m:1"
        self.assertEqual(self.copy(self.multi, name).digest, self.index)
        for digest in (self.base_digest, self.arm_digest):
            self.assertEqual(
                harness.digest_of(self.raw(
                    f"docker://{self.other.address}/m@{digest}")), digest)
        self.assertEqual(
            self.copy("--platform=linux/arm64", self.multi,
                      f"{self.other.address}/a:1").digest, self.arm_digest)

    def test_mounted_in_one_registry(self):
        done = self.copy(self.from_name, f"{self.registry.address}/c/d:2")
        self.assertEqual(done.stdout.count(": Mounted from base "), 2,
            done)

    def test_layouts(self):
        layout = self.dir / "layout"
        self.copy(self.multi, f"oci:{layout}")
        self.copy(self.from_name, f"oci:{layout}:single")
        self.assertEqual(self.raw(f"oci:{layout}:single"),
                         self.raw(f"docker://{self.from_name}"))
        self.assertEqual(
            harness.digest_of(self.raw(f"oci:{layout}:1")), self.index)
        self.assertEqual(
            self.copy(f"oci:{layout}:1", f"{self.other.address}/l:1").digest,
            self.index)
        self.assertEqual(
            self.copy(f"oci-layout://{layout}@{self.base_digest}",
                      f"{self.other.address}/l:2").digest, self.base_digest)
        error = self.copy(f"oci:{layout}", "x:1", status=2).error
        self.assertEqual(
            error, f'error: the OCI layout "{layout}" has no image "latest"\n'
            "   = hint: it has: :1, :single\n")

    def test_archives(self):
        archive = self.dir / "a.tar"
        self.copy(self.from_name, f"docker-archive:{archive}:app:7")
        with tarfile.open(archive) as tar:
            manifest = json.load(tar.extractfile("manifest.json"))[0]
            self.assertEqual(manifest["RepoTags"], ["app:7"])
            layer = tar.extractfile(manifest["Layers"][0]).read()
        self.assertEqual("sha256:" + manifest["Layers"][0][-64:],
                         harness.digest_of(layer))
        skopeo("copy", f"docker-archive:{archive}",
               f"dir:{self.dir}/from-docker")
        self.copy(self.multi, f"oci-archive:{archive}")
        self.assertEqual(harness.digest_of(self.raw(f"oci-archive:{archive}")),
                         self.index)
        # An index into a docker archive: this machine's image.
        done = self.copy(self.multi, f"docker-archive:{archive}")
        self.assertEqual(done.digest, self.base_digest)

    def to_other(self, source, tag, **more):
        return self.copy(source, f"{self.other.address}/from-archive:{tag}",
                         **more)

    def test_from_archives(self):
        archive = self.dir / "a.tar"
        self.copy(self.multi, f"oci-archive:{archive}:mine:2")
        for n, which in enumerate(("", ":mine:2", f"@{self.index}")):
            self.assertEqual(
                self.to_other(f"oci-archive:{archive}{which}", n).digest,
                self.index)
        self.assertEqual(
            self.to_other(f"docker-archive:{archive}@{self.arm_digest}",
                          "arm").digest, self.arm_digest)
        self.copy(f"oci-archive:{archive}", f"store:s:1")
        self.assertEqual(
            self.imgbuild("run", "--rm", "s:1", "echo", "hi").stdout, "hi\n")
        # The name of the archive goes along.
        self.copy(f"oci-archive:{archive}", f"oci:{self.dir}/layout")
        self.assertEqual(
            harness.digest_of(self.raw(f"oci:{self.dir}/layout:2")),
            self.index)
        packed = self.dir / "a.tar.gz"
        packed.write_bytes(gzip.compress(archive.read_bytes()))
        self.assertEqual(self.to_other(f"oci-archive:{packed}", "gz").digest,
                         self.index)
        self.copy(self.from_name, f"docker-archive:{archive}:app:7")
        self.assertEqual(
            self.to_other(f"docker-archive:{archive}:app:7", "docker").digest,
            self.base_digest)
        self.assertEqual(
            self.to_other(f"docker-archive:{archive}:app", "x",
                          status=2).error,
            f'error: the archive "{archive}" has no image "app"\n'
            "   = hint: it has: app:7; choose with FILE:NAME\n")

    def test_archives_of_skopeo(self):
        """Its docker archives have links, no index.json, and plain layers."""
        archive = self.dir / "skopeo.tar"
        skopeo("copy", "--src-tls-verify=false", f"docker://{self.from_name}",
               f"docker-archive:{archive}:app:3")
        done = self.to_other(f"docker-archive:{archive}", "skopeo")
        self.assertEqual(
            self.to_other(f"docker-archive:{archive}:app:3", "again").digest,
            done.digest)
        self.assertEqual(
            harness.digest_of(self.raw(
                f"docker://{self.other.address}/from-archive:skopeo")),
            done.digest)
        name = f"{self.other.address}/from-archive:skopeo"
        self.assertEqual(
            self.imgbuild("run", "--rm", name, "echo", "hi").stdout, "hi\n")
        self.imgbuild("load", "-i", archive)
        self.assertEqual(
            self.imgbuild("run", "--rm", "app:3", "echo", "hi").stdout, "hi\n")
        skopeo("copy", "--src-tls-verify=false", "--all",
               f"docker://{self.multi}", f"oci-archive:{archive}.oci:4")
        self.assertEqual(
            self.to_other(f"oci-archive:{archive}.oci:4", "all").digest,
            self.index)

    def test_an_index_of_which_an_archive_has_one_image(self):
        self.imgbuild("pull", self.multi)
        archive = self.dir / "one.tar"
        self.imgbuild("save", "-o", archive, self.multi)
        error = self.to_other(f"docker-archive:{archive}", 1, status=4).error
        self.assertIn(f"archive: the manifest {self.arm_digest} is missing",
                      error)
        self.assertIn("--platform takes that", error)
        done = self.copy("--platform=linux/amd64", f"docker-archive:{archive}",
                         f"{self.other.address}/from-archive:one")
        self.assertEqual(done.digest, self.base_digest)

    def test_several_images_in_an_archive(self):
        self.copy(self.from_name, "store:a:1")
        self.copy(f"{self.multi.rsplit(':', 1)[0]}@{self.arm_digest}",
                  "store:b:1")
        archive = self.dir / "two.tar"
        self.imgbuild("save", "-o", archive, "a:1", "b:1")
        self.assertEqual(
            self.to_other(f"docker-archive:{archive}", 1, status=2).error,
            f'error: the archive "{archive}" has 2 images\n'
            "   = hint: it has: a:1, b:1; choose with FILE:NAME\n")
        self.assertEqual(
            self.to_other(f"docker-archive:{archive}:b:1", "b").digest,
            self.arm_digest)

    def test_damaged_archives(self):
        archive = self.dir / "a.tar"
        self.copy(self.from_name, f"docker-archive:{archive}:app:7")
        good = archive.read_bytes()
        with tarfile.open(archive) as tar:
            layer = json.load(
                tar.extractfile("manifest.json"))[0]["Layers"][0]
            at = tar.getmember(layer).offset_data
        archive.write_bytes(good[:at + 9] + bytes([good[at + 9] ^ 1]) +
                            good[at + 10:])
        # Elsewhere than the others: what has the manifest is not sent blobs.
        name = f"{self.other.address}/damaged:1"
        error = self.copy(f"oci-archive:{archive}", name, status=4).error
        self.assertIn("DIGEST_INVALID", error)
        self.assertIn(f"while copying the blob sha256:{layer[-64:]}", error)
        for size in (0, 300, at + 100):
            archive.write_bytes(good[:size])
            self.copy(f"oci-archive:{archive}", name, status=4)
        self.imgbuild("resolve", name, status=4)

    def test_the_store(self):
        self.copy(self.multi, "store:mine:1")
        self.assertEqual(
            self.imgbuild("run", "--rm", "mine:1", "echo", "hi").stdout,
            "hi\n")
        self.assertEqual(
            self.copy("store:mine:1", f"{self.other.address}/s:1").digest,
            self.index)
        self.assertEqual(
            self.copy(f"store:mine@{self.arm_digest}",
                      f"{self.other.address}/s:2").digest, self.arm_digest)
        self.assert_no_litter()

    def test_by_digest(self):
        name = f"{self.other.address}/d"
        self.copy("--by-digest", self.from_name, name)
        self.assertEqual(
            [line for line in self.other.requests() if "/d/manifests/" in line],
            [f"PUT /v2/d/manifests/{self.base_digest}"])
        self.imgbuild("resolve", "-q", f"{name}@{self.base_digest}")

    def test_after_a_delete(self):
        name = f"{self.other.address}/gone:1"
        self.copy(self.from_name, name)
        urllib.request.urlopen(urllib.request.Request(
            f"http://{self.other.address}/v2/gone/manifests/"
            f"{self.base_digest}", method="DELETE"), timeout=harness.SECONDS)
        self.assertIn("MANIFEST_UNKNOWN",
                      self.imgbuild("resolve", name, status=4).error)
        self.copy(self.from_name, name)
        self.assertEqual(self.imgbuild("resolve", "-q", name).stdout.strip(),
                         self.base_digest)

    def test_no_such_image(self):
        self.assertEqual(self.copy("store:nosuch", "x:1", status=1).error,
                         "error: no such image: nosuch\n")

    def test_usage(self):
        for words, text in (
                (["--by-digest", self.from_name, "x:1"],
                 "--by-digest moves no tag, and x:1 has one"),
                (["--by-digest", self.from_name, f"oci:{self.dir}/n"],
                 "--by-digest is for registries"),
                ([self.from_name, f"x@{self.base_digest}"],
                 "the digest of a copy is that of what is copied"),
                (["docker-archive:x.tar", "x:1"],
                 'there is no archive "x.tar"'),
                ([self.from_name, f"oci-archive:x@{self.base_digest}"],
                 "the digest of a copy is that of what is copied"),
                ([self.from_name, "store:"], '"store:" names nothing'),
                ([f"oci:{self.context}", "x:1"],
                 f'"{self.context}" is no OCI layout')):
            self.assertEqual(self.copy(*words, status=2).error.split("\n")[0],
                             f"error: {text}")


class IndexCreate(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = harness.Registry()
        cls.addClassCleanup(cls.other.stop)
        with tempfile.TemporaryDirectory() as layout:
            harness.write_layout(layout, harness.busybox_tar(),
                                 architecture="arm64")
            cls.arm_digest = cls.registry.push(layout, "arm")

    def create(self, *words, status=0):
        return self.imgbuild("index", "create", *words, status=status)

    def entry(self, digest, architecture):
        return {"mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest,
                "size": len(self.registry.blob_path(digest).read_bytes()),
                "platform": {"architecture": architecture, "os": "linux"}}

    def test_joins_what_was_pushed_by_digest(self):
        name = f"{self.other.address}/joined"
        done = self.create(
            "-t", f"{name}:1", "-t", f"{name}:latest", "--annotation", "a=b",
            self.base, f"{self.registry.address}/arm@{self.arm_digest}")
        self.assertEqual(
            done.stdout,
            f"{name}:1\n{name}:latest\nDigest: {done.digest}\n")
        index = skopeo("inspect", "--raw", "--tls-verify=false",
                       f"docker://{name}:latest")
        self.assertEqual(harness.digest_of(index), done.digest)
        self.assertEqual(json.loads(index), {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [self.entry(self.base_digest, "amd64"),
                          self.entry(self.arm_digest, "arm64")],
            "annotations": {"a": "b"}})
        skopeo("copy", "--all", "--src-tls-verify=false",
               f"docker://{name}:1", f"oci:{self.dir}/out:1")
        # A digest alone is in the name's repository.
        self.create("-t", f"{name}:2", self.arm_digest, f"{name}:1")

    def test_dry_run(self):
        index = self.create("--dry-run", self.base).stdout
        self.assertEqual(json.loads(index)["manifests"],
                         [self.entry(self.base_digest, "amd64")])
        self.assertFalse(self.store.exists())

    def test_usage(self):
        for words, text in (
                ([self.base], "the index needs a name"),
                (["--dry-run", self.base_digest],
                 f"{self.base_digest} names no repository"),
                (["--dry-run", "--annotation", "x", self.base],
                 "malformed annotation x"),
                (["-t", f"x@{self.base_digest}", self.base],
                 f"-t takes a tag, not a digest: x@{self.base_digest}")):
            self.assertEqual(self.create(*words, status=2).error.split("\n")[0],
                             f"error: {text}")
        self.assertEqual(
            self.imgbuild("index", "rm", "x", status=2).error,
            "error: unknown word after index: rm\n"
            "   = hint: imgbuild index create -t NAME IMAGE…\n")


if __name__ == "__main__":
    unittest.main()
