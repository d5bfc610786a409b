"""Each command on images and containers, given what is wrong: one clear error,
nothing lost, nothing half-done."""

import os
import pathlib
import signal
import sqlite3
import subprocess
import time
import unittest

import harness

NO_SUCH = "sha256:" + "f" * 64

# Commands that take one image, with {} for it.
ON_IMAGES = (
    ("history", "{}"), ("inspect", "--type", "image", "{}"),
    ("tag", "{}", "x:1"), ("rmi", "{}"), ("rmi", "-f", "--platform",
                                          "linux/amd64", "{}"),
    ("save", "{}"), ("diff", "{}", "{}"), ("mount", "--type", "image", "{}"),
    ("umount", "--type", "image", "{}"))
# Commands that take one container.
ON_CONTAINERS = (
    ("start", "{}"), ("stop", "{}"), ("restart", "{}"), ("kill", "{}"),
    ("pause", "{}"), ("unpause", "{}"), ("wait", "{}"),
    ("exec", "{}", "true"), ("attach", "{}"), ("logs", "{}"), ("top", "{}"),
    ("stats", "--no-stream", "{}"), ("port", "{}"), ("rename", "{}", "new"),
    ("rm", "{}"), ("inspect", "--type", "container", "{}"), ("export", "{}"),
    ("cp", "{}:/etc", "-"), ("cp", "/etc/passwd", "{}:/"),
    ("mount", "--type", "container", "{}"),
    ("umount", "--type", "container", "{}"))


def filled(words, word):
    return [part.format(word) for part in words]


class BadInput(harness.Case):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.remove_containers)
        self.imgbuild("pull", "-q", self.base)
        self.imgbuild("tag", self.base, "b:1")

    def remove_containers(self):
        ids = self.imgbuild("ps", "-aq").stdout.split()
        if ids:
            self.imgbuild("rm", "-f", *ids)

    def state(self):
        """What there is, as a user sees it."""
        return (sorted(self.imgbuild("images", "--digests", "--no-trunc",
                                     "--format", "{{json .Repository}} "
                                     "{{.Tag}} {{.Digest}} {{.ID}}")
                       .stdout.splitlines()),
                sorted(self.imgbuild("ps", "-a", "--no-trunc", "--format",
                                     "{{.ID}} {{.Names}} {{.Image}} "
                                     "{{.State}}").stdout.splitlines()),
                self.imgbuild("mount").stdout)

    def one_error(self, words, said, statuses=(1,)):
        before = self.state()
        done = self.imgbuild(*words, status=None)
        self.assertIn(done.status, statuses, str(done))
        self.assertEqual(done.stderr.count("error:"), 1, str(done))
        self.assertRegex(done.stderr.lower(), said.lower(), str(done))
        self.assertEqual(self.state(), before, str(done))
        return done

    def test_unknown(self):
        for words in ON_IMAGES:
            for word in ("nosuch", "nosuch:1", f"b@{NO_SUCH}", NO_SUCH,
                         "f" * 64):
                if "-f" in words:
                    continue  # with -f that is no failure, see below
                self.one_error(filled(words, word), "no such (image|object)")
        self.imgbuild("rmi", "-f", "nosuch")
        for words in ON_CONTAINERS:
            for word in ("nosuch", "f" * 64):
                self.one_error(filled(words, word),
                               f"no such (container|object): {word}")
        # run and create ask the registry, which has none either.
        for command in ("run", "create"):
            self.one_error((command, f"{self.registry.address}/nosuch", "true"),
                           "not found|unknown", (125, 4, 1))

    def test_malformed(self):
        for words in ON_IMAGES:
            if "-f" in words:
                continue
            for word, said in (("b@sha256:zz", "invalid"),
                               ("b@sha256:", "invalid"), ("B", "lowercase"),
                               ("b@md5:" + "0" * 32, "digest|invalid")):
                self.one_error(filled(words, word), said)
        for command in ("run", "create"):
            self.one_error((command, "b@sha256:zz", "true"), "invalid",
                           (125, 1))
        for word in ("b@sha256:zz", "B"):
            self.one_error(("pull", word), "invalid|lowercase", (1, 2))

    def test_ambiguous(self):
        names = {}
        for number in range(40):
            name = f"n{number}"
            number_of = self.imgbuild("create", "--name", name, "b:1",
                                      "true").stdout.strip()
            names.setdefault(number_of[0], []).append(number_of)
        prefix = next(p for p, ids in names.items() if len(ids) > 1)
        for words in ON_CONTAINERS:
            self.one_error(filled(words, prefix), "ambiguous|multiple")
        # Images: two ids with one first digit, found by building some.
        ids = {}
        for number in range(40):
            self.dockerfile(f"FROM BASE\nENV N={number}\n")
            result = self.build("-q", "-t", f"n{number}:1")
            ids.setdefault(result.stdout[7], set()).add(result.stdout)
            if any(len(found) > 1 for found in ids.values()):
                break
        prefix = next(p for p, found in ids.items() if len(found) > 1)
        for words in ON_IMAGES:
            self.one_error(filled(words, prefix), "ambiguous")

    def test_in_use(self):
        self.imgbuild("rmi", self.base)
        number = self.imgbuild("inspect", "-f", "{{.Id}}",
                               "b:1").stdout.strip()
        self.imgbuild("create", "--name", "cc", "b:1", "sleep", "1000")
        for words in (("rmi", "b:1"), ("rmi", number),
                      ("rmi", "-f", "--platform", "linux/amd64", "b:1")):
            self.one_error(words, "conflict|using|used")
        self.imgbuild("start", "cc")
        for words in (("rmi", "b:1"), ("rmi", number), ("rmi", "-f", number),
                      ("rm", "cc"), ("rename", "cc", "cc")):
            self.one_error(words, "conflict|using|used|running|same name")
        self.one_error(("create", "--name", "cc", "b:1"), "already in use",
                       (1, 125))
        self.one_error(("run", "--name", "cc", "b:1"), "already in use",
                       (125,))
        self.one_error(("unpause", "cc"), "not paused")

    def test_a_store_of_a_newer_version(self):
        self.imgbuild("create", "--name", "cc", "b:1", "true")

        def set_version(number):
            with sqlite3.connect(self.store / "meta.db") as db:
                version = db.execute("PRAGMA user_version").fetchone()[0]
                db.execute(f"PRAGMA user_version = {number}")
            db.close()
            return version
        version = set_version(999)
        for words in [filled(w, "b:1") for w in ON_IMAGES] + [
                filled(w, "cc") for w in ON_CONTAINERS] + [
                    ("images",), ("ps",), ("prune", "-f", "all"),
                    ("prune", "--store-max", "1G"), ("df",), ("mount",),
                    ("umount", "-a"), ("load", "-i", "/dev/null"),
                    ("create", "b:1"), ("run", "b:1"), ("pull", self.base),
                    ("import", "/dev/null")]:
            done = self.imgbuild(*words, status=None)
            self.assertNotEqual(done.status, 0, str(done))
            self.assertRegex(done.stderr, "error: .*the store has version 999",
                             str(done))
            self.assertEqual(done.stderr.count("error:"), 1, str(done))
        set_version(version)
        self.assertIn("cc", self.imgbuild("ps", "-a").stdout)
        self.imgbuild("start", "-a", "cc")


