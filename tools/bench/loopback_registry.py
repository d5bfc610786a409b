"""Debian's docker-registry on a loopback port, for as long as a `with` block
lasts."""
import contextlib
import os
import re
import shutil
import subprocess
import sys
import time

SECONDS = 30  # to start


def _address(log, server):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and server.poll() is None:
        with open(log, errors="replace") as lines:
            match = re.search(r"listening on (127\.0\.0\.1:\d+)", lines.read())
        if match:
            return match.group(1)
        time.sleep(0.02)
    sys.exit("docker-registry did not start")


@contextlib.contextmanager
def running(directory):
    """Yields its address; what it keeps lies in `directory`/registry and goes
    with the block."""
    if not shutil.which("docker-registry"):
        sys.exit("docker-registry is not installed")
    data = os.path.join(directory, "registry")
    os.makedirs(data, exist_ok=True)
    config, log = os.path.join(data, "config.yml"), os.path.join(data, "log")
    with open(config, "w") as out:
        out.write("version: 0.1\nlog: {level: info, accesslog: {disabled: true}}\n"
                  f"storage: {{filesystem: {{rootdirectory: {data}/data}}}}\n"
                  "http: {addr: \"127.0.0.1:0\"}\n")
    with open(log, "w") as out:
        server = subprocess.Popen(["docker-registry", "serve", config], stdout=out, stderr=out)
    try:
        yield _address(log, server)
    finally:
        server.terminate()
        server.wait()
        shutil.rmtree(data, ignore_errors=True)
