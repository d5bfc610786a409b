"""Bad input: one clear error, the exit status of its kind, and a store that
works afterwards."""

import os
import re
import subprocess
import unittest

import harness


class Errors(harness.Case):
    # --- a step fails ---------------------------------------------------------

    def test_failing_run(self):
        self.dockerfile("FROM BASE\nRUN echo before\n\n"
                        "RUN echo to-stdout; echo to-stderr >&2; exit 3\n")
        done = self.build("-t", "never:1", status=1)
        line = "RUN echo to-stdout; echo to-stderr >&2; exit 3"
        self.assert_error(
            done,
            'error: process "/bin/sh -c echo to-stdout; echo to-stderr >&2; '
            'exit 3" did not complete successfully: exit code: 3\n'
            " --> Dockerfile:4:1\n"
            "  |\n"
            f"4 | {line}\n"
            f"  | {'^' * len(line)}\n")
        # Above it, what the step had said.
        block = done.stderr[done.stderr.index("------\n"):]
        self.assertEqual(
            re.sub(r"(?m)^\d+\.\d{3} ", "TIME ", block.split("error: ")[0]),
            f"------\n > [3/3] {line}:\nTIME to-stdout\nTIME to-stderr\n"
            "------\n")
        self.assertEqual(self.image_names(), [])
        self.assert_usable()

    def test_failing_exec_form(self):
        self.dockerfile('FROM BASE\nRUN ["no-such-program"]\n')
        self.assert_error(
            self.build(status=1),
            'error: process "no-such-program" could not be started: exec: '
            '"no-such-program": executable file not found in $PATH\n'
            " --> Dockerfile:2:1\n"
            "  |\n"
            '2 | RUN ["no-such-program"]\n'
            "  | ^^^^^^^^^^^^^^^^^^^^^^^\n"
            "  = hint: the program is not in the image, or not in its PATH\n")

    def test_step_ended_by_a_signal(self):
        # The shell itself is process 1, which nothing inside can kill.
        line = "RUN sh -c 'kill -9 $$'; exit $?"
        self.dockerfile(f"FROM BASE\n{line}\n")
        self.assert_error(
            self.build(status=1),
            """error: process "/bin/sh -c sh -c 'kill -9 $$'; exit $?" did """
            "not complete successfully: exit code: 137\n"
            " --> Dockerfile:2:1\n"
            "  |\n"
            f"2 | {line}\n"
            f"  | {'^' * len(line)}\n"
            "  = hint: killed by signal 9: most often the host ran out of "
            "memory\n")

    def test_missing_copy_source(self):
        self.dockerfile("FROM BASE\nCOPY src/main.c /app/\n")
        self.assert_error(
            self.build(status=1),
            'error: COPY: "src/main.c" is not in the build context\n'
            " --> Dockerfile:2:6\n"
            "  |\n"
            "2 | COPY src/main.c /app/\n"
            "  |      ^^^^^^^^^^\n")
        self.assert_usable()

    def test_ignored_copy_source(self):
        self.write("src/main.c", "")
        self.write(".dockerignore", "# comment\n*.o\nsrc/\n")
        self.dockerfile("FROM BASE\nCOPY src/main.c /app/\n")
        self.assert_error(
            self.build(status=1),
            'error: COPY: "src/main.c" is not in the build context\n'
            " --> Dockerfile:2:6\n"
            "  |\n"
            "2 | COPY src/main.c /app/\n"
            "  |      ^^^^^^^^^^\n"
            '  = hint: .dockerignore line 3 ("src/") excludes it\n')

    def test_missing_copy_source_in_a_stage(self):
        self.dockerfile("FROM BASE AS one\nRUN true\nFROM BASE\n"
                        "COPY --from=one /nothing /\n")
        self.assert_error(
            self.build(status=1),
            'error: COPY: "nothing" is not in the stage it copies from\n'
            " --> Dockerfile:4:17\n"
            "  |\n"
            "4 | COPY --from=one /nothing /\n"
            "  |                 ^^^^^^^^\n")

    # --- the command line -----------------------------------------------------

    def assert_usage(self, words, text, status=2):
        self.assertEqual(self.imgbuild(*words, status=status).error,
                         "error: " + text)

    def test_usage(self):
        self.dockerfile("FROM BASE\n")
        self.assert_usage(["build", "--taget", "x", "."],
                          "unknown flag: --taget\n"
                          "   = hint: did you mean --target?\n")
        self.assert_usage(["build"],
                          "PATH is required\n"
                          "   = hint: usage: imgbuild build [OPTIONS] PATH|URL|-\n")
        self.assert_usage(["buidl", "."],
                          "unknown command: buidl\n"
                          "   = hint: did you mean build?\n")
        self.assert_usage(["images", "--nope"],
                          "unknown flag: --nope\n"
                          "   = hint: see imgbuild images --help\n")
        self.assert_usage(["run"],
                          "run needs an image\n   = hint: usage: imgbuild run "
                          "[OPTIONS] IMAGE [COMMAND…]\n", status=125)

    def test_values_of_flags(self):
        self.dockerfile("FROM BASE\n")
        self.assert_usage(["build", "-o", "type=zip", "."],
                          'unknown output type "zip"\n   = hint: the types '
                          "are image, oci, docker, tar, local\n")
        self.assert_usage(["build", "-o", "type=oci,dest=x", "-o", "./x",
                           "."], 'two outputs cannot both go to "./x"\n')
        self.assert_usage(["build", "--network", "bridge2", "."],
                          'invalid --network "bridge2"\n   = hint: it is '
                          "default, none or host\n")
        self.assert_usage(["build", "--progress", "fancy", "."],
                          'unknown --progress "fancy"\n   = hint: it is '
                          "auto, plain, tty, quiet, rawjson or none\n")
        self.assert_usage(["build", "--target", "nope", "."],
                          'target stage "nope" could not be found in '
                          "Dockerfile\n", status=3)
        self.assert_usage(["build", "--build-context", "x=/nope/x", "."],
                          '"/nope/x" is not a directory\n   = while reading '
                          "--build-context x\n   = hint: a named context is "
                          "a directory, docker-image://REF, oci-layout://PATH"
                          "[:TAG|@DIGEST], an http(s) or git URL, or "
                          "target:STAGE\n")
        self.assert_usage(["build", "--build-context", "x::a/b/c/d=.", "."],
                          'invalid platform "a/b/c/d": more than three parts\n'
                          "   = while reading --build-context x::a/b/c/d\n"
                          "   = hint: write OS/ARCH or OS/ARCH/VARIANT, as in "
                          "linux/arm64\n")
        digest = "sha256:" + "0" * 64
        self.assert_usage(["build", "-t", f"a@{digest}", "."],
                          "refusing to create a tag with a digest reference: "
                          f"a@{digest}\n   = hint: a digest is what the "
                          "build gives, not what it is given\n")
        self.assert_usage(["pull", "a@sha256:12"],
                          "invalid reference format\n   = hint: a digest is "
                          '"sha256:" and 64 lower-case hex digits\n')

    def test_cap_of_an_instruction(self):
        self.dockerfile("FROM scratch\nLABEL a=" + "x" * 2000 + "\n")
        self.build()
        self.build(env={"IMGBUILD_MAX_LINE": "2k"})
        short = {"IMGBUILD_MAX_LINE": "1k"}
        result = self.build(status=3, env=short)
        self.assertTrue(result.error.startswith(
            "error: instruction is longer than 1024 bytes\n"
            " --> Dockerfile:2:1\n"), result.error)
        for command in (["check", "."], ["plan", "."], ["lock", "."]):
            self.assertIn("longer than 1024 bytes", self.imgbuild(
                *command, status=3, env=short).error)
        result = self.build(status=2, env={"IMGBUILD_MAX_LINE": "much"})
        self.assertIn('invalid IMGBUILD_MAX_LINE "much"', result.error)

    def test_no_dockerfile_no_context(self):
        self.assert_usage(["build", "."],
                          'there is no Dockerfile in "."\n'
                          "   = hint: -f FILE names another one\n")
        self.assert_usage(["build", "-f", "nope", "."],
                          'there is no Dockerfile at "nope"\n'
                          "   = hint: -f FILE names another one\n")
        self.assert_usage(["build", "no/such/dir"],
                          'the context "no/such/dir" is not a directory\n')

    # --- the Dockerfile -------------------------------------------------------

    def test_parse_error(self):
        self.dockerfile("FROM BASE\nRUN true\nCOPPY a b\n")
        self.assert_error(
            self.build(status=3),
            'error: unknown instruction "COPPY"\n'
            " --> Dockerfile:3:1\n"
            "  |\n"
            "3 | COPPY a b\n"
            "  | ^^^^^\n"
            '  = hint: did you mean "COPY"?\n')

    def test_unknown_flag(self):
        self.dockerfile("FROM BASE\nCOPY --chwon=1 a b\n")
        self.assert_error(
            self.build(status=3),
            'error: COPY: unknown flag "--chwon"\n'
            " --> Dockerfile:2:6\n"
            "  |\n"
            "2 | COPY --chwon=1 a b\n"
            "  |      ^^^^^^^\n"
            '  = hint: did you mean "--chown"?\n')

    # --- the host ---------------------------------------------------------------

    def test_disk_full(self):
        self.store.mkdir(mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700",
                        "tmpfs", str(self.store)], check=True)
        self.addCleanup(subprocess.run, ["umount", str(self.store)],
                        check=True)
        self.imgbuild("pull", self.base)
        # Written by a step: the step fails as it would on any full disk.
        self.dockerfile("FROM BASE\nRUN cat /dev/zero > /big\n")
        self.assert_error(
            self.build(status=1),
            'error: process "/bin/sh -c cat /dev/zero > /big" did not complete '
            "successfully: exit code: 1\n"
            " --> Dockerfile:2:1\n"
            "  |\n"
            "2 | RUN cat /dev/zero > /big\n"
            "  | ^^^^^^^^^^^^^^^^^^^^^^^^\n")
        # Written by imgbuild itself: bytes that do not compress.
        (self.context / "big").write_bytes(os.urandom(30 << 20))
        self.dockerfile("FROM BASE\nCOPY big /\n")
        self.assert_error(
            self.build(status=5),
            'error: write "blob": no space left on device\n'
            " --> Dockerfile:2:1\n"
            "  |\n"
            "2 | COPY big /\n"
            "  | ^^^^^^^^^^\n"
            "  = hint: free some disk space and try again\n")
        (self.context / "big").unlink()
        self.assert_usable()

    def test_root_that_is_no_store(self):
        self.store.mkdir(mode=0o755)
        (self.store / "letter").touch()
        self.assertEqual(
            self.imgbuild("images", status=5).error,
            f'error: open store "{self.store}": not a store: it has "letter" '
            "in it\n   = hint: give an empty directory, or one that imgbuild "
            "has made\n")
        # And it is left as it was.
        self.assertEqual(self.store.stat().st_mode & 0o7777, 0o755)
        self.assertEqual(os.listdir(self.store), ["letter"])

    def test_root_of_another_user(self):
        self.store.mkdir(mode=0o700)
        os.chown(self.store, 12345, 12345)
        self.assertEqual(
            self.imgbuild("images", status=5).error,
            f'error: open store "{self.store}": it belongs to user 12345, not '
            "to 0\n   = hint: choose another directory with --root or "
            "IMGBUILD_ROOT\n")


if __name__ == "__main__":
    unittest.main()
