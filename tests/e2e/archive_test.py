"""save and load: names and digests survive, hostile archives leave nothing."""

import bz2
import gzip
import hashlib
import io
import json
import lzma
import shutil
import subprocess
import tarfile
import unittest

import harness


def members(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {m.name: tar.extractfile(m).read()
                for m in tar.getmembers() if m.isfile()}


def archive(files, extra=()):
    """A tar of FILES and, at its end, of the TarInfos of EXTRA."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in extra:
            tar.addfile(info)
    return out.getvalue()


class Archives(harness.Case):
    def setUp(self):
        super().setUp()
        self.dockerfile("FROM BASE\nRUN echo x > /x\nCMD [\"cat\", \"/x\"]\n")
        self.digest = self.build("-t", "app:1").digest

    def save(self, *words):
        return self.imgbuild("save", *words, binary=True).stdout

    def wipe(self):
        shutil.rmtree(self.store)

    def load(self, data, status=0):
        return self.imgbuild("load", stdin=data, status=status)

    def test_a_digest_survives_without_a_network(self):
        data = self.save("app:1")
        self.registry_requests = len(self.registry.requests())
        self.wipe()
        self.assertEqual(self.load(data).stdout, "Loaded image: app:1\n")
        done = self.imgbuild("run", f"app@{self.digest}")
        self.assertEqual(done.stdout, "x\n")
        self.assertEqual(len(self.registry.requests()),
                         self.registry_requests)
        self.assertEqual(self.save("app:1"), data)
        self.assert_no_litter()

    def test_a_name_by_digest_survives(self):
        self.imgbuild("pull", self.base)
        data = self.save(f"app@{self.digest}", self.base)
        self.wipe()
        self.assertEqual(
            self.load(data).stdout,
            f"Loaded image: app@{self.digest}\nLoaded image: {self.base}\n")
        self.assertEqual(
            self.image_names(),
            [(f"{self.registry.address}/base", "<none>"), ("app", "<none>")])
        self.assertEqual(
            self.imgbuild("images", "-q", "--filter", "dangling=true").stdout,
            "")

    def test_several_names_and_ids(self):
        self.imgbuild("tag", "app:1", "app:2")
        self.imgbuild("tag", "app:1", "other:x")
        image_id = self.imgbuild("images", "-q", "app:1").stdout.strip()
        by_id = self.save(image_id)
        every = self.save("app", "other:x")
        self.wipe()
        self.assertIn("Loaded image ID: sha256:" + image_id,
                      self.load(by_id).stdout)
        self.assertEqual(self.load(every).stdout,
                         "Loaded image: app:1\nLoaded image: app:2\n"
                         "Loaded image: other:x\n")

    def test_every_compression(self):
        data = self.save("app:1")
        zstd = subprocess.run(["zstd", "-q", "-c"], input=data, check=True,
                              capture_output=True).stdout
        for packed in (gzip.compress(data), bz2.compress(data),
                       lzma.compress(data), zstd):
            self.wipe()
            self.assertEqual(self.load(packed).stdout,
                             "Loaded image: app:1\n")
        self.assertEqual(self.imgbuild("run", "app:1").stdout, "x\n")

    def test_save_to_a_file_is_whole_or_absent(self):
        file = self.dir / "out.tar"
        self.imgbuild("save", "-o", file, "nosuch", status=1)
        self.assertEqual(list(self.dir.glob("out*")), [])
        self.imgbuild("save", "-o", file, "app:1")
        self.assertEqual(file.read_bytes(), self.save("app:1"))

    def test_an_archive_of_the_old_form(self):
        root = harness.busybox_tar()
        config = json.dumps({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers",
                       "diff_ids": [harness.digest_of(root)]},
            "history": [{}]}).encode()
        name = hashlib.sha256(config).hexdigest() + ".json"
        data = archive({
            "aa/layer.tar": root, "aa/VERSION": b"1.0", name: config,
            "manifest.json": json.dumps([{
                "Config": name, "RepoTags": ["old:1"],
                "Layers": ["aa/layer.tar"]}]).encode()})
        self.assertEqual(self.load(data).stdout, "Loaded image: old:1\n")
        self.assertEqual(self.imgbuild("run", "old:1", "echo", "y").stdout,
                         "y\n")

    def test_a_moved_tag_is_told(self):
        data = self.save("app:1")
        self.dockerfile("FROM BASE\nENV OTHER=1\n")
        self.build("-t", "app:1")
        old = self.imgbuild("inspect", "-f", "{{.Id}}", "app:1").stdout.strip()
        self.assertEqual(
            self.load(data).stdout,
            "The image app:1 already existed, renaming the old one with ID "
            f"{old} to empty string\nLoaded image: app:1\n")

    def blobs(self):
        return sorted(p.name for p in (self.store / "blobs").glob("*/*"))

    def refuse(self, data, text):
        """The archive is refused with TEXT, and nothing of it stays."""
        before = self.blobs()
        names = self.image_names()
        done = self.load(data, status=1)
        self.assertIn(text, done.stderr, str(done))
        self.assertEqual(self.blobs(), before)
        self.assertEqual(self.image_names(), names)
        self.assert_no_litter()

    def test_hostile_names_and_types(self):
        files = members(self.save("app:1"))
        for name in ("../evil", "/etc/evil", "a/../../evil", "a//b", "./../x"):
            self.refuse(archive({name: b"x", **files}), "unsafe name")
        link = tarfile.TarInfo("blobs/sha256/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        self.refuse(archive(files, [link]), "neither a file nor a directory")
        hard = tarfile.TarInfo("hard")
        hard.type, hard.linkname = tarfile.LNKTYPE, "index.json"
        self.refuse(archive(files, [hard]), "neither a file nor a directory")
        device = tarfile.TarInfo("device")
        device.type = tarfile.CHRTYPE
        self.refuse(archive(files, [device]), "neither a file nor a directory")
        again = tarfile.TarInfo("index.json")
        self.refuse(archive(files, [again]), "is there twice")
        self.refuse(archive({"blobs/sha256/xyz": b"", **files}),
                    "is not named by a digest")
        self.assertFalse((self.dir / "evil").exists())

    def test_damaged_archives(self):
        data = self.save("app:1")
        files = members(data)
        self.refuse(b"", "there is nothing in it")
        self.refuse(data[:len(data) // 2], "error:")
        self.refuse(gzip.compress(data)[:-20], "error:")
        self.refuse(archive({"x": b"y"}), "neither index.json nor")
        for name in files:
            if not name.startswith("blobs/"):
                continue
            self.wipe_names()
            changed = dict(files)
            changed[name] = files[name][:-1] + b"?"
            self.refuse(archive(changed), "error:")
            del changed[name]
            self.refuse(archive(changed), "is missing")

    def wipe_names(self):
        """An empty store: a blob that is there already is not missing."""
        self.wipe()
        self.imgbuild("images")

    def test_lying_documents(self):
        files = members(self.save("app:1"))
        self.wipe_names()
        index = json.loads(files["index.json"])
        entry = index["manifests"][0]

        def with_name(name):
            entry["annotations"]["io.containerd.image.name"] = name
            return archive({**files, "index.json": json.dumps(index).encode()})

        self.refuse(with_name("UPPER:1"), "must be lowercase")
        self.refuse(with_name("x@sha256:" + "0" * 64), "stands beside")
        self.refuse(archive({**files, "index.json": b"{"}), "error:")
        docker = {k: v for k, v in files.items() if k != "index.json"}
        entries = json.loads(files["manifest.json"])
        for key, value, text in (
                ("Layers", [], "names 2 layers, the manifest 0"),
                ("Layers", ["../../etc/passwd"], "is missing"),
                ("Config", "index.json", "is missing"),
                ("RepoTags", [f"x@{self.digest}"], "is no tag"),
                ("Layers", entries[0]["Layers"][::-1], "error:")):
            changed = [{**entries[0], key: value}]
            self.refuse(archive({**docker, "manifest.json":
                                 json.dumps(changed).encode()}), text)

    def test_no_such_platform(self):
        self.refuse_platform = self.imgbuild(
            "load", "--platform", "linux/s390x", stdin=self.save("app:1"),
            status=1)
        self.assertIn("no image in it is for linux/s390x",
                      self.refuse_platform.stderr)


if __name__ == "__main__":
    unittest.main()
