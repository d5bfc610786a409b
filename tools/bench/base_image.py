"""A registry on a loopback port with a busybox image in it, for as long as a
`with` block lasts."""
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _make_root(directory):
    """A root file system of Debian's static busybox."""
    busybox = shutil.which("busybox")
    if not busybox:
        sys.exit("busybox is not installed (Debian package busybox-static)")
    for sub in ("bin", "etc", "tmp", "root"):
        os.makedirs(os.path.join(directory, sub), exist_ok=True)
    shutil.copy(busybox, os.path.join(directory, "bin/busybox"))
    for name in subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, text=True, check=True).stdout.split():
        link = os.path.join(directory, "bin", name)
        if not os.path.lexists(link):
            os.symlink("busybox", link)
    with open(os.path.join(directory, "etc/passwd"), "w") as out:
        out.write("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    with open(os.path.join(directory, "etc/group"), "w") as out:
        out.write("root:x:0:\nnogroup:x:65534:\n")


def _push(work, port):
    root = os.path.join(work, "busybox-root")
    archive = os.path.join(work, "busybox.tar")
    _make_root(root)
    subprocess.run(["tar", "--numeric-owner", "--owner=0", "--group=0", "--sort=name", "--mtime=@1767225600",
                    "-C", root, "-cf", archive, "."], check=True)
    # `tarball:` takes a bare root file system, so nothing of ours is measured with.
    subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false", f"tarball:{archive}",
                    f"docker://127.0.0.1:{port}/busybox:latest"], check=True)


@contextlib.contextmanager
def registry(work, given):
    """Yields the base's name: `given`, or one in a registry of its own."""
    if given:
        yield given
        return
    port = _free_port()
    config = os.path.join(work, "registry.yml")
    with open(config, "w") as out:
        out.write("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
                  f"storage: {{filesystem: {{rootdirectory: {work}/registry}}}}\n"
                  f"http: {{addr: 127.0.0.1:{port}}}\n")
    server = subprocess.Popen(["docker-registry", "serve", config], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        _push(work, port)
        yield f"127.0.0.1:{port}/busybox:latest"
    finally:
        server.terminate()
        server.wait()
