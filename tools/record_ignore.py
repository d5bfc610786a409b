#!/usr/bin/env python3
"""Records what a real builder leaves out by odd ignore files.

  record_ignore.py DOCKER… DIR > testdata/ignore/recorded.txt

DOCKER… is the client's command line, DIR a directory that it can read. Rules
are made at random, the same at every run; each is used for a build of
`COPY . /` from a fixed tree. Lines: `tree PATH` (the tree), then for each build
`rules TEXT` and `kept PATH`… or `refused`; bytes that are not printable, blanks
and percent signs as in a URL.
"""

import pathlib
import random
import subprocess
import sys
import tarfile
import urllib.parse

TREE = ["a", "b", "ab", "a.md", "b.md", "x.log", "keep.log", "#h", "!bang",
        "sp ace", "d/a", "d/b.md", "d/e/a", "d/e/f/g.log", "d/e/f/keep.log",
        "ad/a", "foo", "xfoo", "x/foo", "x/y/foo", "x/y/z", "m/[k]", "m/k",
        "é/ü", "A", "back\\slash", "dot./.hid", "a+b", "(p)", "d.e"]
PARTS = ["a", "b", "d", "e", "f", "foo", "x", "*", "**", "?", "/", "/", "/",
         "**/", "/**", ".md", ".log", "*.log", "[ab]", "[^a]", "[a-d]", "\\",
         "keep", ".", "..", "./", "d/e", "é", "+", "(p)", "m/[k]", "\\[k\\]",
         "A", "#h", "!"]
SPACE = ["", "", "", " ", "\t", "  ", "\u00a0", "\v"]
ENDS = ["\n", "\n", "\n", "\r\n", "\n\n", " \n", "\t\r\n"]


def rules(seed):
    pick = random.Random(seed)
    text = pick.choice(["", "", "", "\ufeff", "# c\n", "*\n", "**\n"])
    for _ in range(pick.randint(1, 5)):
        line = pick.choice(SPACE)
        if pick.random() < 0.35:
            line += "!" + pick.choice(SPACE)
        line += "".join(pick.choice(PARTS)
                        for _ in range(pick.randint(1, 4)))
        text += line + pick.choice(ENDS)
    return text.encode()


def quoted(data):
    return urllib.parse.quote_from_bytes(
        data, safe="!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~")


def main(docker, directory):
    context = pathlib.Path(directory, "ignore-context")
    for name in TREE:
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    dockerfile = pathlib.Path(directory, "ignore.Dockerfile")
    dockerfile.write_text("FROM scratch\nCOPY . /\n")
    archive = pathlib.Path(directory, "ignore.tar")
    for name in sorted(TREE):
        print("tree", quoted(name.encode()))
    for seed in range(250):
        (context / ".dockerignore").write_bytes(rules(seed))
        done = subprocess.run(
            [*docker, "build", "-q", "-o", f"type=tar,dest={archive}", "-f",
             str(dockerfile), str(context)], capture_output=True)
        print("rules", quoted(rules(seed)))
        if done.returncode != 0:
            print("refused")
            continue
        with tarfile.open(archive) as tar:
            names = sorted(m.name.removeprefix("./") for m in tar
                           if m.isreg())
        for name in names:
            if name != ".dockerignore":
                print("kept", quoted(name.encode()))


if __name__ == "__main__":
    main(sys.argv[1:-1], sys.argv[-1])
