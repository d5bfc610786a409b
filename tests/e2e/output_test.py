"""Every --output type, read back by programs that are not ours."""

import io
import json
import os
import pathlib
import subprocess
import tarfile
import unittest

import harness

FILE = """\
FROM BASE
ENV A=1
COPY a /d/a
RUN rm /etc/group && ln -s a /d/link && echo y > /d/b
"""


def skopeo(*words):
    done = subprocess.run(
        [harness.need("skopeo"), "--insecure-policy", *map(str, words)],
        capture_output=True, text=True, check=False, timeout=harness.SECONDS)
    if done.returncode != 0:
        raise AssertionError(f"skopeo {words}: {done.stderr}")
    return done.stdout


class Output(harness.Case):
    def setUp(self):
        super().setUp()
        self.write("a", "a\n", mode=0o600)
        self.dockerfile(FILE)
        self.out = self.dir / "out"

    def check_root(self, names):
        for name in ("bin/busybox", "d/a", "d/b", "d/link", "etc/passwd"):
            self.assertIn(name, names)
        self.assertNotIn("etc/group", names)
        # Stubs that a container needs are not part of an image.
        for name in ("etc/resolv.conf", "etc/hosts", ".dockerenv"):
            self.assertNotIn(name, names)

    def test_oci_archive(self):
        built = self.build("-t", "o:1", "-o", f"type=oci,dest={self.out}")
        raw = skopeo("inspect", "--raw", f"oci-archive:{self.out}")
        self.assertEqual(harness.digest_of(raw.encode()), built.digest)
        config = json.loads(skopeo("inspect", "--config",
                                   f"oci-archive:{self.out}"))
        self.assertEqual(config["config"]["Env"], ["PATH=/bin", "A=1"])
        # A copy verifies every blob's digest, and each DiffId in the config.
        skopeo("copy", f"oci-archive:{self.out}", f"dir:{self.dir}/copied")

    def test_another_compression(self):
        """Of the archive alone, all of its layers; twice the same bytes."""
        wanted = "compression=zstd,force-compression=true"
        raw = []
        for file in (self.out, self.dir / "again"):
            built = self.build("-t", "o:1", "-o",
                               f"type=oci,dest={file},{wanted}")
            raw.append(skopeo("inspect", "--raw", f"oci-archive:{file}"))
        self.assertEqual(raw[0], raw[1])
        digest = harness.digest_of(raw[0].encode())
        self.assertNotEqual(digest, built.digest)
        self.assertIn(f"the manifest of {self.dir}/again is {digest}",
                      built.stderr)
        types = {layer["mediaType"]
                 for layer in json.loads(raw[0])["layers"]}
        self.assertEqual(types,
                         {"application/vnd.oci.image.layer.v1.tar+zstd"})
        skopeo("copy", f"oci-archive:{self.out}", f"dir:{self.dir}/copied")
        config = skopeo("inspect", "--config", "--raw",
                        f"oci-archive:{self.out}")
        self.build("-o", f"type=docker,dest={self.out},compression=uncompressed"
                   ",force-compression=1")
        self.assertEqual(
            skopeo("inspect", "--config", "--raw",
                   f"docker-archive:{self.out}"), config)
        self.assertEqual(self.imgbuild("inspect", "-f", "{{.Id}}", "o:1").stdout,
                         harness.digest_of(config.encode()) + "\n")

    def test_compression_usage(self):
        for keys, text in (
                ("type=oci,dest=x,compression=zstd",
                 "--output compression=… without force-compression=true: "
                 "leaving the base's layers as they are is not supported"),
                ("type=oci,dest=x,compression=estargz,force-compression=true",
                 'unknown compression "estargz" in --output'),
                ("type=oci,dest=x,compression-level=3",
                 "--output needs compression=… beside the other keys of "
                 "compression"),
                ("type=oci,dest=x,compression=gzip,compression-level=13,"
                 "force-compression=true",
                 "--output compression-level=13 is no level of gzip"),
                ("type=local,dest=x,compression=gzip",
                 "--output compression=… is for type=oci and type=docker"),
                ("type=oci,dest=x,compresion=gzip",
                 'unknown key "compresion" in --output')):
            self.assertEqual(
                self.build("-o", keys, status=2).error.split("\n")[0],
                f"error: {text}")

    def test_oci_directory(self):
        built = self.build("-o", f"type=oci,tar=false,dest={self.out}")
        raw = skopeo("inspect", "--raw", f"oci:{self.out}")
        self.assertEqual(harness.digest_of(raw.encode()), built.digest)

    def test_a_base_that_nothing_reads_is_not_fetched(self):
        self.write("file", "from the context")
        self.dockerfile("FROM BASE\nCOPY --link file /opt/file\nENV A=1\n"
                        'CMD ["cat", "/opt/file"]\n')
        name = f"{self.registry.address}/back"
        before = len(self.registry.requests())
        self.build("-t", f"{name}:1")
        self.imgbuild("push", f"{name}:1")
        requests = self.registry.requests()[before:]
        blobs = [r for r in requests if r.startswith("GET") and "/blobs/" in r]
        self.assertEqual(len(blobs), 1, requests)  # the base's config
        mounts = [r for r in requests if "mount=sha256" in r]
        self.assertEqual(len(mounts), 1, requests)
        self.assertIn("from=base", mounts[0])
        self.assertEqual(list((self.store / "layers").iterdir()), [])
        # An archive and a run need the layer, and get it.
        self.build("-o", f"type=oci,dest={self.dir}/image.tar")
        self.assertEqual(self.imgbuild("run", f"{name}:1").stdout,
                         "from the context")

    def test_pushed_image_keeps_its_digest_and_runs(self):
        built = self.build("-o", f"type=oci,dest={self.out}")
        name = f"{self.registry.address}/pushed"
        skopeo("copy", "--dest-tls-verify=false", f"oci-archive:{self.out}",
               f"docker://{name}:1")
        done = self.imgbuild("run", f"{name}@{built.digest}", "cat", "/d/b",
                             env={"IMGBUILD_ROOT": str(self.dir / "other")})
        self.assertEqual(done.stdout, "y\n")

    def test_docker_archive(self):
        self.build("-t", "o:1", "-o", f"type=docker,dest={self.out}")
        config = json.loads(skopeo("inspect", "--config",
                                   f"docker-archive:{self.out}"))
        self.assertEqual(config["config"]["Env"], ["PATH=/bin", "A=1"])
        with tarfile.open(self.out) as tar:
            manifest = json.load(tar.extractfile("manifest.json"))
        self.assertEqual(manifest[0]["RepoTags"], ["o:1"])
        skopeo("copy", f"docker-archive:{self.out}", f"dir:{self.dir}/copied")

    def test_tar(self):
        self.build("-o", f"type=tar,dest={self.out}")
        with tarfile.open(self.out) as tar:
            entries = {entry.name.rstrip("/"): entry for entry in tar}
            self.check_root(entries)
            self.assertEqual(tar.extractfile("d/a").read(), b"a\n")
        self.assertEqual(entries["d/link"].linkname, "a")
        self.assertEqual(entries["d/a"].mode, 0o600)
        self.assertEqual(entries["d/b"].mtime, harness.EPOCH)

    def test_tar_to_standard_output(self):
        done = self.build("-o", "-", binary=True)
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
            self.check_root([name.rstrip("/") for name in tar.getnames()])

    def test_local(self):
        self.build("-o", self.out)
        self.check_root([str(path.relative_to(self.out))
                         for path in self.out.rglob("*")])
        self.assertEqual((self.out / "d/a").read_text(), "a\n")
        self.assertEqual(os.readlink(self.out / "d/link"), "a")
        self.assertEqual((self.out / "d/a").stat().st_mode & 0o7777, 0o600)

    def test_two_outputs_at_once(self):
        self.build("-o", f"type=oci,dest={self.out}", "-o",
                   f"type=local,dest={self.dir}/tree")
        self.assertTrue((self.dir / "tree/d/a").exists())
        skopeo("inspect", "--raw", f"oci-archive:{self.out}")

    def test_archives_are_reproducible(self):
        for kind in ("oci", "docker", "tar"):
            self.build("-t", "o:1", "-o", f"type={kind},dest={self.out}1")
            self.build("-t", "o:1", "--no-cache", "-o",
                       f"type={kind},dest={self.out}2")
            first = pathlib.Path(f"{self.out}1").read_bytes()
            second = pathlib.Path(f"{self.out}2").read_bytes()
            self.assertTrue(first == second, kind)

    def test_nothing_half_made_when_the_destination_is_bad(self):
        done = self.build("-o", "type=oci,dest=/no/such/dir/x", status=5)
        self.assert_error(done,
                          'error: open "/no/such/dir/x.partial": no such file '
                          "or directory\n")
        self.assert_usable()


if __name__ == "__main__":
    unittest.main()
