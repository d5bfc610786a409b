"""Black-box tests of the imgbuild program against a real registry.

Each *_test.py is one CTest. A test sees what a user sees: words in; standard
output, standard error and an exit status out; files; and what skopeo and tar
make of what was written. Nothing here knows how imgbuild works inside, except
`store_files`, which looks for litter.
"""

import contextlib
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
import unittest
import urllib.request

IMGBUILD = os.environ.get("IMGBUILD") or str(
    pathlib.Path(__file__).resolve().parents[2] / "build" / "imgbuild")
SECONDS = 120  # longest time any one command may take
EPOCH = 1704067200  # 2024-01-01, the base image's time


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def need(program):
    path = shutil.which(program)
    if path is None:
        raise RuntimeError(f"{program} is not installed: run tools/setup")
    return path


class Registry:
    """Debian's docker-registry on a loopback port that the kernel picks."""

    def __init__(self, delete=False, htpasswd=None, tls=None):
        """HTPASSWD: the lines of such a file; without it, all may do all.
        TLS: (certificate, key)."""
        self.dir = tempfile.mkdtemp(prefix="imgbuild-e2e-registry.")
        config = pathlib.Path(self.dir, "config.yml")
        auth = ""
        if htpasswd:
            pathlib.Path(self.dir, "htpasswd").write_text(htpasswd)
            auth = ("auth: {htpasswd: {realm: test, "
                    f"path: {self.dir}/htpasswd}}}}\n")
        secure = (f", tls: {{certificate: {tls[0]}, key: {tls[1]}}}"
                  if tls else "")
        config.write_text(
            "version: 0.1\n"
            "log: {accesslog: {disabled: false}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.dir}/data}}, "
            f"delete: {{enabled: {str(delete).lower()}}}}}\n"
            f"{auth}"
            f'http: {{addr: "127.0.0.1:0"{secure}}}\n')
        self.log = pathlib.Path(self.dir, "log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [need("docker-registry"), "serve", str(config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.address = self._wait_for_address()

    def _wait_for_address(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            match = re.search(r"listening on (127\.0\.0\.1:\d+)",
                              self.log.read_text(errors="replace"))
            if match:
                return match.group(1)
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        self.stop()
        raise RuntimeError("docker-registry did not start")

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def requests(self):
        """The request lines that were answered, without HEAD and ping."""
        return re.findall(r'"((?:GET|POST|PUT) /v2/\S+) HTTP',
                          self.log.read_text(errors="replace"))

    def every_request(self):
        """Those too."""
        return re.findall(r'"([A-Z]+ /v2/\S*) HTTP',
                          self.log.read_text(errors="replace"))

    def blob_path(self, digest):
        hexa = digest.split(":")[1]
        return pathlib.Path(self.dir, "data/docker/registry/v2/blobs/sha256",
                            hexa[:2], hexa, "data")

    def put_manifest(self, name, tag, media_type, data):
        """Stores a manifest or index as it is; returns its digest."""
        request = urllib.request.Request(
            f"http://{self.address}/v2/{name}/manifests/{tag}", data=data,
            method="PUT", headers={"Content-Type": media_type})
        with urllib.request.urlopen(request, timeout=SECONDS):
            return digest_of(data)

    def push(self, layout, name):
        """Pushes the OCI layout directory as NAME:1; returns its digest."""
        subprocess.run(
            [need("skopeo"), "--insecure-policy", "copy", "--quiet",
             "--dest-tls-verify=false", f"oci:{layout}:1",
             f"docker://{self.address}/{name}:1"],
            check=True, capture_output=True, timeout=SECONDS)
        index = json.loads(pathlib.Path(layout, "index.json").read_text())
        return index["manifests"][0]["digest"]


def busybox_tar():
    """A root file system with one static binary, the same bytes each time."""
    busybox = os.path.realpath(need("busybox"))
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        def add(name, kind, mode, content=b"", link=""):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.mtime = kind, mode, EPOCH
            info.size, info.linkname = len(content), link
            tar.addfile(info, io.BytesIO(content))
        for name in ("bin", "etc", "tmp", "root", "proc", "sys", "dev"):
            add(name, tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755)
        add("bin/busybox", tarfile.REGTYPE, 0o755,
            pathlib.Path(busybox).read_bytes())
        for applet in ("cat echo env false grep hostname id kill ls mkdir mv "
                       "printf pwd rm seq sh sleep sort stat test touch true "
                       "wc").split():
            add(f"bin/{applet}", tarfile.SYMTYPE, 0o777, link="busybox")
        add("etc/passwd", tarfile.REGTYPE, 0o644,
            b"root:x:0:0:root:/root:/bin/sh\n"
            b"app:x:1000:1000:app:/home:/bin/sh\n")
        add("etc/group", tarfile.REGTYPE, 0o644, b"root:x:0:\napp:x:1000:\n")
    return data.getvalue()


def write_layout(directory, root_tar, config=None, architecture="amd64"):
    """An OCI layout, tagged 1, of one layer; returns the manifest digest."""
    blobs = pathlib.Path(directory, "blobs", "sha256")
    blobs.mkdir(parents=True)

    def put(data):
        digest = digest_of(data)
        (blobs / digest.split(":")[1]).write_bytes(data)
        return {"digest": digest, "size": len(data)}

    layer = put(gzip.compress(root_tar, mtime=0))
    config_blob = put(json.dumps({
        "architecture": architecture, "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"], **(config or {})},
        "rootfs": {"type": "layers", "diff_ids": [digest_of(root_tar)]},
        "history": [{"created": "2024-01-01T00:00:00Z"}],
    }).encode())
    image = "application/vnd.oci.image."
    manifest = put(json.dumps({
        "schemaVersion": 2, "mediaType": image + "manifest.v1+json",
        "config": {"mediaType": image + "config.v1+json", **config_blob},
        "layers": [{"mediaType": image + "layer.v1.tar+gzip", **layer}],
    }).encode())
    pathlib.Path(directory, "oci-layout").write_text(
        '{"imageLayoutVersion":"1.0.0"}')
    pathlib.Path(directory, "index.json").write_text(json.dumps({
        "schemaVersion": 2,
        "manifests": [{"mediaType": image + "manifest.v1+json", **manifest,
                       "annotations": {
                           "org.opencontainers.image.ref.name": "1"}}],
    }))
    return manifest["digest"]


