#!/usr/bin/env python3
"""Records what a real builder makes of odd expansions.

  record_expand.py DOCKER… DIR > testdata/expand/recorded.txt

DOCKER… is the client's command line, DIR a directory that it can read; the
base image is made from scratch. Words are made at random, the same at every
run, each is the value of a LABEL. Lines: `word TEXT`, then `value TEXT` or
`refused`; bytes that are not printable, blanks and percent signs as in a URL.
"""

import json
import pathlib
import random
import subprocess
import sys
import urllib.parse

# As in tests/dockerfile/expand_recorded_test.cc.
HEAD = ("FROM scratch\n"
        "ENV s=/usr/local/lib/libfoo.tar.gz e= q='a*b?c' n=12 u=äöü.tar\n"
        "ARG d\nARG w=word\n")
NAMES = ["s", "e", "q", "n", "u", "d", "w", "nope"]
PATTERNS = ["*", "?", "/", "a", "l", "lib", ".", "tar", "\\*", "\\?", "\\/",
            "$w", "${n}", "ä", "*.", "o", "[a]", "(", "+", "^", "|", "\\\\"]
WORDS = ["a", "b c", "$s", "${n}", "'q$n'", "\\$", "é", ":", "-", "\\n", "/",
         "x"]
ODD = ["$$", "$", "\\$s", "$1", "$@", "${?}", "$-x", "'$s'"]
WRONG = ["${", "${}", "${s", "${s:=x}", "${s:#x}", "${s:%x}", "${{s}}",
         "${s/a}", "${nope:?}", "${nope?gone}", "${e:?$w}", "${e?$w}", "'",
         "${s:1:2}", "${s,,}", "${s^}", "${s!}", "${s:}", "${:s}", "${s#\\a}",
         "${s/\\l/x}", "${nope:-${}", "${s:+${nope:?x}}", "${s:-${e:?x}}",
         "${s@Q}", "${!s}", "${#s}", "${s-", "${s//a}", '"${s', "$s'", "${s }"]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, items):
        return self.random.choice(items)

    def pattern(self):
        return "".join(self.pick(PATTERNS)
                       for _ in range(self.random.randint(1, 3)))

    def word(self, depth):
        choices = WORDS + ([self.expression(depth - 1)] if depth else [])
        return "".join(self.pick(choices)
                       for _ in range(self.random.randint(0, 3)))

    def expression(self, depth=2):
        name = self.pick(NAMES)
        kind = self.random.randint(0, 9)
        if kind == 0:
            return self.pick(["$" + name, "${" + name + "}"])
        if kind in (1, 2, 3):
            sign = self.pick([":-", "-", ":+", "+"])
            return f"${{{name}{sign}{self.word(depth)}}}"
        if kind in (4, 5):
            sign = self.pick(["#", "##", "%", "%%"])
            return f"${{{name}{sign}{self.pattern()}}}"
        if kind in (6, 7):
            old = self.pattern().replace("/", "")
            new = self.word(depth).replace("/", "").replace("$", "")
            return f"${{{name}{self.pick(['/', '//'])}{old}/{new}}}"
        return self.pick(ODD) if kind == 8 else self.word(1)

    def label(self):
        text = "".join(self.expression()
                       for _ in range(self.random.randint(1, 3)))
        if self.random.random() < 0.4:
            return '"' + text.replace('"', "") + '"'
        return text.replace(" ", "_")


def build(docker, directory, words):
    """The values, or None when one of the words is refused."""
    pathlib.Path(directory, "Dockerfile").write_text(HEAD + "".join(
        f"LABEL l{i}={word}\n" for i, word in enumerate(words)))
    made = subprocess.run([*docker, "build", "-q", "-t", "record-expand:1",
                           directory], capture_output=True)
    if made.returncode != 0:
        return None
    shown = subprocess.run([*docker, "image", "inspect", "record-expand:1"],
                           capture_output=True, check=True)
    labels = json.loads(shown.stdout)[0]["Config"]["Labels"]
    return [labels[f"l{i}"] for i in range(len(words))]


def values(docker, directory, words):
    found = build(docker, directory, words)
    if found is not None:
        return found
    if len(words) == 1:
        return [None]
    middle = len(words) // 2
    return (values(docker, directory, words[:middle])
            + values(docker, directory, words[middle:]))


def quoted(text):
    return urllib.parse.quote(text, safe="!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~")


def main(docker, directory):
    maker = Maker(1)
    words = sorted({maker.label() for _ in range(600)} - {""})
    found = values(docker, directory, words)
    # Most of these are refused: one by one.
    for word in WRONG + [f"a{w}b" for w in WRONG]:
        words.append(word)
        found += values(docker, directory, [word])
    for word, value in zip(words, found):
        print("word", quoted(word))
        print("refused" if value is None else f"value {quoted(value)}")


if __name__ == "__main__":
    main(sys.argv[1:-1], sys.argv[-1])
