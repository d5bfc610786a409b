#!/usr/bin/env python3
"""The language cases of testdata/cases: write them out, and say what is in an
image that came of one.

  cases.py write DIR REGISTRY FILES GIT [CASE…]
                                        a buildable folder for each case
  cases.py serve DIR                    make and serve what ADD fetches
  cases.py list BASE.tar IMAGE.tar [REGISTRY FILES GIT]
                                        config, history and files of an image

A case is a folder with a Dockerfile and its context. Beside it may stand
  CASE.flags   one build flag a line
  CASE.setup   a shell script that is run inside the copy of the folder, for
               what git does not keep: modes, links, archives
  CASE.fails   the build must be refused
  CASE.golden  what must come out: `list` of the image, or the error text
  CASE.ours    why we differ from docker/dockerfile here, in a sentence
A Dockerfile names registry.test, files.test and git.test; `write` replaces
them by the addresses it is given. `list` compares with the base image, both as OCI archives: only
files that are not the base's are shown, without times.
"""

import gzip
import hashlib
import http.server
import io
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time

CASES = pathlib.Path(__file__).resolve().parent.parent / "testdata" / "cases"
HOSTS = ("registry.test", "files.test", "git.test")


def names():
    return sorted(p.name for p in CASES.iterdir() if p.is_dir())


def part(name, suffix):
    path = CASES / (name + suffix)
    return path.read_text() if path.exists() else None


def write(name, directory, addresses):
    """Makes DIRECTORY/NAME and its flags; returns the flags."""

    def replace(text):
        for host, address in zip(HOSTS, addresses):
            text = text.replace(host, address)
        return text

    target = pathlib.Path(directory, name)
    shutil.copytree(CASES / name, target, symlinks=True)
    for path, folders, files in os.walk(target):
        os.chmod(path, 0o755)
        for file in files:
            os.chmod(os.path.join(path, file), 0o644)
    setup = part(name, ".setup")
    if setup is not None:
        subprocess.run(["sh", "-euc", "umask 022\n" + setup], cwd=target,
                       check=True)
    for path in target.glob("*Dockerfile*"):
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        path.write_bytes(replace(text).encode("utf-8", "surrogateescape"))
    flags = part(name, ".flags")
    if flags is not None:
        flags = replace(flags).replace("@DIR@", str(target))
        pathlib.Path(directory, name + ".flags").write_text(flags)
    if part(name, ".fails") is not None:
        pathlib.Path(directory, name + ".fails").write_text("")
    return [f for f in (flags or "").splitlines() if f.strip()]


