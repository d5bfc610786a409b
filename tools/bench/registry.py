#!/usr/bin/env python3
"""Measures pull and push of one image beside other programs, in alternation.

  tools/bench/registry.py [--imgbuild BIN] [--peer NAME=COMMAND]... [--store NAME=DIR]...
                          [--daemon NAME=COMMAND]... [--runs N] [--work DIR] IMAGE [pull] [again] [push]

pull    with an empty store, unpacked. Beside it `bare`: curl | igzip or zstd | tar, all layers at once,
        blob and tar hashed by openssl on the way; and `skopeo copy` to a layout, which unpacks nothing
again   with everything present: milliseconds
push    of the stored image into an empty registry on a loopback port, beside
        `curl -T` of the same blobs, all at once

Every store lies on an ext4 of its own in a file below --work, made anew for each run (as root): imgbuild's,
`bare`'s, and a peer's when --store tells where that peer keeps it. --daemon is what must run meanwhile, with
its store there. So, with /x for stores:

  --peer 'podman=podman --root /x/podman --runroot /run/bench' --store podman=/x/podman
  --peer 'docker=docker -H unix:///run/d.sock' --store docker=/x/docker
  --daemon 'docker=dockerd -H unix:///run/d.sock -p /run/d.pid --data-root /x/docker --exec-root /run/d
            --bridge=bench0 --iptables=false'
  (ip link add bench0 type bridge; ip addr add 172.31.250.1/24 dev bench0: with --bridge=none, and at times
  without --bridge, it takes docker0 away from a dockerd that is running)

Only ratios taken in one run count. CPU is that of the client and of the daemon's processes.
"""
import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
import candidates
import filesystem
import loopback_registry

MANIFEST_TYPES = ("application/vnd.oci.image.manifest.v1+json,application/vnd.docker.distribution.manifest.v2+json")
# $1 blob URL, $2 digest, $3 decompressor, $4 DiffId, $5 directory
BARE_LAYER = r"""
set -o pipefail
mkdir -p "$5"
exec 3>&1
curl -sSf "$1" | tee >(openssl dgst -sha256 -r | cut -c-64 >"$5.digest") | $3 |
    tee >(openssl dgst -sha256 -r | cut -c-64 >"$5.diffid") | tar -C "$5" -xpf - --xattrs || exit 1
for i in $(seq 100); do [ -s "$5.digest" ] && [ -s "$5.diffid" ] && break; sleep 0.01; done
[ "sha256:$(cat "$5.digest")" = "$2" ] && [ "sha256:$(cat "$5.diffid")" = "$4" ]
"""


class Alone(candidates.Candidate):
    """A program with a store, and perhaps a daemon, of its own."""

    def __init__(self, name, command, env=None, store=None, daemon=None):
        super().__init__(name, command, env)
        self.store, self.daemon_command = store, daemon

    @contextlib.contextmanager
    def ready(self, work):
        """An empty store on a fresh file system, and the daemon on it."""
        with contextlib.ExitStack() as stack:
            if self.store:
                stack.enter_context(filesystem.fresh(os.path.join(work, f"{self.name}.img"), self.store))
            if self.daemon_command:
                stack.enter_context(self.daemon_running())
            yield

    @contextlib.contextmanager
    def daemon_running(self):
        server = subprocess.Popen(self.daemon_command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  start_new_session=True)
        try:
            for _ in range(300):
                try:
                    self.run("version")
                    break
                except candidates.Failed:
                    time.sleep(0.1)
            self.daemon = SessionUse(server.pid)
            yield
        finally:
            self.daemon = None
            server.send_signal(signal.SIGTERM)
            server.wait()


class SessionUse(candidates.Daemon):
    """What the processes of one session use."""

    def __init__(self, session):
        super().__init__(())
        self.session = session

    def _pids(self):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if os.getsid(int(pid)) == self.session:
                    yield pid


class Bare:
    """What a pull cannot do without, by programs made for each part."""

    def __init__(self, work, image):
        self.name, self.work = "bare", work
        self.store = os.path.join(work, "bare")
        self.layers = list(layers_of(image))

    @contextlib.contextmanager
    def ready(self, work):
        with filesystem.fresh(os.path.join(work, "bare.img"), self.store):
            yield

    def pull(self, _image):
        before = os.times()
        start = time.monotonic()
        running = [
            subprocess.Popen(["bash", "-c", BARE_LAYER, "bare", url, digest, command, diff_id,
                              os.path.join(self.store, str(n))])
            for n, (url, digest, command, diff_id) in enumerate(self.layers)]
        if any([child.wait() for child in running]):
            sys.exit("the bare pipeline failed")
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        return candidates.Cost(time.monotonic() - start, cpu)


def layers_of(image):
    """(URL, digest, decompressor, DiffId) of each layer."""
    host, rest = image.split("/", 1)
    name, tag = rest.rsplit(":", 1)

    def get(path, accept="*/*"):
        request = urllib.request.Request(f"http://{host}/v2/{name}/{path}", headers={"Accept": accept})
        with urllib.request.urlopen(request) as reply:
            return json.load(reply)

    manifest = get(f"manifests/{tag}", MANIFEST_TYPES)
    diff_ids = get(f"blobs/{manifest['config']['digest']}")["rootfs"]["diff_ids"]
    for layer, diff_id in zip(manifest["layers"], diff_ids):
        command = "zstd -dcq" if "zstd" in layer["mediaType"] else "igzip -dc" if shutil.which("igzip") else "gzip -dc"
        yield f"http://{host}/v2/{name}/blobs/{layer['digest']}", layer["digest"], command, diff_id


