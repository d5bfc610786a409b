#!/usr/bin/env python3
"""Measures pull and push of one image beside other programs, in alternation.

  tools/bench/registry.py [--imgbuild BIN] [--peer NAME=COMMAND]... [--runs N]
                          [--work DIR] IMAGE [pull] [again] [push]

pull    with an empty store, unpacked; `skopeo copy` to a layout beside it, which
        unpacks nothing
again   with everything present: milliseconds
push    of the stored image into an empty registry on a loopback port, beside
        `curl -T` of the same blobs, all at once

`--peer docker=docker`, `--peer podman=podman`: what stands before `pull`. The
store lies in DIR/store: put DIR on a file system of its own, freshly made. Only
ratios taken in one run count. Peak memory is that of the client process.
"""
import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))


def run(words, env=None):
    """(seconds, peak KiB); the program must succeed."""
    with tempfile.TemporaryFile() as log:
        start = time.monotonic()
        child = subprocess.Popen(words, stdout=log, stderr=log, env=env)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            log.seek(0)
            sys.exit(f"failed: {shlex.join(words)}\n{log.read().decode(errors='replace')[-2000:]}")
    return seconds, usage.ru_maxrss


class Bench:
    def __init__(self, options):
        self.options = options
        self.store = os.path.join(options.work, "store")
        self.env = dict(os.environ, IMGBUILD_ROOT=self.store)

    def imgbuild(self, *words):
        return run([self.options.imgbuild, *words], self.env)

    # --- pull

    def cold_imgbuild(self):
        shutil.rmtree(self.store, ignore_errors=True)
        return self.imgbuild("pull", "-q", self.options.image)

    def cold_peer(self, command):
        subprocess.run([*command, "rmi", "-f", self.options.image], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
        return run([*command, "pull", "-q", self.options.image])

    def cold_skopeo(self):
        layout = os.path.join(self.options.work, "layout")
        shutil.rmtree(layout, ignore_errors=True)
        return run(["skopeo", "copy", "-q", "--insecure-policy", "--src-tls-verify=false",
                    f"docker://{self.options.image}", f"oci:{layout}:1"])

    def pull(self):
        candidates = {"imgbuild": self.cold_imgbuild}
        for name, command in self.options.peers:
            candidates[name] = lambda command=command: self.cold_peer(command)
        if shutil.which("skopeo"):
            candidates["skopeo"] = self.cold_skopeo
        return candidates

    def again(self):
        candidates = {"imgbuild": lambda: self.imgbuild("pull", "-q", self.options.image)}
        for name, command in self.options.peers:
            candidates[name] = lambda command=command: run([*command, "pull", "-q", self.options.image])
        return candidates

    # --- push

    def push_imgbuild(self):
        with registry(self.options.work) as address:
            name = f"{address}/bench:1"
            self.imgbuild("tag", self.options.image, name)
            return self.imgbuild("push", "-q", name)

    def push_curl(self):
        with registry(self.options.work) as address, concurrent.futures.ThreadPoolExecutor(8) as pool:
            start = time.monotonic()
            for done in [pool.submit(curl_put, address, blob) for blob in self.blobs()]:
                done.result()
            return time.monotonic() - start, 0

    def blobs(self):
        """The blob files of the image, from the store."""
        described = subprocess.run([self.options.imgbuild, "inspect", self.options.image], env=self.env,
                                   stdout=subprocess.PIPE, check=True).stdout
        manifest = json.loads(described)[0]["Descriptor"]["digest"]
        directory = pathlib.Path(self.store, "blobs/sha256")
        parsed = json.loads((directory / manifest.split(":")[1]).read_bytes())
        return [directory / part["digest"].split(":")[1] for part in [*parsed["layers"], parsed["config"]]]

    def push(self):
        return {"imgbuild": self.push_imgbuild, "curl -T": self.push_curl}


def curl_put(address, blob):
    headers = subprocess.run(["curl", "-sS", "-D-", "-o/dev/null", "-XPOST", f"http://{address}/v2/bench/blobs/uploads/"],
                             stdout=subprocess.PIPE, text=True, check=True).stdout
    location = next(line.split(": ", 1)[1].strip() for line in headers.splitlines()
                    if line.lower().startswith("location:"))
    status = subprocess.run(
        ["curl", "-sS", "-o/dev/null", "-w%{http_code}", "-T", str(blob), "-H", "Content-Type: application/octet-stream",
         f"{location}&digest=sha256:{blob.name}"], stdout=subprocess.PIPE, text=True, check=True).stdout
    if status != "201":
        sys.exit(f"curl -T {blob}: {status}")


@contextlib.contextmanager
def registry(work):
    """An empty registry; yields its address."""
    with tempfile.TemporaryDirectory(dir=work, prefix="registry-") as directory:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        config = os.path.join(directory, "config.yml")
        with open(config, "w") as out:
            out.write("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
                      f"storage: {{filesystem: {{rootdirectory: {directory}/data}}}}\n"
                      f"http: {{addr: 127.0.0.1:{port}}}\n")
        server = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait()


def measure(what, candidates, runs):
    samples = {name: [] for name in candidates}
    for n in range(runs + 1):
        for name, call in candidates.items():
            sample = call()
            if n > 0:  # the first is not counted: caches, first touch of memory
                samples[name].append(sample)
    ours = statistics.median(seconds for seconds, _ in samples["imgbuild"])
    for name, rows in samples.items():
        seconds = statistics.median(s for s, _ in rows)
        ratio = "" if name == "imgbuild" else f"   imgbuild / {name} = {ours / seconds:.2f}"
        peak = max(m for _, m in rows) / 1024
        print(f"{what:<6} {name:<10} {seconds * 1000:9.1f} ms   peak {peak:6.1f} MB{ratio}")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imgbuild", default=os.path.join(HERE, "../../build/imgbuild"))
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", default=os.path.join(tempfile.gettempdir(), "imgbuild-bench-registry"))
    parser.add_argument("image")
    parser.add_argument("workload", nargs="*")
    options = parser.parse_args()
    options.workload = options.workload or ["pull", "again", "push"]
    options.peers = [(name, shlex.split(command)) for name, command in (p.split("=", 1) for p in options.peer)]
    os.makedirs(options.work, exist_ok=True)
    bench = Bench(options)
    for name in options.workload:
        if name not in ("pull", "again", "push"):
            sys.exit(f"unknown workload {name}")
        if name != "pull":
            bench.imgbuild("pull", "-q", options.image)
        measure(name, getattr(bench, name)(), options.runs)


if __name__ == "__main__":
    main()
