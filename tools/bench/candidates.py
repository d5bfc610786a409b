"""imgbuild and its peers, each behind the same four verbs: build, push, pull,
forget. What a command costs: wall clock, CPU, peak memory, bytes written."""
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time

TAG = "imgbuild-bench"


class Failed(Exception):
    pass


class Cost:
    """Of one or more commands; costs add up, peaks do not."""

    def __init__(self, seconds=0.0, cpu=0.0, peak_kib=0, written=0):
        self.seconds, self.cpu, self.peak_kib, self.written = seconds, cpu, peak_kib, written

    def __add__(self, other):
        return Cost(self.seconds + other.seconds, self.cpu + other.cpu,
                    max(self.peak_kib, other.peak_kib), self.written + other.written)

    def divided(self, by):
        return Cost(self.seconds / by, self.cpu / by, self.peak_kib, self.written)


class Daemon:
    """What the processes of a daemon have used so far, as /proc tells it."""

    def __init__(self, names):
        self.names = names

    def _pids(self):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/comm") as comm:
                    if comm.read().strip() in self.names:
                        yield pid
            except OSError:
                pass

    def reset_peak(self):
        for pid in self._pids():
            try:
                with open(f"/proc/{pid}/clear_refs", "w") as out:
                    out.write("5")
            except OSError:
                pass

    def used(self):
        cost = Cost()
        ticks = os.sysconf("SC_CLK_TCK")
        for pid in self._pids():
            try:
                with open(f"/proc/{pid}/stat") as stat:
                    fields = stat.read().rsplit(")", 1)[1].split()
                cost.cpu += sum(int(f) for f in fields[11:15]) / ticks
                with open(f"/proc/{pid}/status") as status:
                    peak = re.search(r"VmHWM:\s+(\d+)", status.read())
                cost.peak_kib = max(cost.peak_kib, int(peak.group(1)) if peak else 0)
                with open(f"/proc/{pid}/io") as io:
                    cost.written += int(re.search(r"^write_bytes: (\d+)", io.read(), re.M).group(1))
            except (OSError, AttributeError):
                pass
        return cost


class Candidate:
    daemon = None

    def __init__(self, name, command, env=None):
        self.name, self.command, self.env = name, command, env

    def run(self, *words):
        """The cost of one command, its daemon's share included."""
        words = [*self.command, *words]
        before = None
        if self.daemon:
            self.daemon.reset_peak()
            before = self.daemon.used()
        with tempfile.TemporaryFile() as log:
            start = time.monotonic()
            child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     env=dict(os.environ, **(self.env or {})))
            _, status, usage = os.wait4(child.pid, 0)
            seconds = time.monotonic() - start
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode != 0:
                log.seek(0)
                raise Failed(f"{self.name}: {shlex.join(words)}\n" + log.read().decode(errors="replace")[-2000:])
        cost = Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, usage.ru_oublock * 512)
        if before:
            after = self.daemon.used()
            cost.cpu += after.cpu - before.cpu
            cost.peak_kib = max(cost.peak_kib, after.peak_kib)
            cost.written += after.written - before.written
        return cost

    def try_run(self, *words):
        try:
            self.run(*words)
        except Failed:
            pass


class Imgbuild(Candidate):
    def __init__(self, command, store):
        super().__init__("imgbuild", command, {"IMGBUILD_ROOT": store})
        self.store = store

    def build(self, dockerfile, context, *flags, tag=TAG):
        return self.run("build", "--progress=plain", "-t", tag, "-f", dockerfile, *flags, context)

    def push(self, tag):
        return self.run("push", tag)

    def pull(self, image):
        return self.run("pull", image)

    def forget(self, *_):
        """Everything."""
        for name in os.listdir(self.store) if os.path.isdir(self.store) else ():
            path = os.path.join(self.store, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)


class Docker(Candidate):
    daemon = Daemon({"dockerd", "containerd"})

    def build(self, dockerfile, context, *flags, tag=TAG):
        return self.run("build", "--provenance=false", "--progress=plain", "-t", tag, "-f", dockerfile, *flags, context)

    def push(self, tag):
        return self.run("push", "-q", tag)

    def pull(self, image):
        return self.run("pull", "-q", image)

    def forget(self, image):
        self.try_run("rmi", "-f", TAG)
        self.try_run("rmi", "-f", image)
        self.try_run("builder", "prune", "-af")


