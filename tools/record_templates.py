#!/usr/bin/env python3
"""Records what a real `docker inspect -f` prints for testdata/template/templates.txt.

usage: record_templates.py IMAGE [DOCKER [ARG...]]

Writes image.json (what the templates are evaluated over) and docker.json
(one [template, output or null, first line of the error or null] a line) beside
the list. The tests need no docker; this is only for adding templates.
"""
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent / "testdata/template"


def docker(command, *words):
    return subprocess.run([*command, *words], capture_output=True, text=True)


def main():
    image, command = sys.argv[1], sys.argv[2:] or ["docker"]
    shown = json.loads(docker(command, "inspect", image).stdout)[0]
    del shown["GraphDriver"]
    (HERE / "image.json").write_text(json.dumps(shown, indent=2) + "\n")
    lines = []
    for template in (HERE / "templates.txt").read_text().splitlines():
        ran = docker(command, "inspect", "-f", template, image)
        failed = ran.returncode != 0
        error = ran.stderr.strip().splitlines()[0] if failed else None
        # The client ends its output with a line feed of its own.
        lines.append(json.dumps(
            [template, None if failed else ran.stdout[:-1], error]))
    (HERE / "docker.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
