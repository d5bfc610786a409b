#!/usr/bin/env python3
"""What locking costs: 100 Dockerfiles, 300 FROM lines, 60 distinct names on one
registry; a lock of 1,000 entries; a plan with and without a lock.

  tools/bench/lock.py [IMGBUILD]

Starts Debian's docker-registry on a loopback port and counts its requests.
"""

import os
import pathlib
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import harness  # noqa: E402

PROGRAM = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "build/imgbuild")


def requests(registry):
    return re.findall(r'"((?:GET|HEAD) /v2/\S+)', registry.log.read_text())


def run(directory, *words):
    """Milliseconds on the clock, and of CPU: these are steadier."""
    env = {"PATH": os.environ["PATH"], "HOME": str(directory),
           "IMGBUILD_ROOT": str(directory / "store")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    subprocess.run([PROGRAM, *map(str, words)], cwd=directory, env=env,
                   check=True, capture_output=True)
    clock = (time.monotonic() - start) * 1000
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return clock, (after.ru_utime + after.ru_stime - before.ru_utime
                   - before.ru_stime) * 1000


def timed(directory, *words):
    return run(directory, *words)[0]


def many_files(registry, directory):
    for i in range(100):
        lines = [f"FROM {registry.address}/n{(3 * i + j) % 60}:1 AS s{j}\n"
                 for j in range(3)]
        (directory / f"p{i}").mkdir()
        (directory / f"p{i}/Dockerfile").write_text("".join(lines))
    for words in (["lock", "-r"], ["lock", "-r", "--check"],
                  ["lock", "-r", "--update"]):
        before = len(requests(registry))
        took = timed(directory, *words)
        time.sleep(0.3)  # the log is written after the answer
        new = requests(registry)[before:]
        tags = [r for r in new if r.endswith("/manifests/1")]
        print(f"{' '.join(words):24} {took:7.0f} ms  {len(new)} requests, "
              f"{len(tags)} by tag for {len(set(tags))} names")


def cpu(directory, *words, prepare=lambda: None, times=25):
    values = []
    for _ in range(times):
        prepare()
        values.append(run(directory, *words)[1])
    return statistics.median(values)


def big_lock(directory):
    """What a command costs that reads the lock and writes it anew."""
    digest = "sha256:" + "a" * 64
    blocks = ["version = 1\n"]
    for i in range(1000):
        blocks.append(
            f'[[image]]\nname = "e.com/n{i:04}:1"\nwritten = ["e.com/n{i:04}:1"]'
            f'\ndigest = "{digest}"\n'
            'media-type = "application/vnd.oci.image.index.v1+json"\n'
            'size = 1234\nadded = true\n[image.platform."linux/amd64"]\n'
            f'manifest = "{digest}"\nsize = 1234\nconfig = "{digest}"\n'
            'created = "2024-01-01T00:00:00Z"\n')
    costs = []
    for name, text in (("big", "\n".join(blocks)), ("small", "version = 1\n")):
        folder = directory / name
        folder.mkdir()
        (folder / "Dockerfile").write_text("FROM scratch\n")
        lock = folder / "Dockerfile.lock"
        costs.append(cpu(directory, "lock", "prune", folder,
                         prepare=lambda: lock.write_text(text)))
        assert lock.read_text() != text
    print(f"read, compare and write 1,000 entries {costs[0] - costs[1]:7.1f} ms "
          "of CPU")


def with_and_without(directory, digest):
    """--locked adds so little that only many runs in alternation show it:
    against the same Dockerfile with its digests written in, so that neither
    asks anybody."""
    text = (directory / "p0/Dockerfile").read_text()
    (directory / "pinned").mkdir()
    (directory / "pinned/Dockerfile").write_text(
        text.replace(":1 ", f":1@{digest} "))
    locked, without = [], []
    for _ in range(60):
        locked.append(run(directory, "plan", "--locked", "p0")[1])
        without.append(run(directory, "plan", "--no-locked", "pinned")[1])
    more = statistics.mean(locked) - statistics.mean(without)
    print(f"--locked adds {more:.2f} ms of CPU to a plan of "
          f"{statistics.mean(without):.1f} ms")


def main():
    registry = harness.Registry()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="imgbuild-bench."))
    try:
        with tempfile.TemporaryDirectory() as layout:
            harness.write_layout(layout, harness.busybox_tar())
            for i in range(60):
                digest = registry.push(layout, f"n{i}")
        many_files(registry, directory)
        big_lock(directory)
        with_and_without(directory, digest)
    finally:
        registry.stop()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
