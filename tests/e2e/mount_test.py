"""Images and containers mounted for other programs: `mount`, `umount`."""

import os
import pathlib
import subprocess
import unittest

import harness


class MountTest(harness.Case):
    def setUp(self):
        super().setUp()
        self.addCleanup(self.unmount_all)
        self.imgbuild("pull", "-q", self.base)
        self.imgbuild("tag", self.base, "b:1")

    def unmount_all(self):
        self.imgbuild("umount", "-a", "-f")
        ids = self.imgbuild("ps", "-aq").stdout.split()
        if ids:
            self.imgbuild("rm", "-f", *ids)
        self.assert_no_litter()

    def mount(self, *words):
        return pathlib.Path(self.imgbuild("mount", *words).stdout.strip())

    def mounted(self):
        return self.imgbuild("mount").stdout.splitlines()

    def test_an_image(self):
        path = self.mount("b:1")
        self.assertIn("root:x", (path / "etc/passwd").read_text())
        with self.assertRaises(OSError):
            (path / "new").write_text("")
        self.assertEqual(self.mount("b:1"), path)
        # By whatever name: it is one image.
        self.assertEqual(self.mount(self.base), path)
        self.assertEqual(len(self.mounted()), 1)
        self.assertTrue(self.mounted()[0].endswith(f"  {path}"))
        result = self.imgbuild("umount", "b:1")
        self.assertEqual(result.stdout, "b:1\n")
        self.assertEqual(self.mounted(), [])
        self.assertFalse((path / "etc").exists())
        result = self.imgbuild("umount", "b:1", status=1)
        self.assertEqual(result.error, "error: b:1 is not mounted\n")

    def test_layers_with_whiteouts_and_a_delta(self):
        self.write("d/a", "1\n")
        self.write("d/b", "1\n")
        self.dockerfile("FROM BASE\nRUN rm /etc/group\nCOPY d /d\n")
        self.build("-t", "app:1")
        self.write("d/a", "2\n")
        self.build("-t", "app:2")
        path = self.mount("app:2")
        self.assertFalse((path / "etc/group").exists())
        self.assertEqual((path / "d/a").read_text(), "2\n")
        self.assertEqual((path / "d/b").read_text(), "1\n")
        # What the files of app:2 stand on stays, too.
        self.imgbuild("rmi", "app:1")
        self.imgbuild("prune", "-f", "-a", "all")
        os.system("sync; echo 2 > /proc/sys/vm/drop_caches 2>/dev/null")
        self.assertEqual((path / "d/b").read_text(), "1\n")

    def test_a_mounted_image_stays(self):
        self.imgbuild("rmi", self.base)
        path = self.mount("b:1")
        for word in ("b:1", self.imgbuild("images", "-q").stdout.split()[0]):
            result = self.imgbuild("rmi", word, status=1)
            self.assertIn("(must be forced) - image is mounted at "
                          f"{path}", result.error)
        self.imgbuild("prune", "-f", "-a", "images")
        self.assertEqual(self.image_names(), [("b", "1")])
        # -f takes the names and leaves the files.
        self.imgbuild("rmi", "-f", "b:1")
        self.imgbuild("prune", "-f", "-a", "all")
        self.assertIn("root:x", (path / "etc/passwd").read_text())
        self.imgbuild("umount", "-a")
        self.imgbuild("prune", "-f", "-a", "all")
        self.assertEqual(list((self.store / "layers").iterdir()), [])

    def test_a_container(self):
        self.imgbuild("run", "--name", "cc", "b:1", "sh", "-c", "echo 1 > /f")
        path = self.mount("cc")
        self.assertEqual((path / "f").read_text(), "1\n")
        self.assertRegex(self.mounted()[0], rf"^[0-9a-f]{{12}}  {path}$")
        result = self.imgbuild("rm", "cc", status=1)
        self.assertIn(f'cannot remove container "cc": its files are mounted '
                      f"at {path}", result.error)
        self.imgbuild("prune", "-f", "containers")
        self.assertEqual((path / "f").read_text(), "1\n")
        self.imgbuild("rm", "-f", "cc")
        self.assertEqual(self.mounted(), [])

    def test_a_running_container(self):
        self.imgbuild("run", "-d", "--rm", "--name", "cc", "b:1", "sh", "-c",
                      "echo 1 > /f; touch /ready; sleep 1000")
        self.imgbuild("exec", "cc", "sh", "-c",
                      "while [ ! -e /ready ]; do :; done")
        path = self.mount("cc")
        self.assertEqual((path / "f").read_text(), "1\n")
        self.imgbuild("stop", "-t", "0", "cc")
        self.imgbuild("wait", "cc", status=None)
        self.assertEqual(self.mounted(), [])

    def test_in_use(self):
        path = self.mount("b:1")
        with open(path / "etc/passwd", "rb"):
            result = self.imgbuild("umount", "b:1", status=1)
            self.assertIn("it is in use", result.error)
            self.assertIn("root:x", (path / "etc/passwd").read_text())
            self.imgbuild("umount", "-f", "b:1")
        self.assertEqual(self.mounted(), [])

    def test_several_names_and_spellings(self):
        self.imgbuild("create", "--name", "cc", "b:1")
        lines = self.imgbuild("mount", "cc", "nosuch", "b:1",
                              status=1).stdout.splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["cc", "b:1"])
        self.assertEqual(len(self.imgbuild(
            "image", "mount").stdout.splitlines()), 1)
        self.assertEqual(len(self.imgbuild(
            "container", "mount").stdout.splitlines()), 1)
        self.imgbuild("image", "unmount", "b:1")
        self.imgbuild("unmount", "cc")
        self.imgbuild("umount", status=2)
        self.imgbuild("image", "mount", "cc", status=1)
        self.imgbuild("container", "mount", "b:1", status=1)

    def test_a_mount_that_is_gone_is_forgotten(self):
        path = self.mount("b:1")
        subprocess.run(["umount", str(path)], check=True)
        self.assertEqual(self.mounted(), [])
        self.assertEqual(self.mount("b:1"), path)
        self.assertTrue((path / "etc").exists())
        # As if the machine had been started anew.
        subprocess.run(["umount", str(path)], check=True)
        record = path.parent / "record"
        record.write_text("another-boot\n" +
                          record.read_text().split("\n", 1)[1])
        self.imgbuild("rmi", "-f", "b:1", self.base)
        self.imgbuild("prune", "-f", "-a", "all")
        self.assertEqual(list((self.store / "mounted").iterdir()), [])
        self.assertEqual(list((self.store / "layers").iterdir()), [])


if __name__ == "__main__":
    unittest.main()
