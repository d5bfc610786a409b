"""import and diff."""

import gzip
import io
import json
import tarfile
import unittest

import harness


class Import(harness.Case):
    def image(self, *words, data=None, status=0):
        return self.imgbuild("import", *words, "-", "im:1", status=status,
                             stdin=data or harness.busybox_tar())

    def test_the_root_runs_and_the_same_tar_is_the_same_image(self):
        first = self.image("-c", 'CMD ["echo", "hello"]', "-m", "by hand")
        self.assertEqual(self.imgbuild("run", "im:1").stdout, "hello\n")
        packed = gzip.compress(harness.busybox_tar())
        again = self.image("-c", 'CMD ["echo", "hello"]', "-m", "by hand",
                           data=packed)
        self.assertEqual(first.stdout, again.stdout)
        self.assertEqual(
            self.imgbuild("inspect", "-f", "{{.Id}} {{.Comment}}",
                          "im:1").stdout,
            first.stdout.strip() + " by hand\n")

    def test_every_change(self):
        words = []
        for change in ('ENTRYPOINT ["/bin/sh"]', "ENV A=1 B=2", "EXPOSE 80",
                       "HEALTHCHECK NONE", "LABEL x=y", "ONBUILD RUN x",
                       "STOPSIGNAL 9", "USER app", "VOLUME /d", "WORKDIR /w"):
            words += ["-c", change]
        self.image(*words, "--platform", "linux/arm64")
        shown = json.loads(self.imgbuild("inspect", "im:1").stdout)[0]
        config = shown["Config"]
        self.assertEqual(shown["Architecture"], "arm64")
        self.assertEqual(config["Entrypoint"], ["/bin/sh"])
        self.assertEqual(config["Labels"], {"x": "y"})
        self.assertEqual(config["WorkingDir"], "/w")
        self.assertEqual(config["User"], "app")
        self.assertEqual(config["OnBuild"], ["RUN x"])
        self.assertIn("A=1", config["Env"])

    def test_refusals(self):
        self.assertIn("RUN is not a change of the config",
                      self.image("-c", "RUN x", status=1).stderr)
        self.assertIn("one line",
                      self.image("-c", "USER a\nRUN x", status=1).stderr)
        self.image("-c", "NOPE", status=3)
        self.assertIn("no tar archive",
                      self.image(data=b"nothing", status=4).stderr)
        self.imgbuild("import", "/nonexistent", status=5)
        self.imgbuild("import", "-", "A", status=2)

    def test_diff(self):
        self.dockerfile("FROM BASE\nENV A=1\n"
                        "RUN mkdir -p /var/lib/dpkg /gone && echo x > /same "
                        "&& echo y > /changed && printf 'Package: p\\nStatus: "
                        "install ok installed\\nVersion: 1\\n' "
                        "> /var/lib/dpkg/status\n")
        self.build("-t", "a:1")
        self.dockerfile("FROM a:1\nENV A=2 B=3\n"
                        "RUN rm -r /gone && mkdir /new && echo z > /new/f && "
                        "echo w > /changed && printf 'Package: p\\nStatus: "
                        "install ok installed\\nVersion: 2\\n' "
                        "> /var/lib/dpkg/status\n")
        self.build("-t", "b:1")
        done = self.imgbuild("diff", "a:1", "b:1").stdout
        self.assertIn("Config:\n  ~ Env.A 1 -> 2\n  + Env.B 3\n"
                      "Packages:\n  ~ p 1 -> 2\n"
                      "Files:\n  C /changed\n  D /gone\n  A /new\n"
                      "  C /var/lib/dpkg/status\nLayers:\n  = sha256:", done)
        self.assertEqual(self.imgbuild("diff", "a:1", "a:1").stdout, "")
        self.assertTrue(self.imgbuild("diff", "--type", "packages", "b:1",
                                      "a:1").stdout.startswith("Packages:"))
        self.imgbuild("diff", "a:1", "nosuch", status=1)
        self.imgbuild("diff", "--type", "x", "a:1", "b:1", status=2)


if __name__ == "__main__":
    unittest.main()