class Result:
    def __init__(self, words, status, stdout, stderr):
        self.words, self.status = words, status
        self.stdout, self.stderr = stdout, stderr

    def __str__(self):
        return (f"$ imgbuild {' '.join(self.words)}\n"
                f"[exit status {self.status}]\n--- stdout\n{self.stdout}"
                f"--- stderr\n{self.stderr}")

    @property
    def digest(self):
        match = re.search(r"^Digest: (sha256:[0-9a-f]{64})", self.stdout,
                          re.MULTILINE)
        if match is None:
            raise AssertionError(f"no Digest: line\n{self}")
        return match.group(1)

    @property
    def error(self):
        """Standard error from `error:` on."""
        at = re.search(r"^error:", self.stderr, re.MULTILINE)
        return self.stderr[at.start():] if at else ""


class Case(unittest.TestCase):
    """A registry with the image `base` for the class, a store for a test."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.registry = Registry()
        cls.addClassCleanup(cls.registry.stop)
        with tempfile.TemporaryDirectory() as layout:
            write_layout(layout, busybox_tar())
            cls.base_digest = cls.registry.push(layout, "base")
        cls.base = f"{cls.registry.address}/base@{cls.base_digest}"

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="imgbuild-e2e."))
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.store = self.dir / "store"
        self.context = self.dir / "context"
        self.context.mkdir()
        (self.dir / "home").mkdir()

    # --- words in -----------------------------------------------------------

    def imgbuild(self, *words, status=0, stdin=b"", env=None, cwd=None,
                 binary=False):
        """Runs imgbuild; its exit status must be STATUS."""
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.dir / "home"),
            "IMGBUILD_ROOT": str(self.store), "LC_ALL": "C.UTF-8",
            **(env or {})}
        done = subprocess.run(
            [IMGBUILD, *map(str, words)], input=stdin, capture_output=True,
            env=environment, cwd=cwd or self.context, timeout=SECONDS,
            check=False)
        stdout = done.stdout if binary else done.stdout.decode()
        result = Result([str(word) for word in words], done.returncode,
                        stdout, done.stderr.decode())
        if status is not None:
            self.assertEqual(result.status, status, str(result))
        return result

    def write(self, name, text, mode=0o644):
        path = self.context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def dockerfile(self, text, name="Dockerfile"):
        """Writes the Dockerfile; BASE stands for the pinned base image."""
        return self.write(name, text.replace("BASE", self.base))

    def build(self, *words, status=0, **more):
        return self.imgbuild("build", *words, ".", status=status, **more)

    # --- what came out ------------------------------------------------------

    def assert_error(self, result, text):
        """The whole error, with BASE and REGISTRY in place of names."""
        got = result.error.replace(self.base, "BASE")
        got = got.replace(self.registry.address, "REGISTRY")
        self.assertEqual(got, text, str(result))

    def assert_usable(self):
        """The store lists, builds and runs as if nothing had happened."""
        self.imgbuild("images")
        with tempfile.TemporaryDirectory() as context:
            pathlib.Path(context, "Dockerfile").write_text(
                f"FROM {self.base}\nRUN echo fine > /state\n"
                'CMD ["cat", "/state"]\n')
            self.imgbuild("build", "-t", "usable:1", context)
        self.assertEqual(
            self.imgbuild("run", "--rm", "usable:1").stdout, "fine\n")
        self.imgbuild("rmi", "usable:1")
        self.assert_no_litter()

    def assert_no_litter(self):
        """Nothing half-made is left in the store."""
        left = [str(path.relative_to(self.store))
                for name in ("tmp", "containers/run")
                for path in (self.store / name).glob("*")]
        self.assertEqual(left, [])
        mounts = pathlib.Path("/proc/self/mountinfo").read_text()
        self.assertNotIn(f" {self.store}/", mounts)

    def image_names(self):
        """[(repository, tag)] as `imgbuild images` lists them."""
        lines = self.imgbuild("images").stdout.splitlines()[1:]
        return [tuple(line.split()[:2]) for line in lines]


def cached(result):
    return len(re.findall(r"^#\d+ CACHED$", result.stderr, re.MULTILINE))


@contextlib.contextmanager
def damaged(path, change):
    """The file's bytes are CHANGE(bytes) for a while."""
    good = path.read_bytes()
    path.write_bytes(change(good))
    try:
        yield
    finally:
        path.write_bytes(good)
