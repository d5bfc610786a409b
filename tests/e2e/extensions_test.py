"""What imgbuild does beyond docker/dockerfile: COPY --if-exists, RUN
--no-cache, RESET, INCLUDE."""

import json
import os
import subprocess
import tempfile

import harness

ON = "# imgbuild: extensions=1\n"


class Extensions(harness.Case):
    def config(self, name):
        return json.loads(self.imgbuild("inspect", name).stdout)[0]["Config"]

    def test_copy_if_exists(self):
        self.write("a", "a")
        self.dockerfile("FROM BASE AS one\nRUN echo made > /made\n"
                        "FROM BASE\nCOPY --if-exists a nope also/nope* /x/\n"
                        "COPY --if-exists gone /gone\n"
                        "COPY --from=one --if-exists /made /absent /y/\n")
        first = self.build()
        self.assertEqual(self.imgbuild("run", "--rm", first.digest, "sh", "-c",
                                       "ls /x /y; test ! -e /gone").stdout,
                         "/x:\na\n\n/y:\nmade\n")
        self.assertEqual(harness.cached(self.build()), 4)
        self.write("gone", "here now")
        second = self.build()
        self.assertEqual(self.imgbuild("run", "--rm", second.digest, "cat",
                                       "/gone").stdout, "here now")
        # The step before it did not change.
        self.assertRegex(second.stderr, r"(?m)^#(\d+) .*COPY --if-exists a .*"
                         r"\n#\1 CACHED$")
        self.dockerfile("FROM BASE\nCOPY --if-exists=false nope /x/\n")
        self.build(status=1)

    def test_run_no_cache(self):
        self.dockerfile("FROM BASE\nRUN echo a > /a\n"
                        "RUN --no-cache cat /proc/sys/kernel/random/uuid > /u\n"
                        "RUN --no-cache true\nRUN cat /u > /b\n")
        first, second = self.build(), self.build()
        self.assertNotEqual(first.digest, second.digest)
        # Only what stands before it: the last one has another parent.
        self.assertEqual(harness.cached(second), 1, str(second))
        self.assertIn("the cache is off", second.stderr)

    def test_reset(self):
        self.dockerfile('FROM BASE\nVOLUME /v /w\nEXPOSE 80 81\nENV A=1 B=2\n'
                        'LABEL x=1 y=2\nENTRYPOINT ["echo"]\nCMD ["hi"]\n')
        base = self.build("-t", "base:1")
        self.dockerfile(ON + "FROM base:1\nRESET VOLUME /v\nRESET EXPOSE 80\n"
                        "RESET ENV A\nRESET LABEL x\nRUN test -z $A$C\n")
        self.build("-t", "some:1")
        config = self.config("some:1")
        self.assertEqual(config["Volumes"], {"/w": {}})
        self.assertEqual(config["ExposedPorts"], {"81/tcp": {}})
        self.assertEqual(config["Env"], ["PATH=/bin", "B=2"])
        self.assertEqual(config["Labels"], {"y": "2"})
        self.dockerfile(ON + "FROM base:1\nRESET VOLUME\nRESET EXPOSE\n"
                        "RESET ENV\nRESET LABEL\nRESET ENTRYPOINT\n")
        self.build("-t", "all:1")
        config = self.config("all:1")
        for key in ("Volumes", "ExposedPorts", "Labels", "Entrypoint"):
            self.assertFalse(config.get(key), key)
        self.assertEqual(config["Env"], [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:"
            "/bin"])
        # The base is as it was.
        self.assertIn("A=1", self.config(base.digest)["Env"])
        self.dockerfile(ON + "FROM base:1\nRESET VOLUME /nothing\n")
        self.assertIn('ResetNothing: the image has no VOLUME "/nothing" '
                      "(Dockerfile:3:14)", self.build().stderr)

    def test_include(self):
        self.write("parts/tools.Dockerfile",
                   "RUN echo tools > /tools\nINCLUDE ../more.Dockerfile\n")
        self.write("more.Dockerfile", "RUN echo more > /more\n")
        self.dockerfile(ON + "FROM BASE\nINCLUDE parts/tools.Dockerfile\n"
                        "CMD cat /tools /more\n")
        first = self.build()
        self.assertEqual(self.imgbuild("run", "--rm", first.digest).stdout,
                         "tools\nmore\n")
        # As if it stood there.
        self.dockerfile("FROM BASE\nRUN echo tools > /tools\n"
                        "RUN echo more > /more\nCMD cat /tools /more\n",
                        "Flat.Dockerfile")
        flat = self.build("-f", "Flat.Dockerfile")
        self.assertEqual(flat.digest, first.digest)
        self.assertEqual(harness.cached(flat), 2, str(flat))
        # The text counts, wherever it stands.
        self.write("more.Dockerfile", "RUN echo changed > /more\n")
        self.assertEqual(harness.cached(self.build()), 1)
        self.assertIn("echo changed", self.imgbuild("plan", ".").stdout)
        # From elsewhere, and in a tar.
        elsewhere = self.imgbuild("build", self.context, cwd=self.dir)
        self.assertEqual(harness.cached(elsewhere), 2)
        tar = subprocess.run(["tar", "-c", "."], cwd=self.context, check=True,
                             capture_output=True).stdout
        self.assertEqual(self.imgbuild("build", "-", stdin=tar).digest,
                         elsewhere.digest)

    def test_include_errors(self):
        self.write("a.Dockerfile", "# fine\nRUN true\nINCLUDE b/c.Dockerfile\n")
        self.write("b/c.Dockerfile", "\nRUN false\n")
        self.dockerfile(ON + "FROM BASE\nINCLUDE a.Dockerfile\n")
        # A step that fails is shown where it stands.
        self.assert_error(self.build(status=1), """\
error: process "/bin/sh -c false" did not complete successfully: exit code: 1
 --> b/c.Dockerfile:2:1
  |
2 | RUN false
  | ^^^^^^^^^
""")
        self.write("b/c.Dockerfile", "\nCOPPY a b\n")
        self.assert_error(self.build(status=3), """\
error: unknown instruction "COPPY"
 --> b/c.Dockerfile:2:1
  |
2 | COPPY a b
  | ^^^^^
  = in the file included at a.Dockerfile:3:1
  = in the file included at Dockerfile:3:1
  = hint: did you mean "COPY"?
""")
        with tempfile.TemporaryDirectory() as outside:
            with open(os.path.join(outside, "x"), "w") as file:
                file.write("topsecret\n")
            (self.context / "link").symlink_to(os.path.join(outside, "x"))
            for name, text in (
                    ("a.Dockerfil", "did you mean a.Dockerfile?"),
                    ("link", "a link leads out of the build context"),
                    ("../context/a.Dockerfile", "leads out of the build"),
                    ("b", '"b" is not a file'),
                    ("/etc/passwd", "named relative to the one")):
                self.dockerfile(ON + f"FROM BASE\nINCLUDE {name}\n")
                error = self.build(status=3).error
                self.assertIn(text, error)
                self.assertIn("Dockerfile:3:9", error)
                self.assertNotIn("topsecret", error)
        self.write("a.Dockerfile", "INCLUDE Dockerfile\n")
        self.dockerfile(ON + "FROM BASE\nINCLUDE a.Dockerfile\n")
        self.assertIn('"Dockerfile" includes itself',
                      self.build(status=3).error)
        self.assertIn("is no file has nothing beside it", self.build(
            "-f", "-", stdin=f"{ON}FROM x\nINCLUDE a\n".encode(),
            status=3).error)
        self.dockerfile("FROM BASE\nINCLUDE a.Dockerfile\n")
        self.assertIn('write "# imgbuild: extensions=1" at the top',
                      self.build(status=3).error)


if __name__ == "__main__":
    harness.unittest.main()
