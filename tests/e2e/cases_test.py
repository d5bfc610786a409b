"""The language cases of testdata/cases, each built and compared with what the
reference builder makes of it (recorded in NAME.golden; see tools/cases.py).

IMGBUILD_CASES=name,name… runs some of them; IMGBUILD_UPDATE=1 rewrites the
goldens of cases that are ours alone: errors and cases with a NAME.ours.
"""

import concurrent.futures
import gzip
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

import harness

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import cases  # noqa: E402

ENV = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]


def base_tar():
    """A small busybox system, the same files each time."""
    busybox = os.path.realpath(harness.need("busybox"))
    applets = subprocess.run([busybox, "--list"], check=True, text=True,
                             capture_output=True).stdout.split()
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        def add(name, kind, mode, content=b"", link=""):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime = kind, mode, harness.EPOCH
            info.size, info.linkname = len(content), link
            tar.addfile(info, io.BytesIO(content))
        # Closed to others, as a root made in a mktemp -d is.
        add("./", tarfile.DIRTYPE, 0o700)
        for name in ("bin dev etc home proc root sbin sys tmp usr usr/bin "
                     "usr/sbin var var/tmp").split():
            mode = {"root": 0o700, "tmp": 0o1777, "var/tmp": 0o1777}
            add(name, tarfile.DIRTYPE, mode.get(name, 0o755))
        add("bin/busybox", tarfile.REGTYPE, 0o755,
            pathlib.Path(busybox).read_bytes())
        for applet in sorted(set(applets) - {"busybox"}):
            add(f"bin/{applet}", tarfile.SYMTYPE, 0o777, link="busybox")
        add("etc/passwd", tarfile.REGTYPE, 0o644,
            b"root:x:0:0:root:/root:/bin/sh\n"
            b"daemon:x:1:1:daemon:/usr/sbin:/bin/false\n"
            b"nobody:x:65534:65534:nobody:/home:/bin/false\n")
        add("etc/group", tarfile.REGTYPE, 0o644,
            b"root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n")
        add("etc/shadow", tarfile.REGTYPE, 0o640, b"root:*:::::::\n")
    return data.getvalue()


def arch_tar(architecture):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        content = f"hello from {architecture}\n".encode()
        info = tarfile.TarInfo("arch.txt")
        info.size, info.mtime = len(content), harness.EPOCH
        tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


def write_index(directory, images):
    """An OCI layout with an index of {architecture: [layer tar]}, tagged 1."""
    blobs = pathlib.Path(directory, "blobs", "sha256")
    blobs.mkdir(parents=True)
    kind = "application/vnd.oci.image."

    def put(data, media_type):
        digest = harness.digest_of(data)
        (blobs / digest.split(":")[1]).write_bytes(data)
        return {"mediaType": kind + media_type, "digest": digest,
                "size": len(data)}

    manifests = []
    for architecture, tars in images.items():
        config = put(json.dumps({
            "architecture": architecture, "os": "linux",
            "created": "2024-01-01T00:00:00Z",
            "config": {"Env": ENV, "Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers",
                       "diff_ids": [harness.digest_of(t) for t in tars]},
            "history": [{"created": "2024-01-01T00:00:00Z"} for _ in tars],
        }).encode(), "config.v1+json")
        layers = [put(gzip.compress(t, mtime=0), "layer.v1.tar+gzip")
                  for t in tars]
        manifest = put(json.dumps({
            "schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
            "config": config, "layers": layers}).encode(), "manifest.v1+json")
        manifest["platform"] = {"architecture": architecture, "os": "linux"}
        manifests.append(manifest)
    index = put(json.dumps({
        "schemaVersion": 2, "mediaType": kind + "index.v1+json",
        "manifests": manifests}).encode(), "index.v1+json")
    index["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    pathlib.Path(directory, "oci-layout").write_text(
        '{"imageLayoutVersion":"1.0.0"}')
    pathlib.Path(directory, "index.json").write_text(json.dumps(
        {"schemaVersion": 2, "manifests": [index]}))


def skopeo(*words):
    subprocess.run([harness.need("skopeo"), "--insecure-policy", "copy",
                    "--quiet", *words], check=True, capture_output=True,
                   timeout=harness.SECONDS)


class Bench:
    """A registry with the bases, and one store that all cases share."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="imgbuild-cases."))
        self.registry = harness.Registry()
        (self.dir / "served").mkdir()
        self.servers = cases.Servers(self.dir / "served")
        self.addresses = (self.registry.address, self.servers.files,
                          self.servers.git)
        busybox = base_tar()
        for name, images in (
                ("busybox", {"amd64": [busybox]}),
                ("multi", {"amd64": [busybox, arch_tar("amd64")],
                           "arm64": [arch_tar("arm64")]})):
            layout = self.dir / name
            write_index(layout, images)
            skopeo("--all", "--dest-tls-verify=false", f"oci:{layout}:1",
                   f"docker://{self.registry.address}/{name}:latest")
        self.base = self.dir / "base.tar"
        skopeo(f"oci:{self.dir}/busybox:1", f"oci-archive:{self.base}")

    def close(self):
        self.servers.close()
        self.registry.stop()
        shutil.rmtree(self.dir, ignore_errors=True)

    def build(self, name):
        """The listing of the image, or what was said instead."""
        with tempfile.TemporaryDirectory(dir=self.dir) as work:
            flags = cases.write(name, work, self.addresses)
            archive = pathlib.Path(work, "image.tar")
            result = subprocess.run(
                [harness.IMGBUILD, "build", "--progress=plain", "--output",
                 f"type=oci,dest={archive}", *flags, "."],
                cwd=pathlib.Path(work, name), capture_output=True, text=True,
                errors="replace", timeout=harness.SECONDS,
                env={**os.environ, "CASE_SECRET": "s3cret",
                     "IMGBUILD_ROOT": str(self.dir / "store")})
            if result.returncode == 0:
                return 0, cases.listing(self.base, archive, self.addresses)
            at = re.search(r"^error:", result.stderr, re.MULTILINE)
            text = result.stderr[at.start():] if at else result.stderr
            for host, address in zip(cases.HOSTS, self.addresses):
                text = text.replace(address, host)
            return result.returncode, text.replace(f"{work}/{name}/", "")


class CasesTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.bench = Bench()
        cls.addClassCleanup(cls.bench.close)
        chosen = os.environ.get("IMGBUILD_CASES")
        cls.names = chosen.split(",") if chosen else cases.names()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            cls.results = dict(zip(cls.names,
                                   pool.map(cls.bench.build, cls.names)))

    def test_cases(self):
        for name in self.names:
            status, text = self.results[name]
            golden = cases.CASES / (name + ".golden")
            refused = cases.part(name, ".fails") is not None
            ours = refused or cases.part(name, ".ours") is not None
            if ours and os.environ.get("IMGBUILD_UPDATE"):
                golden.write_text(text)
            with self.subTest(name):
                self.assertEqual(status != 0, refused, text)
                self.assertTrue(golden.exists(), "there is no golden file")
                self.assertEqual(golden.read_text(), text)


if __name__ == "__main__":
    unittest.main()
