#!/usr/bin/env python3
"""What locking costs: 100 Dockerfiles, 300 FROM lines, 60 distinct names on one
registry; a lock of 1,000 entries; a plan with and without a lock.

  tools/bench/lock.py [IMGBUILD]

Starts Debian's docker-registry on a loopback port and counts its requests.
"""

import os
import pathlib
import re
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


def timed(directory, *words):
    env = {"PATH": os.environ["PATH"], "HOME": str(directory),
           "IMGBUILD_ROOT": str(directory / "store")}
    start = time.monotonic()
    subprocess.run([PROGRAM, *map(str, words)], cwd=directory, env=env,
                   check=True, capture_output=True)
    return (time.monotonic() - start) * 1000


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


def median(directory, *words):
    return statistics.median(timed(directory, *words) for _ in range(15))


def big_lock(directory):
    digest = "sha256:" + "a" * 64
    blocks = ["version = 1\n"]
    for i in range(1000):
        blocks.append(
            f'[[image]]\nname = "e.com/n{i:04}:1"\ndigest = "{digest}"\n'
            'media-type = "application/vnd.oci.image.index.v1+json"\n'
            f'size = 1\n[image.platform."linux/amd64"]\n'
            f'manifest = "{digest}"\nsize = 1\nconfig = "{digest}"\n')
    (directory / "big").write_text("\n".join(blocks))
    (directory / "small").write_text("version = 1\n")
    two = median(directory, "lock", "diff", "big", "big")
    none = median(directory, "lock", "diff", "small", "small")
    print(f"read 1,000 entries       {(two - none) / 2:7.1f} ms")


def with_and_without(directory):
    locked = median(directory, "plan", "--locked", "p0")
    without = median(directory, "plan", "--no-locked", "p0")
    print(f"--locked adds            {locked - without:7.2f} ms to a plan of "
          f"{without:.1f} ms")


def main():
    registry = harness.Registry()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="imgbuild-bench."))
    try:
        with tempfile.TemporaryDirectory() as layout:
            harness.write_layout(layout, harness.busybox_tar())
            for i in range(60):
                registry.push(layout, f"n{i}")
        many_files(registry, directory)
        big_lock(directory)
        with_and_without(directory)
    finally:
        registry.stop()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
