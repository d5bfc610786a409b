"""What was pushed and saved here is read by others: skopeo, and docker and
podman where they answer.

IMGBUILD_TEST_DOCKER and IMGBUILD_TEST_PODMAN name the commands, when they are
not `docker` and `podman`. An engine that is not there, or not on this machine,
is a skipped test that says so.
"""

import os
import shlex
import shutil
import subprocess
import unittest

import harness


def engine_words(name):
    """The command of an engine; why not, as a string."""
    command = os.environ.get(f"IMGBUILD_TEST_{name.upper()}", name)
    words = shlex.split(command)
    if shutil.which(words[0]) is None:
        return f"{words[0]} is not installed"
    if not os.environ.get("DOCKER_HOST", "unix:").startswith("unix:"):
        return "DOCKER_HOST is another machine"
    try:
        done = subprocess.run([*words, "info"], capture_output=True, timeout=60,
                              stdin=subprocess.DEVNULL, check=False)
    except subprocess.TimeoutExpired:
        return f"`{command} info` does not answer"
    if done.returncode != 0:
        return f"`{command} info`: {done.stderr.decode().strip()[-200:]}"
    return words


class ReadBack(harness.Case):
    def setUp(self):
        super().setUp()
        self.write("f", "a file\n")
        self.dockerfile(
            "FROM BASE\nCOPY f /copied\nRUN echo made > /made && ln /made "
            "/linked && chown app /made && rm /etc/group\n"
            'ENV NAME="a b"\nCMD ["cat", "/copied", "/linked"]\n')
        self.name = f"{self.registry.address}/back"
        self.digests = {"gzip": self.build("-t", f"{self.name}:gzip").digest}
        self.imgbuild("push", f"{self.name}:gzip")
        self.imgbuild("tag", f"{self.name}:gzip", f"{self.name}:zstd")
        pushed = self.imgbuild("push", "-q", "--compression=zstd",
                               f"{self.name}:zstd").stdout
        self.digests["zstd"] = pushed.strip().split("@")[1]

    def skopeo(self, *words):
        return subprocess.run(
            [harness.need("skopeo"), "--insecure-policy", *map(str, words)],
            check=True, capture_output=True, timeout=harness.SECONDS).stdout

    def test_skopeo(self):
        for tag, digest in self.digests.items():
            name = f"docker://{self.name}:{tag}"
            self.assertEqual(
                self.skopeo("inspect", "--tls-verify=false", "--format",
                            "{{.Digest}}", name).decode().strip(), digest)
            # Every blob is checked on the way.
            self.skopeo("copy", "--src-tls-verify=false", name,
                        f"oci:{self.dir}/{tag}:1")
        saved = self.dir / "saved.tar"
        self.imgbuild("save", "-o", saved, f"{self.name}:gzip")
        self.skopeo("copy", f"docker-archive:{saved}", f"dir:{self.dir}/saved")
        # Through its layout and back: the same image.
        self.imgbuild("copy", f"oci:{self.dir}/gzip:1", "store:again:1")
        self.assertEqual(self.imgbuild("run", "--rm", "again:1").stdout,
                         "a file\nmade\n")

    def engine(self, name):
        words = engine_words(name)
        if isinstance(words, str):
            self.skipTest(words)

        def run(*more, stdin=b"", binary=False):
            done = subprocess.run([*words, *more], input=stdin,
                                  capture_output=True,
                                  timeout=harness.SECONDS, check=False)
            self.assertEqual(done.returncode, 0,
                             (more, done.stdout[-500:], done.stderr))
            return done.stdout if binary else done.stdout.decode()
        return run

    def read_back(self, run, *insecure):
        for tag, digest in self.digests.items():
            by_digest = f"{self.name}@{digest}"
            run("pull", "-q", *insecure, by_digest)
            self.assertEqual(
                run("run", "--rm", "--network=none", by_digest),
                "a file\nmade\n")
            run("rmi", "-f", by_digest)
        run("load", stdin=self.imgbuild("save", f"{self.name}:gzip",
                                        binary=True).stdout)
        self.addCleanup(run, "rmi", "-f", f"{self.name}:gzip")
        self.assertEqual(
            run("run", "--rm", "--network=none", f"{self.name}:gzip", "stat",
                "-c", "%U %h %s", "/made"), "app 2 5\n")
        # And what it saves comes back.
        self.imgbuild("rmi", f"{self.name}:gzip")
        archive = self.dir / "theirs.tar"
        archive.write_bytes(run("save", f"{self.name}:gzip", binary=True))
        self.imgbuild("copy", f"docker-archive:{archive}", "store:theirs:1")
        self.assertEqual(self.imgbuild("run", "--rm", "theirs:1").stdout,
                         "a file\nmade\n")

    def test_docker(self):
        self.read_back(self.engine("docker"))

    def test_podman(self):
        self.read_back(self.engine("podman"), "--tls-verify=false")


if __name__ == "__main__":
    unittest.main()
