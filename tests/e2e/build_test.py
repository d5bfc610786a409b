"""What `imgbuild build` makes, and that it makes the same thing again."""

import json
import os
import shutil
import unittest

import harness

THREE_STAGES = """\
FROM BASE AS words
ENV GREETING="hello there"
WORKDIR /w
COPY words/ ./words/
RUN cat words/* > all && echo "$GREETING" >> all

FROM BASE AS unused
RUN false

FROM words AS counted
RUN wc -l < all > count

FROM BASE
LABEL made.by="e2e"
COPY --from=words /w/all /all
COPY --from=counted --chmod=600 /w/count /count
USER 1000:1000
WORKDIR /tmp
CMD ["cat", "/all"]
"""


class Build(harness.Case):
    def lay_out(self):
        self.write("words/a", "one\n")
        self.write("words/b", "two\n", mode=0o755)
        self.dockerfile(THREE_STAGES)

    def test_stages_from_digest(self):
        self.lay_out()
        built = self.build("-t", "three:1")
        self.assertEqual(self.imgbuild("run", "three:1").stdout,
                         "one\ntwo\nhello there\n")
        self.assertEqual(
            self.imgbuild("run", f"three@{built.digest}", "stat", "-c",
                          "%a %u %s", "/count", "/all").stdout,
            "600 0 2\n644 0 20\n")
        # The stage that nothing needs was not run.
        self.assertNotIn("RUN false", built.stderr)
        config = json.loads(self.imgbuild("inspect", "three:1").stdout)[0]
        self.assertEqual(config["Config"]["User"], "1000:1000")
        self.assertEqual(config["Config"]["WorkingDir"], "/tmp")
        self.assertEqual(config["Config"]["Labels"], {"made.by": "e2e"})
        self.assert_no_litter()

    def test_second_build_is_cached_and_the_same(self):
        self.lay_out()
        first = self.build("-t", "three:1")
        requests = len(self.registry.requests())
        second = self.build("-t", "three:1")
        self.assertEqual(first.digest, second.digest)
        self.assertEqual(harness.cached(first), 0)
        # WORKDIR, COPY, RUN; RUN; COPY, COPY: nothing ran again.
        for step in ("WORKDIR /w", "COPY words/", "RUN cat", "RUN wc",
                     "COPY --from=words", "COPY --from=counted"):
            self.assertRegex(
                second.stderr,
                rf"(?m)^#(\d+) \[[^\]]+\] {step}.*\n#\1 CACHED$")
        # A pinned image that is there is not asked for again.
        self.assertEqual(len(self.registry.requests()), requests)

    def test_changed_file_reruns_what_depends_on_it(self):
        self.write("a", "a")
        self.write("b", "b")
        self.dockerfile("FROM BASE\nCOPY a /a\nRUN cat /a > /ra\n"
                        "COPY b /b\nRUN cat /b > /rb\n")
        first = self.build()
        self.write("b", "other")
        second = self.build()
        self.assertNotEqual(first.digest, second.digest)
        self.assertRegex(second.stderr,
                         r"(?m)^#(\d+) \[[^\]]+\] RUN cat /a.*\n#\1 CACHED$")
        self.assertEqual(harness.cached(second), 2, str(second))

    def test_same_digest_elsewhere(self):
        self.lay_out()
        first = self.build()
        copy = self.dir / "copy"
        shutil.copytree(self.context, copy)
        for path in sorted(copy.rglob("*")):
            os.utime(path, (1, 1))
        second = self.imgbuild("build", ".", cwd=copy,
                               env={"IMGBUILD_ROOT": str(self.dir / "other")})
        self.assertEqual(harness.cached(second), 0, str(second))
        self.assertEqual(first.digest, second.digest)
        self.assertEqual(first.digest, self.build("--no-cache").digest)

    def test_dockerfile_elsewhere_and_build_is_optional(self):
        self.dockerfile("FROM BASE\nRUN echo x > /x\n", "sub/My.Dockerfile")
        first = self.imgbuild("-f", "sub/My.Dockerfile", ".")
        second = self.imgbuild("build", "-f", "-", ".", stdin=(
            self.context / "sub/My.Dockerfile").read_bytes())
        self.assertEqual(first.digest, second.digest)

    def test_build_arg_and_target(self):
        self.dockerfile("FROM BASE AS a\nARG WHO=nobody\n"
                        "RUN echo $WHO > /who\nFROM a\nRUN false\n")
        self.build("-t", "a:1", "--target", "a", "--build-arg", "WHO=me")
        self.assertEqual(self.imgbuild("run", "a:1", "cat", "/who").stdout,
                         "me\n")

    def test_heredoc_and_exec_form(self):
        self.dockerfile('FROM BASE\nRUN <<EOF\necho one > /o\necho two >> /o\n'
                        'EOF\nRUN ["sh", "-c", "echo three >> /o"]\n'
                        "COPY <<EOF /four\nfour\nEOF\n")
        self.build("-t", "h:1")
        self.assertEqual(
            self.imgbuild("run", "h:1", "cat", "/o", "/four").stdout,
            "one\ntwo\nthree\nfour\n")

    def test_dockerignore(self):
        self.write("keep", "")
        self.write("drop.log", "")
        self.write(".dockerignore", "*.log\n")
        self.dockerfile("FROM BASE\nCOPY . /c/\n")
        self.build("-t", "i:1")
        self.assertEqual(self.imgbuild("run", "i:1", "ls", "-A", "/c").stdout,
                         ".dockerignore\nDockerfile\nkeep\n")

    def test_scratch(self):
        self.write("a", "text")
        self.dockerfile("FROM scratch\nCOPY a /\n")
        self.assertEqual(self.build().digest, self.build().digest)

    def test_iidfile_metadata_and_quiet(self):
        self.dockerfile("FROM BASE\nENV A=1\n")
        built = self.build("-t", "m:1", "--iidfile", self.dir / "iid",
                           "--metadata-file", self.dir / "meta")
        iid = (self.dir / "iid").read_text()
        self.assertRegex(iid, r"^sha256:[0-9a-f]{64}$")
        meta = json.loads((self.dir / "meta").read_text())
        self.assertEqual(meta["containerimage.digest"], built.digest)
        self.assertEqual(meta["containerimage.config.digest"], iid)
        self.assertEqual(meta["image.name"], "docker.io/library/m:1")
        self.assertEqual(meta["containerimage.descriptor"]["digest"],
                         built.digest)
        quiet = self.build("-q")
        self.assertEqual((quiet.stdout, quiet.stderr), (iid + "\n", ""))

    def test_no_file_on_failure(self):
        self.dockerfile("FROM BASE\nRUN false\n")
        self.build("--iidfile", self.dir / "iid", "--metadata-file",
                   self.dir / "meta", status=1)
        self.assertFalse((self.dir / "iid").exists())
        self.assertFalse((self.dir / "meta").exists())

    def test_rawjson(self):
        self.dockerfile("FROM BASE\nRUN echo told\n")
        built = self.build("--progress", "rawjson")
        events = [json.loads(line) for line in built.stderr.splitlines()]
        self.assertIn("told\n", [event.get("data") for event in events])


if __name__ == "__main__":
    unittest.main()