@unittest.skipUnless(os.geteuid() == 0, "mounting needs root")
class BadPlace(harness.Case):
    def mount(self, *words):
        subprocess.run(["mount", *map(str, words)], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", str(words[-1])],
                        check=False, stderr=subprocess.DEVNULL)

    def test_a_read_only_store(self):
        self.imgbuild("pull", "-q", self.base)
        self.imgbuild("tag", self.base, "b:1")
        self.imgbuild("create", "--name", "cc", "b:1", "true")
        files = sorted(p.name for p in self.store.rglob("*")
                       if not p.name.startswith("meta.db"))
        self.mount("--bind", self.store, self.store)
        self.mount("-o", "remount,bind,ro", self.store)
        for words in (("tag", "b:1", "c:1"), ("rmi", "b:1"),
                      ("create", "b:1"), ("run", "--rm", "b:1", "true"),
                      ("start", "cc"), ("rm", "cc"), ("rename", "cc", "dd"),
                      ("mount", "b:1"), ("cp", "/etc/passwd", "cc:/"),
                      ("prune", "-f", "-a", "all"), ("load", "-i", "/dev/null"),
                      ("pull", f"{self.registry.address}/base:1")):
            done = self.imgbuild(*words, status=None)
            self.assertNotEqual(done.status, 0, str(done))
            self.assertEqual(done.stderr.count("error:"), 1, str(done))
            self.assertRegex(done.stderr, "(?i)read-only", str(done))
        subprocess.run(["umount", str(self.store)], check=True)
        self.assertEqual(sorted(p.name for p in self.store.rglob("*")
                                if not p.name.startswith("meta.db")), files)
        self.imgbuild("start", "-a", "cc")
        self.imgbuild("rm", "cc")

    def test_a_full_disk(self):
        self.store.mkdir(mode=0o700)
        self.mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", self.store)
        self.imgbuild("pull", "-q", self.base)
        self.imgbuild("tag", self.base, "b:1")
        self.imgbuild("create", "--name", "cc", "b:1", "true")
        archive = self.dir / "a.tar"
        self.imgbuild("save", "-o", archive, "b:1")
        names = self.image_names()
        with open(self.store / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 4096)
            except OSError:
                pass
        self.write("big", "x" * 100000)
        self.dockerfile("FROM BASE\nCOPY big /\nRUN echo 1 > /f\n")
        for words in (("build", "-t", "n:1", "."),
                      ("cp", self.context / "big", "cc:/big"),
                      ("create", "--name", "dd", "b:1"),
                      ("run", "--rm", "b:1", "true"), ("mount", "b:1")):
            done = self.imgbuild(*words, status=None)
            if done.status != 0:
                self.assertIn("no space left on device", done.stderr.lower(),
                              str(done))
        self.assertEqual(self.image_names()[:len(names)], names)
        # Reading goes on, and what is removed gives room.
        self.imgbuild("inspect", "b:1")
        self.imgbuild("ps", "-a")
        (self.store / "filler").unlink()
        self.imgbuild("umount", "-a")
        ids = self.imgbuild("ps", "-aq").stdout.split()
        self.imgbuild("rm", "-f", *ids)
        self.assert_usable()
        self.assertIn("the store is sound",
                      self.imgbuild("store", "check").stdout)

    def test_prune_makes_room_on_a_full_disk(self):
        self.store.mkdir(mode=0o700)
        self.mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", self.store)
        self.write("big", "".join(map(chr, range(32, 127))) * 20000)
        self.dockerfile("FROM BASE\nCOPY big /\n")
        self.build("-q")
        with open(self.store / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 4096)
            except OSError:
                pass
        self.imgbuild("prune", "-f", "-a", "all", status=None)
        (self.store / "filler").unlink()
        self.imgbuild("prune", "-f", "-a", "all")
        self.assertEqual(list((self.store / "layers").iterdir()), [])
        self.assert_usable()


