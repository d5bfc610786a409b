"""Files between a container and the host: `cp`, `export`."""

import io
import os
import pathlib
import subprocess
import tarfile
import threading
import unittest

import harness


def tar_of(entries):
    """[(name, kind, content or target)] as the bytes of a tar."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, kind, text in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, 0o755
            if kind == tarfile.REGTYPE:
                info.size = len(text)
            else:
                info.linkname = text
            tar.addfile(info, io.BytesIO(text.encode()))
    return data.getvalue()


def listing(tar_bytes):
    """["name", "link -> target"] of a tar, in its order."""
    with tarfile.open(fileobj=io.BytesIO(tar_bytes)) as tar:
        return [f"{m.name} -> {m.linkname}" if m.issym() else m.name
                for m in tar]


# Applets for which the base image has no name.
APPLETS = "".join(f'{a}() {{ busybox {a} "$@"; }}; ' for a in (
    "ln", "chown", "chmod"))


class CopyCase(harness.Case):
    def setUp(self):
        super().setUp()
        self.imgbuild("pull", "-q", self.base)
        self.imgbuild("tag", self.base, "b")
        self.addCleanup(self.remove_containers)
        self.out = self.dir / "out"
        self.out.mkdir()

    def remove_containers(self):
        ids = self.imgbuild("ps", "-aq").stdout.split()
        if ids:
            self.imgbuild("rm", "-f", *ids)
        self.assert_no_litter()

    def container(self, *words, name="cc", script="true"):
        """A container that has run SCRIPT and ended."""
        self.imgbuild("run", "--name", name, *words, "b", "sh", "-c",
                      APPLETS + script)

    def running(self, *words, name="cc", script="true"):
        """A container that has run SCRIPT and goes on."""
        self.imgbuild("run", "-d", "--name", name, *words, "b", "sh", "-c",
                      f"{APPLETS}{script}; touch /ready; sleep 1000")
        self.imgbuild("exec", name, "sh", "-c",
                      "while [ ! -e /ready ]; do :; done")

    def cat(self, path, name="cc"):
        """A file of the container, by way of a tar."""
        data = self.imgbuild("cp", f"{name}:{path}", "-", binary=True).stdout
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            return tar.extractfile(tar.next()).read().decode()

    def refused(self, text, *words, **more):
        result = self.imgbuild("cp", *words, status=1, **more)
        self.assertEqual(result.error.replace(str(self.dir), "DIR"),
                         f"error: {text}\n", str(result))


FILES = ("mkdir -p /x/y; echo 1 > /x/f; ln -s f /x/l; ln -s /x/y /x/dl; "
         "ln -s nowhere /x/bad")


class OutTest(CopyCase):
    def test_where_things_go(self):
        self.container(script=FILES)
        (self.out / "have").mkdir()
        for source, destination, there in (
                ("/x/f", "new", "new"),
                ("/x/f", "have", "have/f"),
                ("/x/f", "have/", "have/f"),
                ("/x", "dir", "dir/y"),
                ("/x", "dir", "dir/x/y"),
                ("/x/.", "have", "have/y"),
                ("/x/.", "content", "content/f"),
                ("x/f", "relative", "relative"),
                ("/x/dl/", "through", "through")):
            self.imgbuild("cp", f"cc:{source}", self.out / destination)
            self.assertTrue((self.out / there).exists(),
                            f"{source} {destination}")
        self.assertEqual((self.out / "new").read_text(), "1\n")

    def test_links(self):
        self.container(script=FILES)
        self.imgbuild("cp", "cc:/x/l", self.out / "l")
        self.assertEqual(os.readlink(self.out / "l"), "f")
        self.imgbuild("cp", "-L", "cc:/x/l", self.out / "followed")
        self.assertEqual((self.out / "followed").read_text(), "1\n")
        self.imgbuild("cp", "cc:/x/bad", self.out / "bad")
        self.assertEqual(os.readlink(self.out / "bad"), "nowhere")
        # A link as the destination stands for what it points to.
        (self.out / "to").symlink_to("made")
        self.imgbuild("cp", "cc:/x/f", self.out / "to")
        self.assertEqual((self.out / "made").read_text(), "1\n")

    def test_errors(self):
        self.container(script=FILES)
        (self.out / "file").write_text("mine")
        out = str(self.out)
        self.refused("no such directory", "cc:/x/f", out + "/no/")
        self.refused('invalid output path: directory "DIR/out/no" does not '
                     "exist", "cc:/x/f", out + "/no/file")
        self.refused("cannot copy directory\n   = hint: the destination is a "
                     "file", "cc:/x", out + "/file")
        self.refused("Could not find the file /nosuch in container cc",
                     "cc:/nosuch", out)
        self.refused("Could not find the file /x/nowhere in container cc",
                     "-L", "cc:/x/bad", out)
        self.refused("lstat /x/f/: not a directory", "cc:/x/f/", out)
        self.refused("No such container: nosuch", "nosuch:/x", out)
        self.refused("copying between containers is not supported", "cc:/x",
                     "d:/x")
        self.refused("must specify at least one container source", "/x", "/y")
        self.refused('invalid output path: "/dev/null" must be a directory or '
                     "a regular file: got a device", "cc:/x/f", "/dev/null")
        (self.out / "x").write_text("mine")
        self.refused('cannot overwrite non-directory "x" with directory "x/"',
                     "cc:/x", out)
        self.assertEqual((self.out / "x").read_text(), "mine")

    def test_owners(self):
        self.container(script="echo 1 > /f; chown 7:8 /f; chmod 4750 /f")
        self.imgbuild("cp", "cc:/f", self.out / "mine")
        self.imgbuild("cp", "-a", "cc:/f", self.out / "kept")
        mine, kept = ((self.out / name).stat() for name in ("mine", "kept"))
        self.assertEqual((mine.st_uid, mine.st_gid),
                         (os.geteuid(), os.getegid()))
        self.assertEqual((kept.st_uid, kept.st_gid), (7, 8))
        self.assertEqual(mine.st_mode & 0o7777, 0o4750)

    def test_as_a_tar(self):
        self.container(script=FILES)
        below = ["bad -> nowhere", "dl -> /x/y", "f", "l -> f", "y"]

        def tar(path):
            return listing(
                self.imgbuild("cp", path, "-", binary=True).stdout)
        self.assertEqual(tar("cc:/x"), ["x"] + ["x/" + name for name in below])
        self.assertEqual(tar("cc:/x/"), ["x"] + ["x/" + name for name in below])
        self.assertEqual(tar("cc:/x/."),
                         ["."] + ["./" + name for name in below])
        self.assertEqual(tar("cc:/x/f"), ["f"])
        self.assertEqual(tar("cc:/x/dl"), ["dl -> /x/y"])
        self.assertEqual(tar("cc:/x/dl/"), ["dl"])

    def test_a_running_container_is_seen_with_its_mounts(self):
        volume = self.dir / "volume"
        volume.mkdir()
        (volume / "v").write_text("from the volume\n")
        self.running("-v", f"{volume}:/data", "--tmpfs", "/t",
                     script="echo 2 > /written; echo 3 > /t/f")
        self.assertEqual(self.cat("/written"), "2\n")
        self.assertEqual(self.cat("/data/v"), "from the volume\n")
        self.assertEqual(self.cat("/t/f"), "3\n")
        self.imgbuild("stop", "-t", "0", "cc")
        self.assertEqual(self.cat("/written"), "2\n")
        self.assertEqual(self.cat("/data/v"), "from the volume\n")

    def test_links_lead_nowhere_outside(self):
        secret = self.dir / "secret"
        secret.write_text("of the host\n")
        self.container(script=f"ln -s {secret} /abs; mkdir -p /a; "
                       f"ln -s ../../../../../../{secret} /a/up; "
                       f"ln -s {self.dir} /dir; ln -s /proc/1/root /magic")
        for path in ("/abs", "/a/up", "/dir/secret", "/magic/etc/passwd"):
            for flags in ((), ("-L",)):
                result = self.imgbuild("cp", *flags, f"cc:{path}", "-",
                                       status=None, binary=True)
                self.assertNotIn(b"of the host", result.stdout, path)
                self.assertNotIn(b"root:x", result.stdout, path)

    def test_a_swapped_link_leads_nowhere_outside(self):
        # Whatever the container does meanwhile, nothing of the host comes
        # along.
        secret = self.dir / "secret"
        secret.mkdir()
        (secret / "f").write_text("of the host\n")
        self.running(script=f"mkdir -p /d /e; echo in > /d/f; "
                     f"ln -s {secret} /l; (while :; do mv /d /e/d; "
                     "mv /l /d 2>/dev/null; mv /d /l; mv /e/d /d; done) & true")
        for _ in range(15):
            result = self.imgbuild("cp", "cc:/d", "-", status=None, binary=True)
            self.assertNotIn(b"of the host", result.stdout)


class InTest(CopyCase):
    def setUp(self):
        super().setUp()
        self.write("f", "a\n")
        self.write("d/sub/g", "b\n")
        (self.context / "l").symlink_to("f")

    def test_where_things_go(self):
        self.container(script=FILES)
        for source, destination, there in (
                ("f", "/", "/f"),
                ("f", "/tmp/new", "/tmp/new"),
                ("f", "tmp/relative", "/tmp/relative"),
                ("d", "/tmp/nd", "/tmp/nd/sub/g"),
                ("d", "/tmp/nd", "/tmp/nd/d/sub/g"),
                ("d/.", "/root", "/root/sub/g"),
                ("./d/sub/", "/tmp", "/tmp/sub/g"),
                ("f", "/x/l", "/x/f"),
                ("f", "/x/dl", "/x/y/f"),
                (self.context / "f", "/absolute", "/absolute")):
            self.imgbuild("cp", source, f"cc:{destination}")
            self.assertIn(self.cat(there), ("a\n", "b\n"))
        self.imgbuild("cp", "l", "cc:/link")
        self.imgbuild("cp", "-L", "l", "cc:/followed")
        root = listing(self.imgbuild("cp", "cc:/.", "-", binary=True).stdout)
        self.assertIn("./link -> f", root)
        self.assertEqual(self.cat("/followed"), "a\n")
        # The container sees what was put there.
        self.imgbuild("start", "-a", "cc", status=1)  # its links are there
        self.assertEqual(self.cat("/f"), "a\n")

    def test_a_running_container_sees_it(self):
        volume = self.dir / "volume"
        volume.mkdir()
        self.running("-v", f"{volume}:/data")
        self.imgbuild("cp", "f", "cc:/tmp/f")
        self.assertEqual(
            self.imgbuild("exec", "cc", "cat", "/tmp/f").stdout, "a\n")
        self.imgbuild("cp", "f", "cc:/data/f")
        self.assertEqual((volume / "f").read_text(), "a\n")
        self.imgbuild("stop", "-t", "0", "cc")
        self.imgbuild("cp", "d", "cc:/data")
        self.assertEqual((volume / "d/sub/g").read_text(), "b\n")

    def test_a_created_container(self):
        self.imgbuild("create", "--name", "cc", "b", "cat", "/given")
        self.imgbuild("cp", "f", "cc:/given")
        self.assertEqual(self.imgbuild("start", "-a", "cc").stdout, "a\n")

    def test_owners(self):
        os.chown(self.context / "f", 1234, 1235)
        self.imgbuild("create", "--name", "cc", "-u", "app", "b", "true")
        self.imgbuild("cp", "f", "cc:/kept")
        self.imgbuild("cp", "-a", "f", "cc:/given")
        data = self.imgbuild("export", "cc", binary=True).stdout
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            owners = {m.name: (m.uid, m.gid) for m in tar}
        self.assertEqual(owners["kept"], (1234, 1235))
        self.assertEqual(owners["given"], (1000, 1000))

    def test_errors(self):
        self.container(script=FILES)
        self.refused("no such directory", "f", "cc:/tmp/no/")
        self.refused("no such directory", "f", "cc:")
        self.refused("Could not find the file /tmp/no in container cc", "f",
                     "cc:/tmp/no/x")
        self.refused('lstat "DIR/context/nosuch": no such file or directory',
                     "nosuch", "cc:/tmp")
        self.refused("cannot copy directory\n   = hint: the destination is a "
                     "file", "d", "cc:/x/f")
        self.refused('destination "cc:/x/f" must be a directory', "-", "cc:/x/f",
                     stdin=tar_of([]))
        self.refused('destination "cc:/no" must be a directory', "-", "cc:/no",
                     stdin=tar_of([]))
        self.refused("standard input is no tar archive", "-", "cc:/tmp",
                     stdin=b"notatar\n")
        self.imgbuild("cp", "d", "cc:/f")
        self.refused('cannot overwrite directory "f" with non-directory "f"',
                     "f", "cc:/")
        self.container("--read-only", name="ro")
        self.refused('create "f": read-only file system', "f", "ro:/")

    def test_a_tar_stream(self):
        self.container()
        data = tar_of([("a/b", tarfile.REGTYPE, "x"),
                       ("a/l", tarfile.SYMTYPE, "b")])
        self.imgbuild("cp", "-", "cc:/tmp", stdin=data)
        self.assertEqual(self.cat("/tmp/a/b"), "x")
        self.imgbuild("cp", "-", "cc:/tmp", stdin=harness.gzip.compress(
            tar_of([("z", tarfile.REGTYPE, "y")])))
        self.assertEqual(self.cat("/tmp/z"), "y")

    def test_hostile_streams_and_roots_stay_inside(self):
        outside = self.dir / "outside"
        outside.mkdir()
        up = "../" * 12 + str(outside)[1:]
        self.container(script=f"ln -s {outside} /abs; ln -s {up} /up; "
                       f"mkdir /in; ln -s {outside} /in/abs")
        data = tar_of([("../../../escaped", tarfile.REGTYPE, "x"),
                       ("abs/escaped", tarfile.REGTYPE, "x"),
                       ("new", tarfile.SYMTYPE, str(outside)),
                       ("new/escaped", tarfile.REGTYPE, "x")])
        self.imgbuild("cp", "-", "cc:/in", stdin=data)
        for path in ("/abs", "/up", "/abs/f"):
            self.imgbuild("cp", "f", f"cc:{path}", status=None)
        self.assertEqual(list(outside.iterdir()), [])
        self.assertFalse((self.dir / "escaped").exists())


class ExportTest(CopyCase):
    def names(self, data):
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            return {m.name: m for m in tar}

    def test_layers_and_what_was_written(self):
        volume = self.dir / "volume"
        volume.mkdir()
        (volume / "v").write_text("")
        self.container("-v", f"{volume}:/data",
                       script="rm /bin/cat; echo 1 > /f; ln /f /hard; "
                       "rm -r /home 2>/dev/null; mkdir /etc/new")
        data = self.imgbuild("export", "cc", binary=True).stdout
        found = self.names(data)
        self.assertIn("bin/busybox", found)
        self.assertIn("f", found)
        self.assertEqual(found["hard"].linkname, "f")
        self.assertIn("etc/new", found)
        self.assertNotIn("bin/cat", found)
        self.assertNotIn("data/v", found)
        # The same by name of a file, and import makes an image of it.
        self.imgbuild("export", "-o", self.dir / "e.tar", "cc")
        self.assertEqual((self.dir / "e.tar").read_bytes(), data)
        self.imgbuild("import", self.dir / "e.tar", "again:1")
        self.assertEqual(
            self.imgbuild("run", "--rm", "again:1", "/bin/busybox", "cat",
                          "/f").stdout, "1\n")

    def test_a_running_container(self):
        self.running(script="echo 1 > /f",)
        found = self.names(self.imgbuild("export", "cc", binary=True).stdout)
        self.assertIn("f", found)
        self.assertNotIn("proc/self", found)
        # It goes on, and may go on writing.
        self.imgbuild("exec", "cc", "sh", "-c", "echo 2 > /g; rm /f")
        found = self.names(self.imgbuild("export", "cc", binary=True).stdout)
        self.assertIn("g", found)
        self.assertNotIn("f", found)

    def test_errors(self):
        result = self.imgbuild("export", "nosuch", status=1)
        self.assertEqual(result.error, "error: No such container: nosuch\n")
        self.imgbuild("create", "--name", "cc", "b")
        result = self.imgbuild("export", "-o", self.dir / "no/e.tar", "cc",
                               status=1)
        self.assertIn("no such file or directory", result.error)
        self.imgbuild("export", status=2)


if __name__ == "__main__":
    unittest.main()
