"""The commands of testdata/docker, answered as a real docker did.

docker.json says what docker printed (tools/record_docker.py). The exit status
and standard output must be the same, sizes and ages aside; errors are in our
own words. Where ours is meant to differ, OURS says why.
"""

import json
import pathlib
import re
import shlex
import unittest

import harness

DATA = pathlib.Path(__file__).resolve().parents[2] / "testdata/docker"

OURS = {}


def masked(text):
    text = re.sub(r"\b(\d+|About an?|Less than a) \w+ ago", "AGE", text)
    text = re.sub(r"(?<=  )\d[\d.]*[kMG]?B(?= |$)", "SIZE", text,
                  flags=re.MULTILINE)
    return re.sub(r" {2,}", "  ", text)


def lines_of(text):
    """Docker also tells which layers went; we, which digests."""
    lines = masked(text).splitlines()
    deleted = [line for line in lines if line.startswith("Deleted: ")]
    return [line for line in lines
            if line not in deleted[1:]
            and not re.match(r"Untagged: .*@sha256:", line)]


class AsDocker(harness.Case):
    @classmethod
    def setUpClass(cls):
        """No registry is needed."""

    def test_every_command(self):
        cases = json.loads((DATA / "docker.json").read_text())
        self.assertGreaterEqual(len(cases), 80)
        for case in cases:
            words = [str(DATA / "fixture.tar") if word == "FIXTURE" else word
                     for word in shlex.split(case["command"])]
            with self.subTest(command=case["command"]):
                done = self.imgbuild(
                    *words, env={"TZ": "UTC"},
                    status=OURS.get(case["command"], case["status"]))
                self.assertEqual(lines_of(done.stdout),
                                 lines_of(case["stdout"]))
                self.assertEqual(bool(done.stderr), bool(case["stderr"]))


if __name__ == "__main__":
    unittest.main()