class Buildah(Candidate):
    """Podman too: the same storage and flags."""

    def build(self, dockerfile, context, *flags, tag=TAG):
        return self.run("build", "--layers", "--network=host", "-t", tag, "-f", dockerfile, *flags, context)

    def push(self, tag):
        return self.run("push", "--tls-verify=false", tag)

    def pull(self, image):
        return self.run("pull", "-q", "--tls-verify=false", image)

    def forget(self, image):
        self.try_run("rmi", "-f", TAG)
        self.try_run("rmi", "-f", image)


class Buildkit(Candidate):
    """A stand-alone buildkitd; the command is buildctl's."""

    daemon = Daemon({"buildkitd"})

    def build(self, dockerfile, context, *flags, tag=TAG):
        return self.run("build", "--progress=plain", "--frontend=dockerfile.v0",
                        "--local", f"context={context}", "--local", f"dockerfile={os.path.dirname(dockerfile)}",
                        "--opt", f"filename={os.path.basename(dockerfile)}", *flags,
                        "--output", f"type=image,name={tag}")

    def push(self, tag):
        raise Failed("buildctl pushes while it builds")

    def pull(self, image):
        raise Failed("buildctl does not pull")

    def forget(self, *_):
        self.try_run("prune", "--all")


class Bare(Candidate):
    """No builder: what its work cannot do without. For W1 a walk that lstats the context's files, for
    W2 the commands of its steps in one root file system, each through the OCI runtime."""

    # crun refuses a host with both kinds of cgroups, so it is given a mount namespace with one.
    RUNTIME = ("mount -t cgroup2 none /sys/fs/cgroup && cd BUNDLE && for i in $(seq 20); do"
               " crun --cgroup-manager=disabled run bare-$$-$i </dev/null || exit 1; done")

    def __init__(self, work, base, imgbuild):
        super().__init__("bare", [])
        self.bundle = os.path.join(work, "bundle")
        self.base, self.imgbuild = base, imgbuild

    def _make_bundle(self):
        rootfs = os.path.join(self.bundle, "rootfs")
        if os.path.exists(rootfs):
            return
        os.makedirs(self.bundle, exist_ok=True)
        dockerfile = os.path.join(self.bundle, "Dockerfile")
        with open(dockerfile, "w") as out:
            out.write(f"FROM {self.base}\n")
        self.imgbuild.run("build", "-f", dockerfile, "--output", f"type=local,dest={rootfs}", self.bundle)
        subprocess.run(["crun", "spec"], cwd=self.bundle, check=True)
        path = os.path.join(self.bundle, "config.json")
        with open(path) as spec:
            config = json.load(spec)
        config["process"].update(terminal=False, args=["/bin/sh", "-c", "echo x > /f"])
        config["root"]["readonly"] = False
        with open(path, "w") as out:
            json.dump(config, out)

    def build(self, dockerfile, context, *_, tag=TAG):
        workload = os.path.basename(dockerfile)
        if workload == "W1":
            # -links makes it look at each file.
            return self.run("find", context, "-links", "+1000000")
        if workload == "W2":
            self._make_bundle()
            return self.run("unshare", "-m", "sh", "-c", self.RUNTIME.replace("BUNDLE", shlex.quote(self.bundle)))
        raise Failed("bare: only W1 and W2")

    def push(self, tag):
        raise Failed("bare: only W1 and W2")

    def pull(self, image):
        raise Failed("bare: only W1 and W2")

    def forget(self, *_):
        pass


KINDS = {"docker": Docker, "buildah": Buildah, "podman": Buildah, "buildkit": Buildkit}
PROBES = {"docker": ["version"], "buildah": ["version"], "podman": ["version"], "buildkit": ["debug", "workers"]}
PROGRAMS = {"docker": "docker", "buildah": "buildah", "podman": "podman", "buildkit": "buildctl"}


def find_peers(given):
    """`given` (NAME=COMMAND), else $IMGBUILD_BENCH_NAME, else the PATH; those
    that answer."""
    commands = dict(word.split("=", 1) for word in given)
    if not commands:
        for name in KINDS:
            command = os.environ.get(f"IMGBUILD_BENCH_{name.upper()}") or shutil.which(PROGRAMS[name])
            if command:
                commands[name] = command
    peers = []
    for name, command in commands.items():
        if name not in KINDS:
            raise SystemExit(f"unknown peer {name}: one of {', '.join(KINDS)}")
        peer = KINDS[name](name, shlex.split(command))
        try:
            peer.run(*PROBES[name])
        except (Failed, OSError) as error:
            print(f"{name} does not answer, left out: {str(error).splitlines()[-1]}")
            continue
        peers.append(peer)
    return peers
