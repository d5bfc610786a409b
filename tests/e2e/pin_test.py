"""`pin` and `unpin`: digests in Dockerfiles, with a real registry and git."""

import json
import os
import stat
import subprocess
import unittest

import harness

INDEX = "application/vnd.oci.image.index.v1+json"


class Pin(harness.Case):
    def setUp(self):
        super().setUp()
        self.name = f"{self.registry.address}/base"
        self.git("init", "-q")

    def git(self, *words):
        return subprocess.run(
            ["git", *words], cwd=self.context, check=True, text=True,
            capture_output=True, timeout=harness.SECONDS,
            env={**os.environ, "HOME": str(self.dir / "home")}).stdout

    def write_bytes(self, name, text):
        path = self.context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.replace("BASE", self.name).encode())
        return path

    def pin(self, *words, status=0, command="pin", **more):
        done = self.imgbuild(command, *words, status=status, **more)
        self.assertFalse(self.store.exists())
        return done

    def count(self, text):
        return self.registry.log.read_text().count(text)

    def test_pin_and_unpin(self):
        path = self.write_bytes(
            "Dockerfile",
            "FROM BASE:1 AS a\r\nFROM scratch\r\nCOPY --from=BASE:1 / /")
        path.chmod(0o640)
        before = path.read_bytes()
        done = self.pin()
        pinned = f"{self.name}:1@{self.base_digest}"
        self.assertEqual(done.stdout,
                         f"Dockerfile:1: {pinned}\n"
                         f"Dockerfile:3: {pinned}\n"
                         "pinned 2 of 2 names in 1 file\n")
        self.assertEqual(
            path.read_bytes(),
            before.replace(f"{self.name}:1".encode(), pinned.encode()))
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o640)
        self.assertEqual(self.pin("--check").stdout, "")
        self.assertEqual(self.pin(".").stdout, "pinned 0 of 2 names in 1 file; "
                         "2 pinned already\n")
        done = self.pin(command="unpin")
        self.assertEqual(
            done.stdout,
            f"Dockerfile:1: {self.name}:1 (was {self.base_digest})\n"
            f"Dockerfile:3: {self.name}:1 (was {self.base_digest})\n"
            "unpinned 2 of 2 names in 1 file\n")
        self.assertEqual(path.read_bytes(), before)

    def test_git_applies_the_patch(self):
        cases = {
            "unix/Dockerfile": "# c\nFROM BASE:1\nRUN a\n" + "RUN x\n" * 9
                               + "FROM BASE:1\n",
            "crlf/Dockerfile": "# c\r\nFROM BASE:1\r\nRUN a\r\n",
            "no newline/Dockerfile": "RUN\n".replace("RUN", "#")
                                     + "FROM BASE:1",
            "crlf, no newline/Dockerfile": "FROM BASE:1\r\nRUN b\r\n"
                                           "FROM BASE:1 AS b",
            "bom \u00e4 \"x\"/Dockerfile": "\ufeffFROM BASE:1\n",
        }
        for name, text in cases.items():
            self.write_bytes(name, text)
        self.git("-c", "core.autocrlf=false", "add", ".")
        patch = self.pin("-r", "--dry-run", binary=True).stdout
        self.assertEqual(self.git("diff", "--name-only"), "")
        (self.dir / "patch").write_bytes(patch)
        # From below the top it is the same patch.
        self.assertEqual(
            self.pin("-r", "--dry-run", "..", binary=True,
                     cwd=self.context / "unix").stdout, patch)
        self.git("apply", self.dir / "patch")
        applied = {name: (self.context / name).read_bytes() for name in cases}
        self.git("checkout", ".")
        self.pin("-r")
        for name in cases:
            written = (self.context / name).read_bytes()
            self.assertEqual(applied[name], written, name)
            self.assertIn(self.base_digest.encode(), written)

    def test_update_moves_to_the_present_digest(self):
        image = (self.registry.blob_path(self.base_digest)).read_bytes()
        entry = {"mediaType": "application/vnd.oci.image.manifest.v1+json",
                 "size": len(image), "digest": self.base_digest,
                 "platform": {"os": "linux", "architecture": "amd64"}}
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX,
                            "manifests": [entry]}).encode()
        self.registry.put_manifest(
            "base", "moving", "application/vnd.oci.image.manifest.v1+json",
            image)
        path = self.write_bytes(
            "Dockerfile", "ARG TAG=moving\nFROM BASE:${TAG}\n")
        self.pin()
        self.assertIn(f"TAG=moving@{self.base_digest}\n", path.read_text())
        self.pin("--update", "--check")
        digest = self.registry.put_manifest("base", "moving", INDEX, index)
        self.pin("--check")
        checked = self.pin("--update", "--check", status=6)
        self.assertEqual(
            checked.stderr,
            f"error: {self.name}:moving is pinned to {self.base_digest}, and "
            f"stands for {digest} now\n"
            " --> Dockerfile:2:6\n"
            "  |\n"
            f"2 | FROM {self.name}:${{TAG}}\n"
            f"  |      {'^' * len(self.name + ':${TAG}')}\n"
            "  = hint: imgbuild pin --update -f Dockerfile\n")
        done = self.pin("--update")
        self.assertEqual(
            done.stdout,
            f"Dockerfile:2: {self.name}:moving {self.base_digest} → {digest} "
            "(ARG TAG, line 1)\n"
            "updated 1 of 1 name in 1 file\n")
        self.assertIn(f"TAG=moving@{digest}\n", path.read_text())

    def test_check_asks_nobody(self):
        self.write_bytes("Dockerfile", "FROM BASE:1\n")
        before = self.count("/v2/")
        done = self.pin("--check", status=6)
        self.assertEqual(self.count("/v2/"), before)
        self.assertEqual(
            done.stderr,
            f"error: {self.name}:1 is not pinned\n"
            " --> Dockerfile:1:6\n"
            "  |\n"
            f"1 | FROM {self.name}:1\n"
            f"  |      {'^' * len(self.name + ':1')}\n"
            "  = hint: imgbuild pin -f Dockerfile\n")

    def test_many_files_ask_once_a_name(self):
        names = ["Dockerfile", "a/Dockerfile", "a/b/web.Dockerfile",
                 "Containerfile", "c/Dockerfile.dev"]
        for name in names:
            self.write_bytes(name, "FROM BASE:1\nFROM BASE:1 AS b\n")
        for name in (".hidden/Dockerfile", "Dockerfile.dockerignore",
                     "Dockerfile.orig", "notes"):
            self.write_bytes(name, "FROM BASE:1\n")
        before = self.count(" /v2/base/manifests/1 HTTP/1.1\" 200")
        done = self.pin("-r")
        self.assertEqual(self.count(" /v2/base/manifests/1 HTTP/1.1\" 200") - before, 1)
        self.assertIn("pinned 10 of 10 names in 5 files\n", done.stdout)
        for name in names:
            self.assertIn(self.base_digest, (self.context / name).read_text())
        self.assertNotIn("sha256", (self.context / "notes").read_text())

    def test_the_lock_decides(self):
        """Its digest, whatever the tag stands for; and nobody is asked."""
        path = self.write_bytes("Dockerfile", "FROM BASE:1\nFROM BASE:2\n")
        digest = "sha256:" + "ab" * 32
        self.write("Dockerfile.lock",
                   "version = 1\n\n[[image]]\n"
                   f'name = "{self.name}:1"\nwritten = ["{self.name}:1"]\n'
                   f'digest = "{digest}"\nmedia-type = "{INDEX}"\n'
                   "size = 7\n\n"
                   '[image.platform."linux/amd64"]\n'
                   f'manifest = "{digest}"\nsize = 7\nconfig = "{digest}"\n')
        before = self.count("/v2/")
        done = self.pin(status=6)
        self.assertEqual(self.count("/v2/"), before)
        self.assertEqual(path.read_text(),
                         f"FROM {self.name}:1@{digest}\nFROM {self.name}:2\n")
        self.assertEqual(
            done.stderr,
            f"error: Dockerfile.lock does not have {self.name}:2\n"
            " --> Dockerfile:2:6\n"
            "  |\n"
            f"2 | FROM {self.name}:2\n"
            f"  |      {'^' * len(self.name + ':2')}\n"
            f"  = hint: `imgbuild lock add -f Dockerfile {self.name}:2` adds "
            "it, `imgbuild pin --no-lock` asks the registry\n")
        path.write_text(f"FROM {self.name}:1\n")
        self.pin("--no-lock")
        self.assertIn(self.base_digest, path.read_text())
        # And --update brings it to what the lock has.
        self.pin("--update")
        self.assertIn(digest, path.read_text())

    def test_a_link_stays_a_link(self):
        path = self.write_bytes("real/file", "FROM BASE:1\n")
        (self.context / "Dockerfile").symlink_to("real/file")
        self.pin()
        self.assertTrue((self.context / "Dockerfile").is_symlink())
        self.assertIn(self.base_digest, path.read_text())
        self.assertEqual(sorted(os.listdir(path.parent)), ["file"])
        self.assertIn("--- a/real/file\n",
                      self.pin("--dry-run", command="unpin").stdout)

    def test_json(self):
        self.write_bytes("Dockerfile",
                         "ARG V=1\nFROM BASE:1\nFROM BASE:${V}-x\n")
        done = self.pin("--format", "json", status=6)
        rows = json.loads(done.stdout)
        self.assertEqual(rows[0], {
            "file": "Dockerfile", "line": 2, "column": 6, "site": "FROM",
            "name": f"{self.name}:1", "what": "pinned", "before": "",
            "after": self.base_digest, "arg": ""})
        self.assertEqual([(row["what"], row["line"]) for row in rows],
                         [("pinned", 2), ("refused", 3)])

    def test_check_as_json(self):
        self.write_bytes("Dockerfile", "FROM BASE:1\n")
        rows = json.loads(self.pin("--check", "--format", "json",
                                   status=6).stdout)
        self.assertEqual([(row["what"], row["name"]) for row in rows],
                         [("not pinned", f"{self.name}:1")])

    def test_exclude(self):
        self.registry.put_manifest(
            "base", "2", "application/vnd.oci.image.manifest.v1+json",
            self.registry.blob_path(self.base_digest).read_bytes())
        path = self.write_bytes("Dockerfile", "FROM BASE:1\nFROM BASE:2\n")
        done = self.pin("--exclude", f"{self.name}:1")
        self.assertIn("pinned 1 of 1 name in 1 file; 1 excluded\n",
                      done.stdout)
        self.assertEqual(
            path.read_text(),
            f"FROM {self.name}:1\nFROM {self.name}:2@{self.base_digest}\n")
        self.pin("--check", "--exclude", "*:1")
        self.pin("--check", status=6)
        self.assertIn("1 excluded", self.pin(
            "--exclude", "*:2", command="unpin").stdout)
        self.assertIn("@sha256", path.read_text())
        self.assertIn(f"did you mean {self.name}:1?",
                      self.pin("--exclude", f"{self.name}:", status=2).stderr)

    def test_a_filter(self):
        text = f"ARG V=1\r\nFROM {self.name}:$V\r\n# no more"
        done = self.pin("-f", "-", stdin=text.encode(), binary=True)
        self.assertEqual(done.stdout.decode(),
                         text.replace("V=1", f"V=1@{self.base_digest}"))
        self.assertIn("<stdin>:2: ", done.stderr)
        self.assertIn("pinned 1 of 1 name in 1 file\n", done.stderr)
        back = self.pin("-f", "-", stdin=done.stdout, binary=True,
                        command="unpin")
        self.assertEqual(back.stdout.decode(), text)
        # What is refused is left as it is, and the text comes all the same.
        text = f"FROM {self.name}:no\n"
        done = self.pin("-f", "-", stdin=text.encode(), status=4)
        self.assertEqual(done.stdout, text)
        self.assertIn(" --> <stdin>:1:6\n", done.stderr)
        self.pin("-f", "-", "--check", stdin=text.encode(), status=6)
        for words, said in (
                (("-f", "-", "--dry-run"), "-f - writes no file"),
                (("-f", "-", "--format=json"), "only --check does"),
                (("-f", "-", "-f", "x"), "-f - goes with no other file")):
            self.assertIn(said, self.pin(*words, status=2).stderr)
        self.assertIn("standard input has none",
                      self.imgbuild("lock", "-f", "-", status=2).stderr)

    def test_usage(self):
        for words, text in (
                ((), "there is no Dockerfile in \".\""),
                (("-r",), "there is no Dockerfile in \".\""),
                (("-f", "no"), "there is no Dockerfile at \"no\""),
                (("no",), "there is no \"no\""),
                (("--dry-run", "--check"), "--check writes nothing"),
                (("--format", "yaml"), "unknown --format yaml")):
            self.assertIn(text, self.pin(*words, status=2).stderr)

    def test_no_such_tag_leaves_the_rest(self):
        path = self.write_bytes("Dockerfile", "FROM BASE:1\nFROM BASE:no\n")
        done = self.pin(status=4)
        self.assertEqual(
            path.read_text(),
            f"FROM {self.name}:1@{self.base_digest}\nFROM {self.name}:no\n")
        self.assertEqual(
            done.stdout,
            f"Dockerfile:1: {self.name}:1@{self.base_digest}\n"
            "pinned 1 of 2 names in 1 file; 1 refused\n")
        self.assertIn(" --> Dockerfile:2:6\n", done.stderr)


if __name__ == "__main__":
    unittest.main()
