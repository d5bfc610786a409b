"""A registry on a loopback port with a busybox image in it, for as long as a
`with` block lasts."""
import contextlib
import os
import shutil
import subprocess
import sys

import loopback_registry


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


def _push(work, address):
    root = os.path.join(work, "busybox-root")
    archive = os.path.join(work, "busybox.tar")
    _make_root(root)
    subprocess.run(["tar", "--numeric-owner", "--owner=0", "--group=0", "--sort=name", "--mtime=@1767225600",
                    "-C", root, "-cf", archive, "."], check=True)
    # `tarball:` takes a bare root file system, so nothing of ours is measured with.
    subprocess.run(["skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false", f"tarball:{archive}",
                    f"docker://{address}/busybox:latest"], check=True)


@contextlib.contextmanager
def registry(work, given):
    """Yields the base's name: `given`, or one in a registry of its own."""
    if given:
        yield given
        return
    with loopback_registry.running(work) as address:
        _push(work, address)
        yield f"{address}/busybox:latest"
