#!/usr/bin/env python3
"""Records what a real docker answers to testdata/docker/commands.txt.

usage: record_docker.py [--dir DIR] [DOCKER [ARG...]]

Writes fixture.tar (three tiny images that docker and imgbuild load alike) and
docker.json (one {"command", "status", "stdout", "stderr"} a line) beside the
list. DIR is where docker can read the fixture. All names lie below golden/,
and are gone afterwards; nothing else of that docker is touched. The tests need
no docker; this is only for adding commands.
"""
import argparse
import hashlib
import io
import json
import pathlib
import shlex
import shutil
import subprocess
import tarfile

HERE = pathlib.Path(__file__).resolve().parent.parent / "testdata/docker"


def words_of(line, fixture, image_id):
    put = {"FIXTURE": str(fixture), "IMAGEID": image_id}
    return [put.get(word, word) for word in shlex.split(line)]


def layer(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(text), 1704067200
            tar.addfile(info, io.BytesIO(text))
    return out.getvalue()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def images():
    first, second = layer({"a": b"one\n"}), layer({"b": b"two\n"})
    web = {
        "User": "app", "WorkingDir": "/srv",
        "Env": ["PATH=/bin", "GREETING=hello world"],
        "Entrypoint": ["/entry"], "Cmd": ["serve", "--port", "80"],
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Volumes": {"/data": {}}, "StopSignal": "SIGTERM",
        "Labels": {"tier": "web", "empty": "", "com.example.b": "2 words"},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5000000000},
    }
    step = {"created": "2024-01-02T03:04:05Z", "comment": "made by hand"}
    yield (["golden/app:1", "golden/app:2", "golden/other:x"], [first, second], {
        "architecture": "amd64", "os": "linux", "author": "somebody",
        "created": "2024-01-02T03:04:05Z", "config": web,
        "history": [
            {**step, "created_by": "COPY a / # made by hand"},
            {**step, "created_by": "ENV GREETING=hello world",
             "empty_layer": True},
            {**step, "created_by": "RUN /bin/sh -c printf 'a long line that "
                                   "does not fit into its column' > /b"}]})
    yield (["golden/app:old"], [first], {
        "architecture": "amd64", "os": "linux",
        "created": "2023-01-02T03:04:05Z",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
        "history": [{"created": "2023-01-02T03:04:05Z",
                     "created_by": "COPY a /"}]})
    yield (["golden/db:1"], [second], {
        "architecture": "amd64", "os": "linux",
        "created": "2022-01-02T03:04:05Z",
        "config": {"Labels": {"tier": "db"}, "Cmd": ["db"]},
        "history": [{"created": "2022-01-02T03:04:05Z",
                     "created_by": "COPY b /"}]})


def write_fixture(path):
    files, manifest = {}, []
    for tags, layers, config in images():
        config["rootfs"] = {"type": "layers", "diff_ids":
                            ["sha256:" + sha256(data) for data in layers]}
        data = json.dumps(config, sort_keys=True).encode()
        files[sha256(data) + ".json"] = data
        for one in layers:
            files[sha256(one) + ".tar"] = one
        manifest.append({"Config": sha256(data) + ".json", "RepoTags": tags,
                         "Layers": [sha256(one) + ".tar" for one in layers]})
    files["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return manifest[0]["Config"][:12]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", default="/tmp")
    parser.add_argument("docker", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    docker = options.docker or ["docker"]
    image_id = write_fixture(HERE / "fixture.tar")
    fixture = pathlib.Path(options.dir, "imgbuild-fixture.tar")
    shutil.copy(HERE / "fixture.tar", fixture)
    lines = []
    for line in (HERE / "commands.txt").read_text().splitlines():
        ran = subprocess.run(
            [*docker, *words_of(line, fixture, image_id)],
            capture_output=True, text=True, check=False)
        lines.append(json.dumps({
            "command": line.replace("IMAGEID", image_id), "status": ran.returncode,
            "stdout": ran.stdout, "stderr": ran.stderr}))
    left = subprocess.run([*docker, "images", "-q", "golden/*"],
                          capture_output=True, text=True, check=True)
    if left.stdout.strip():
        subprocess.run([*docker, "rmi", "-f", *set(left.stdout.split())],
                       capture_output=True, check=True)
    fixture.unlink()
    (HERE / "docker.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
