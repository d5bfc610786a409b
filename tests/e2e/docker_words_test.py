"""Replays testdata/docker/containers.txt: what docker 28.5 printed for command
lines on containers is what imgbuild prints, exit statuses included.

The file was taken from a real docker with the image b (busybox). `! ` begins a
line of standard error; ids, times and process numbers are masked, runs of
blanks are two, and the general help that docker prints after an error is left
out. What differs on purpose is taken away from docker's lines by `ours`.
"""

import pathlib
import re
import shlex
import unittest

import containers_test
import harness

TRANSCRIPT = (pathlib.Path(__file__).resolve().parents[2] /
              "testdata/docker/containers.txt")


def mask(text):
    text = re.sub(r"\b[0-9a-f]{64}\b", "ID64", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "ID12", text)
    text = re.sub(r"(Less than a second|About a minute|\d+ seconds?)", "TIME",
                  text)
    text = re.sub(r"(?m)^(root +)\d+( +)\d+( +)\d+( +)\d\d:\d\d",
                  r"\1PID\2PID\3C\4HH:MM", text)
    text = re.sub(r" {2,}", "  ", text)
    return re.sub(r"(?m) +$", "", text)


def ours(line):
    """Docker's error line as imgbuild words it."""
    # There is no daemon to have an answer from, and no layers of runtimes.
    line = re.sub(r"^! (docker: )?Error response from daemon: ", "! error: ",
                  line)
    line = re.sub(r"^! (docker: |Error: )", "! error: ", line)
    line = re.sub(r"^! (You cannot attach)", r"! error: \1", line)
    line = re.sub(r'^! invalid argument ".*?" for ".*?" flag: ', "! error: ",
                  line)
    line = re.sub(r"(failed to create task .*?|OCI runtime exec failed: .*?)"
                  r'(exec: ")', r"\2", line)
    line = re.sub(r'strconv.Atoi: parsing ".*": invalid syntax',
                  "it is a number", line)
    # Of exec, docker has these words on standard output.
    return re.sub(r'^(! )?(exec: ".*": )', r"! error: \2", line)


def is_repetition(line):
    """Docker sums up what it has just said; one error is enough."""
    return re.match(r"^! Error: failed to (start|rename) container", line)


class DockerWords(containers_test.ContainerCase):
    def replay(self, line):
        process = self.run_raw(*shlex.split(line))
        out, err = process.communicate(timeout=harness.SECONDS)
        lines = mask(out.decode()).splitlines()
        for text in mask(err.decode()).splitlines():
            # Hints are what we add.
            if text.strip() and not re.match(r"^\s*= hint: ", text):
                lines.append("! " + text)
        if process.returncode != 0:
            lines.append(f"[exit {process.returncode}]")
        return lines

    def test_all_lines(self):
        cases = re.split(r"(?m)^\$ ", TRANSCRIPT.read_text())[1:]
        self.assertGreaterEqual(len(cases), 80)
        for case in cases:
            line, *want = case.splitlines()
            want = [ours(text) for text in want if not is_repetition(text)]
            with self.subTest(line):
                self.assertEqual(self.replay(line), want)


if __name__ == "__main__":
    unittest.main()
