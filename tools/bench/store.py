#!/usr/bin/env python3
"""How long the image commands take in a large store.

usage: store.py [--imgbuild BIN] [--images N] [--layers N] [--store DIR]

Makes a store of N images with as many layers of their own each (through
`imgbuild load`, a few hundred at a time; a DIR that holds such a store already
is used again) and prints the median wall time of a command, with what the
project wants of it. Exit status 1 when one is missed.
"""
import argparse
import hashlib
import io
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import time

BATCH = 250


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def tar_of(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w",
                      format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def batch(first, count, layers):
    files, manifest = {}, []
    for i in range(first, first + count):
        tars = [tar_of({f"f{k}": f"{i} {k}\n".encode()})
                for k in range(layers)]
        config = json.dumps({
            "architecture": "amd64", "os": "linux",
            "created": "2024-01-01T00:00:00Z",
            "config": {"Cmd": ["sh"], "Labels": {"n": str(i)}},
            "rootfs": {"type": "layers", "diff_ids":
                       ["sha256:" + sha256(one) for one in tars]},
            "history": [{"created_by": f"step {k}"} for k in range(layers)],
        }).encode()
        for one in tars:
            files[sha256(one) + ".tar"] = one
        files[sha256(config) + ".json"] = config
        manifest.append({"Config": sha256(config) + ".json",
                         "RepoTags": [f"bench/r{i % 97}:{i}"],
                         "Layers": [sha256(one) + ".tar" for one in tars]})
    files["manifest.json"] = json.dumps(manifest).encode()
    return tar_of(files)


class Bench:
    def __init__(self, binary, store):
        self.binary = binary
        self.env = {**os.environ, "IMGBUILD_ROOT": str(store)}

    def run(self, *words, data=None):
        begin = time.perf_counter()
        done = subprocess.run([self.binary, *words], input=data,
                              env=self.env, capture_output=True, check=False)
        seconds = time.perf_counter() - begin
        if done.returncode != 0:
            raise SystemExit(f"imgbuild {' '.join(words)}: "
                             f"{done.stderr.decode()}")
        return seconds, done.stdout

    def median(self, *words, times=9):
        return statistics.median(self.run(*words)[0] for _ in range(times))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--imgbuild", default=str(
        pathlib.Path(__file__).resolve().parents[2] / "build/imgbuild"))
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--store")
    options = parser.parse_args()
    store = pathlib.Path(options.store or tempfile.mkdtemp(prefix="bench-"))
    bench = Bench(options.imgbuild, store)
    try:
        have = len(bench.run("images", "-q")[1].split())
        # Those that an earlier run removed are not made again.
        if have + 50 > options.images:
            have = options.images
        for first in range(have, options.images, BATCH):
            count = min(BATCH, options.images - first)
            bench.run("load", "-q", data=batch(first, count, options.layers))
        names = bench.run("images", "--format",
                          "{{.Repository}}:{{.Tag}}")[1].decode().split()
        name = names[len(names) // 2]
        rmi = names[:9]
        rows = [("images", bench.median("images"), 0.050),
                ("images -q", bench.median("images", "-q"), 0.050),
                ("inspect", bench.median("inspect", name), 0.010),
                ("history", bench.median("history", name), None),
                ("rmi", statistics.median(bench.run("rmi", one)[0]
                                          for one in rmi), 0.030),
                ("prune images", bench.run("prune", "images", "-f")[0], None)]
    finally:
        if not options.store:
            shutil.rmtree(store, ignore_errors=True)
    missed = False
    print(f"{options.images} images, {options.images * options.layers} layers")
    for what, seconds, limit in rows:
        late = limit is not None and seconds > limit
        missed |= late
        print(f"{what:14}{seconds * 1000:9.1f} ms" +
              (f"   {'MISSED' if late else 'ok'}: at most "
               f"{limit * 1000:.0f} ms" if limit else ""))
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