class Servers:
    """An HTTP server of a few files and a git server of two repositories."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        files = self.dir / "files"
        (files / "dir").mkdir(parents=True)
        (files / "hello.txt").write_text("hello\n")
        (files / "dir" / "hello.txt").write_text("hello from dir\n")
        (files / "dir" / "index.html").write_text("index\n")
        with tarfile.open(files / "archive.tar", "w") as tar:
            info = tarfile.TarInfo("x")
            info.size, info.mode, info.uid = 2, 0o640, 5
            tar.addfile(info, io.BytesIO(b"x\n"))
        for path in files.rglob("*"):
            os.utime(path, (1700000000, 1700000000))
        self._make_repository(self.dir / "repo.git")
        self._make_super_repository(self.dir / "super.git")
        http = http_server(files)
        self.http = http
        self.files = f"127.0.0.1:{http.server_address[1]}"
        threading.Thread(target=http.serve_forever, daemon=True).start()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.git = f"127.0.0.1:{port}"
        self.daemon = subprocess.Popen(
            ["git", "daemon", "--reuseaddr", "--export-all",
             "--listen=127.0.0.1", f"--port={port}",
             f"--base-path={self.dir}", str(self.dir)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)

    @staticmethod
    def _git_in(work):
        env = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1",
               "GIT_CONFIG_GLOBAL": "/dev/null",
               "GIT_AUTHOR_DATE": "1700000000 +0000",
               "GIT_COMMITTER_DATE": "1700000000 +0000"}
        for who in ("AUTHOR", "COMMITTER"):
            env[f"GIT_{who}_NAME"], env[f"GIT_{who}_EMAIL"] = "a", "a@b"

        def git(*words):
            subprocess.run(["git", *words], cwd=work, env=env, check=True,
                           capture_output=True)
        return git

    def _make_super_repository(self, bare):
        """One that has the other at `part`, by a relative URL."""
        work = self.dir / "super"
        work.mkdir()
        git = self._git_in(work)
        git("init", "-q", "-b", "main")
        (work / "own").write_text("own\n")
        git("-c", "protocol.file.allow=always", "submodule", "add", "-q",
            str(self.dir / "repo.git"), "part")
        git("config", "-f", ".gitmodules", "submodule.part.url",
            "../repo.git")
        git("add", "-A")
        git("commit", "-q", "-m", "super")
        git("clone", "-q", "--bare", ".", str(bare))

    def _make_repository(self, bare):
        work = self.dir / "work"
        (work / "sub").mkdir(parents=True)
        git = self._git_in(work)
        git("init", "-q", "-b", "main")
        (work / "file").write_text("one\n")
        (work / "tool").write_text("#!/bin/sh\n")
        os.chmod(work / "tool", 0o755)
        (work / "sub" / "s").write_text("s\n")
        os.symlink("file", work / "link")
        git("add", "-A")
        git("commit", "-q", "-m", "one")
        git("tag", "-a", "v1", "-m", "v1")
        git("checkout", "-q", "-b", "other")
        (work / "sub" / "s").write_text("other\n")
        git("commit", "-q", "-a", "-m", "other")
        git("checkout", "-q", "main")
        (work / "file").write_text("two\n")
        git("commit", "-q", "-a", "-m", "two")
        git("clone", "-q", "--bare", ".", str(bare))

    def close(self):
        self.daemon.terminate()
        self.daemon.wait()
        self.http.shutdown()


def http_server(directory):
    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *words):
            super().__init__(*words, directory=str(directory))

        def log_message(self, *words):
            pass
    return http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)


class Image:
    """What an OCI archive holds: its config and its merged files."""

    def __init__(self, path, addresses=()):
        # A Dockerfile that is copied has the addresses in it.
        self.hosts = list(zip(addresses, HOSTS))
        self.archive = tarfile.open(path)
        self.members = {os.path.normpath(m.name): m for m in self.archive}
        document = self._json("index.json")
        while "manifests" in document:
            document = self._json(self._path(document["manifests"][0]))
        self.config = self._json(self._path(document["config"]))
        self.files = {}
        self.effects = []
        for layer in document["layers"]:
            before = dict(self.files)
            self._apply(self._read(self._path(layer)))
            self.effects.append(before != self.files)

    @staticmethod
    def _path(descriptor):
        return "blobs/" + descriptor["digest"].replace(":", "/")

    def _read(self, name):
        return self.archive.extractfile(self.members[name]).read()

    def _json(self, name):
        return json.loads(self._read(name))

    def _remove(self, path, itself):
        below = path.rstrip("/") + "/"
        for name in [n for n in self.files
                     if n.startswith(below) or (itself and n == path)]:
            del self.files[name]

    def _apply(self, data):
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        elif data[:4] == b"\x28\xb5\x2f\xfd":
            data = subprocess.run(["zstd", "-dc"], input=data, check=True,
                                  capture_output=True).stdout
        links = {}
        with tarfile.open(fileobj=io.BytesIO(data)) as layer:
            for member in layer:
                path = os.path.normpath("/" + member.name)
                name = os.path.basename(path)
                folder = os.path.dirname(path)
                if name == ".wh..wh..opq":
                    self._remove(folder, itself=False)
                elif name.startswith(".wh."):
                    self._remove(os.path.join(folder, name[4:]), itself=True)
                elif path != "/":
                    self._put(layer, member, path, links)

    def _put(self, layer, member, path, links):
        if not member.isdir():
            self._remove(path, itself=False)
        if member.islnk():
            source = os.path.normpath("/" + member.linkname)
            first = links.get(source, source)
            links[path] = first
            line = self.files[first]
            if " = " not in line:
                self.files[first] = line = f"{line} = {first}"
            self.files[path] = line
            return
        line = f"{member.mode & 0o7777:04o} {member.uid}:{member.gid} "
        if member.isdir():
            line = "dir " + line
        elif member.issym():
            line = f"link {member.uid}:{member.gid} -> {member.linkname}"
        elif member.isreg():
            content = layer.extractfile(member).read()
            if b"FROM" in content[:4096]:
                for address, host in self.hosts:
                    content = content.replace(address.encode(), host.encode())
            digest = hashlib.sha256(content).hexdigest()[:12]
            line = f"file {line}{len(content)} {digest}"
            if len(content) <= 60 and content.endswith(b"\n"):
                line += " " + json.dumps(content.decode(errors="replace"))
        elif member.isfifo():
            line = "fifo " + line
        else:
            kind = "char" if member.ischr() else "block"
            line = f"{kind} {line}{member.devmajor}:{member.devminor}"
        for key, value in sorted(member.pax_headers.items()):
            if "SCHILY.xattr." in key:
                line += f" {key.split('xattr.', 1)[1]}={value!r}"
        self.files[path] = line.rstrip()


def listing(base_archive, archive, addresses=()):
    """The golden text of an image: what it adds to the base."""
    base, image = Image(base_archive), Image(archive, addresses)
    lines = []
    for key in ("architecture", "os", "variant", "author"):
        if image.config.get(key):
            lines.append(f"{key}: {image.config[key]}")
    config = image.config.get("config") or {}
    for key in sorted(config):
        if config[key] not in (None, "", [], {}, False):
            text = json.dumps(config[key], ensure_ascii=False, sort_keys=True)
            lines.append(f"{key}: {text}")
    layers = iter(image.effects)
    for entry in image.config.get("history") or []:
        effect = not entry.get("empty_layer") and next(layers, False)
        if entry.get("comment") != "buildkit.dockerfile.v0":
            continue  # the base's own
        text = json.dumps(entry.get("created_by", ""), ensure_ascii=False)
        lines.append(f"history{'' if effect else ' (no files)'}: {text}")
    known = {k: v for k, v in base.files.items()}
    unrelated = not set(known) & set(image.files)
    for path in sorted(set(image.files) | (set() if unrelated else set(known))):
        if path not in image.files:
            lines.append(f"{path}: removed")
        elif image.files[path] != known.get(path):
            lines.append(f"{path}: {image.files[path]}")
    text = "\n".join(lines) + "\n"
    for address, host in image.hosts:
        text = text.replace(address, host)
    return text


def main(words):
    if len(words) >= 5 and words[0] == "write":
        os.makedirs(words[1], exist_ok=True)
        for name in words[5:] or names():
            write(name, words[1], words[2:5])
    elif len(words) == 2 and words[0] == "serve":
        servers = Servers(words[1])
        print(servers.files, servers.git, flush=True)
        servers.daemon.wait()
    elif len(words) in (3, 6) and words[0] == "list":
        sys.stdout.write(listing(words[1], words[2], words[3:]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