class Interrupted(harness.Case):
    """SIGINT and SIGKILL at instants spread over a command."""

    def setUp(self):
        super().setUp()
        self.imgbuild("pull", "-q", self.base)
        self.imgbuild("tag", self.base, "b:1")

    def start(self, *words, stdin=None):
        return subprocess.Popen(
            [harness.IMGBUILD, *map(str, words)],
            stdin=stdin or subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd=self.context,
            env={"PATH": os.environ["PATH"], "HOME": str(self.dir / "home"),
                 "IMGBUILD_ROOT": str(self.store), "LC_ALL": "C.UTF-8"})

    def cut(self, words, how, delay):
        process = self.start(*words)
        time.sleep(delay)
        process.send_signal(how)
        process.wait(timeout=harness.SECONDS)

    def remove_all(self):
        deadline = time.monotonic() + 20
        while True:
            ids = self.imgbuild("ps", "-aq").stdout.split()
            if not ids:
                return
            self.imgbuild("rm", "-f", *ids, status=None)
            self.assertLess(time.monotonic(), deadline)

    def test_start(self):
        self.addCleanup(self.remove_all)
        self.imgbuild("create", "--name", "cc", "b:1", "sleep", "1000")
        for step in range(12):
            how = signal.SIGKILL if step % 2 else signal.SIGINT
            self.cut(("start", "cc"), how, 0.004 * step)
            state = self.imgbuild("ps", "-a", "--format",
                                  "{{.Names}} {{.State}}").stdout
            # "restarting": its monitor is at work, the process not yet.
            self.assertRegex(
                state, r"^cc (created|running|exited|restarting)\n$")
            self.imgbuild("stop", "-t", "0", "cc")
        self.imgbuild("start", "cc")
        self.assertEqual(
            self.imgbuild("exec", "cc", "echo", "x").stdout, "x\n")

    def test_images(self):
        archive = self.dir / "a.tar"
        self.imgbuild("save", "-o", archive, "b:1")
        commands = (("tag", "b:1", "t:1"), ("rmi", "t:1"), ("load", "-i", archive),
                    ("pull", f"{self.registry.address}/base:1"),
                    ("prune", "-f", "images"), ("prune", "--store-max", "1G"))
        for step in range(3 * len(commands)):
            how = signal.SIGKILL if step % 2 else signal.SIGINT
            self.cut(commands[step % len(commands)], how, 0.003 * step)
            self.assertIn(("b", "1"), self.image_names())
        self.assertEqual(self.imgbuild("store", "check").stdout,
                         "the store is sound\n")
        self.imgbuild("prune", "-f", "images")
        self.assert_no_litter()
        self.assertEqual(
            self.imgbuild("run", "--rm", "b:1", "echo", "x").stdout, "x\n")

    def test_cp_and_mount(self):
        self.addCleanup(self.remove_all)
        self.addCleanup(self.imgbuild, "umount", "-a", "-f")
        self.imgbuild("create", "--name", "cc", "b:1", "true")
        for number in range(200):
            self.write(f"many/{number}", "x" * 1000)
        for step in range(9):
            how = signal.SIGKILL if step % 2 else signal.SIGINT
            words = (("cp", "many", "cc:/"), ("mount", "b:1"),
                     ("umount", "-a"))[step % 3]
            self.cut(words, how, 0.004 * step)
        self.imgbuild("umount", "-a", "-f")
        self.assertEqual(self.imgbuild("mount").stdout, "")
        self.imgbuild("cp", "many", "cc:/")
        mounts = pathlib.Path("/proc/self/mountinfo").read_text()
        self.assertNotIn(f" {self.store}/", mounts)
        self.imgbuild("start", "-a", "cc")


if __name__ == "__main__":
    unittest.main()
