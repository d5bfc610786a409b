#!/usr/bin/env python3
"""Start-up time of a container: imgbuild against docker and podman.

  tools/bench/containers.py [--image REF] [--rounds N] [--imgbuild PATH]
                            [--docker "CMD"] [--podman "CMD"]

Runs `run --rm IMAGE true` with each program in turn, round after round, so
that whatever else the machine does hits all of them alike. The image is stored
everywhere before the clock runs. A program that is not there is left out.
Prints median and minimum in milliseconds, and each one's ratio to imgbuild.
"""

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import tempfile
import time

NETWORKS = ("default", "none")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--image", default="127.0.0.1:5000/busybox")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--imgbuild", default="build/imgbuild")
    parser.add_argument("--docker", default="docker")
    parser.add_argument("--podman", default="podman")
    return parser.parse_args()


def prepared(words, image, pull_flags=()):
    """The program's words, or None when it cannot be used here."""
    if shutil.which(words[0]) is None:
        return None
    done = subprocess.run([*words, "pull", *pull_flags, image],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False)
    return words if done.returncode == 0 else None


def run_once(words, network, image):
    begin = time.perf_counter()
    subprocess.run([*words, "run", "--rm", "--network", network, image, "true"],
                   stdin=subprocess.DEVNULL, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return (time.perf_counter() - begin) * 1000


def main():
    options = arguments()
    with tempfile.TemporaryDirectory() as store:
        os.environ["IMGBUILD_ROOT"] = os.path.join(store, "store")
        programs = {
            "imgbuild": prepared([options.imgbuild], options.image),
            "docker": prepared(shlex.split(options.docker), options.image),
            "podman": prepared(shlex.split(options.podman), options.image,
                               ["--tls-verify=false"]),
        }
        programs = {name: words for name, words in programs.items() if words}
        times = {}
        for round_number in range(options.rounds + 1):
            for network in NETWORKS:
                for name, words in programs.items():
                    wanted = network
                    if name == "docker" and network == "default":
                        wanted = "bridge"
                    if name == "podman" and network == "default":
                        wanted = "bridge"
                    took = run_once(words, wanted, options.image)
                    if round_number > 0:  # the first one warms up
                        times.setdefault((network, name), []).append(took)
    for network in NETWORKS:
        own = statistics.median(times[network, "imgbuild"])
        print(f"--network {network}")
        for name in programs:
            values = times[network, name]
            median = statistics.median(values)
            print(f"  {name:9} median {median:7.1f} ms   min {min(values):7.1f}"
                  f" ms   {median / own:5.2f} x")


if __name__ == "__main__":
    main()
