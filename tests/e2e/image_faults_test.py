"""Image commands in bad surroundings: one clear error, nothing half-done."""

import os
import pathlib
import signal
import sqlite3
import subprocess
import time
import unittest

import harness

DATA = pathlib.Path(__file__).resolve().parents[2] / "testdata/docker"
COMMANDS = (
    ("images",), ("history", "golden/app:1"), ("inspect", "golden/app:1"),
    ("tag", "golden/app:1", "x:1"), ("save", "golden/app:1"),
    ("rmi", "golden/db:1"), ("prune", "images", "-f"), ("df",),
    ("store", "check"))


class Faults(harness.Case):
    @classmethod
    def setUpClass(cls):
        """No registry is needed."""

    def setUp(self):
        super().setUp()
        self.imgbuild("load", "-i", DATA / "fixture.tar")

    def start(self, *words):
        return subprocess.Popen(
            [harness.IMGBUILD, *words], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "IMGBUILD_ROOT": str(self.store)})

    def test_a_store_of_a_newer_version(self):
        with sqlite3.connect(self.store / "meta.db") as db:
            db.execute("PRAGMA user_version = 999")
        db.close()
        for words in COMMANDS:
            done = self.imgbuild(*words, status=5)
            self.assertEqual(done.stdout, "")
            self.assertRegex(done.stderr, "^error: .* the store has version 999")

    def test_names_that_mean_nothing(self):
        for word, said in (("nosuch", "no such"), ("a@sha256:", "invalid"),
                           ("x@sha256:zz", "invalid"), ("UP", "lowercase")):
            for words in (("rmi", word), ("history", word), ("save", word),
                          ("inspect", word), ("tag", word, "x:1"),
                          ("diff", word, word)):
                done = self.imgbuild(*words, status=1)
                self.assertIn(said, done.stderr)
                self.assertEqual(done.stderr.count("error:"), 1, str(done))

    def test_an_interrupted_load_leaves_nothing(self):
        data = (DATA / "fixture.tar").read_bytes()
        blobs = sorted(p.name for p in self.store.glob("blobs/*/*"))
        names = self.image_names()
        for how, status in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
            process = self.start("load")
            process.stdin.write(data[:len(data) // 2])
            process.stdin.flush()
            time.sleep(0.3)
            process.send_signal(how)
            time.sleep(0.2)
            process.stdin.close()
            process.wait(timeout=harness.SECONDS)
            process.stdout.close()
            process.stderr.close()
            if how == signal.SIGKILL:
                self.assertEqual(process.returncode, status)
            else:
                self.assertNotEqual(process.returncode, 0)
            self.imgbuild("prune", "images", "-f")
            self.assertEqual(sorted(
                p.name for p in self.store.glob("blobs/*/*")), blobs)
            self.assertEqual(self.image_names(), names)
            self.assert_no_litter()
            self.assertEqual(self.imgbuild("store", "check").stdout,
                             "the store is sound\n")

    def test_a_full_disk_while_saving(self):
        done = self.imgbuild("save", "-o", "/dev/full/x", "golden/app:1",
                             status=5)
        self.assertIn("error:", done.stderr)
        with open("/dev/full", "wb") as full:
            process = subprocess.run(
                [harness.IMGBUILD, "save", "golden/app:1"], stdout=full,
                stderr=subprocess.PIPE, check=False,
                env={**os.environ, "IMGBUILD_ROOT": str(self.store)})
        self.assertEqual(process.returncode, 5)
        self.assertIn(b"no space left on device", process.stderr.lower())


if __name__ == "__main__":
    unittest.main()