class Bench:
    def __init__(self, options):
        self.options = options
        mount_point = os.path.join(options.work, "store")
        self.store = os.path.join(mount_point, "root")
        self.imgbuild = Alone("imgbuild", [options.imgbuild], {"IMGBUILD_ROOT": self.store}, mount_point)
        self.peers = [Alone(name, command, None, options.store.get(name), options.daemon.get(name))
                      for name, command in options.peer.items()]

    def pull(self):
        def cold(candidate, *words):
            with candidate.ready(self.options.work):
                return candidate.run(*words)

        candidate_of = {c.name: c for c in [self.imgbuild, *self.peers]}
        calls = {name: (lambda c=c: cold(c, "pull", "-q", self.options.image)) for name, c in candidate_of.items()}
        bare = Bare(self.options.work, self.options.image)

        def bare_pull():
            with bare.ready(self.options.work):
                return bare.pull(self.options.image)

        calls["bare"] = bare_pull
        if shutil.which("skopeo"):
            layout = os.path.join(self.options.work, "skopeo")
            skopeo = Alone("skopeo", ["skopeo"], None, layout)
            calls["skopeo"] = lambda: cold(skopeo, "copy", "-q", "--insecure-policy", "--src-tls-verify=false",
                                           f"docker://{self.options.image}", f"oci:{layout}/layout:1")
        return calls

    def again(self):
        return {c.name: (lambda c=c: c.run("pull", "-q", self.options.image)) for c in [self.imgbuild, *self.peers]}

    # --- push

    def push_imgbuild(self):
        with loopback_registry.running(self.options.work) as address:
            name = f"{address}/bench:1"
            self.imgbuild.run("tag", self.options.image, name)
            return self.imgbuild.run("push", "-q", name)

    def push_curl(self):
        with loopback_registry.running(self.options.work) as address, concurrent.futures.ThreadPoolExecutor(8) as pool:
            start = time.monotonic()
            for done in [pool.submit(curl_put, address, blob) for blob in self.blobs()]:
                done.result()
            return candidates.Cost(time.monotonic() - start)

    def blobs(self):
        """The blob files of the image, from the store."""
        described = subprocess.run([self.options.imgbuild, "inspect", self.options.image],
                                   env=dict(os.environ, IMGBUILD_ROOT=self.store),
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


def measure(what, calls, runs):
    samples = {name: [] for name in calls}
    for n in range(runs + 1):
        for name, call in calls.items():
            try:
                cost = call()
            except candidates.Failed as error:
                sys.exit(str(error))
            if n > 0:  # the first is not counted: caches, first touch of memory
                samples[name].append(cost)
    ours = statistics.median(cost.seconds for cost in samples["imgbuild"])
    for name, costs in samples.items():
        seconds = statistics.median(cost.seconds for cost in costs)
        cpu = statistics.median(cost.cpu for cost in costs)
        peak = max(cost.peak_kib for cost in costs) / 1024
        ratio = "" if name == "imgbuild" else f"   imgbuild / {name} = {ours / seconds:.2f}"
        print(f"{what:<6} {name:<10} {seconds * 1000:9.1f} ms   cpu {cpu * 1000:9.1f} ms"
              f"   peak {peak:6.1f} MB{ratio}")
    sys.stdout.flush()


def pairs(words):
    """NAME=COMMAND -> {NAME: COMMAND}"""
    return dict(word.split("=", 1) for word in words)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--imgbuild", default=os.path.join(HERE, "../../build/imgbuild"))
    parser.add_argument("--peer", action="append", default=[])
    parser.add_argument("--store", action="append", default=[])
    parser.add_argument("--daemon", action="append", default=[])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--work", default=os.path.join(tempfile.gettempdir(), "imgbuild-bench-registry"))
    parser.add_argument("image")
    parser.add_argument("workload", nargs="*")
    options = parser.parse_args()
    options.imgbuild = os.path.realpath(options.imgbuild)
    options.workload = options.workload or ["pull", "again", "push"]
    options.peer = {name: shlex.split(command) for name, command in pairs(options.peer).items()}
    options.daemon = {name: shlex.split(command) for name, command in pairs(options.daemon).items()}
    options.store = pairs(options.store)
    os.makedirs(options.work, exist_ok=True)
    bench = Bench(options)
    for name in options.workload:
        if name not in ("pull", "again", "push"):
            sys.exit(f"unknown workload {name}")
        with contextlib.ExitStack() as stack:
            if name != "pull":
                stack.enter_context(bench.imgbuild.ready(options.work))
                bench.imgbuild.run("pull", "-q", options.image)
            if name == "again":
                for peer in bench.peers:
                    stack.enter_context(peer.ready(options.work))
                    peer.run("pull", "-q", options.image)
            measure(name, getattr(bench, name)(), options.runs)


if __name__ == "__main__":
    main()
