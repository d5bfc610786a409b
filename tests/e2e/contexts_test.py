"""Where a build's files come from: standard input, git, http(s), named
contexts. Every server is a real one on the loopback."""

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import pathlib
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

import harness

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import cases  # noqa: E402



def git(directory, *words):
    env = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1",
           "GIT_CONFIG_GLOBAL": "/dev/null",
           "GIT_AUTHOR_DATE": "1700000000 +0000",
           "GIT_COMMITTER_DATE": "1700000000 +0000"}
    for who in ("AUTHOR", "COMMITTER"):
        env[f"GIT_{who}_NAME"], env[f"GIT_{who}_EMAIL"] = "a", "a@b"
    return subprocess.run(["git", "-c", "protocol.file.allow=always", *words],
                          cwd=directory, env=env, check=True, text=True,
                          capture_output=True).stdout.strip()


def tar_of(files, owner=(0, 0)):
    """{name: text, link target in a tuple, or None for a directory}"""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.mode, info.mtime = 0o644, harness.EPOCH
            info.uid, info.gid = owner
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, tuple):
                info.type, info.linkname = tarfile.SYMTYPE, content[0]
            else:
                info.size = len(content)
            text = content.encode() if isinstance(content, str) else b""
            tar.addfile(info, io.BytesIO(text))
    return data.getvalue()


class Contexts(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        served = tempfile.TemporaryDirectory(prefix="imgbuild-served.")
        cls.addClassCleanup(served.cleanup)
        cls.served = pathlib.Path(served.name)
        cls.server = cases.http_server(cls.served)
        cls.url = f"http://127.0.0.1:{cls.server.server_address[1]}"
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.server.server_close)
        cls.addClassCleanup(cls.server.shutdown)
        cls._make_repositories()

    @classmethod
    def _make_repositories(cls):
        """repo.git with branches, a directory, a tag and a submodule."""
        with tempfile.TemporaryDirectory() as work:
            work = pathlib.Path(work)
            sub, main = work / "sub", work / "main"
            for directory in (sub, main):
                directory.mkdir()
                git(directory, "init", "-q", "-b", "main")
            (sub / "s").write_text("of the submodule\n")
            git(sub, "add", "-A")
            git(sub, "commit", "-q", "-m", "s")
            (main / "dir").mkdir()
            dockerfile = f"FROM {cls.base}\nCOPY . /c/\n"
            (main / "Dockerfile").write_text(dockerfile)
            (main / ".dockerignore").write_text("dir\n")
            (main / "dir" / "Dockerfile").write_text(dockerfile)
            (main / "dir" / "tool").write_text("#!/bin/sh\n")
            (main / "dir" / "tool").chmod(0o755)
            git(main, "submodule", "add", "-q", str(sub), "sm")
            modules = main / ".gitmodules"
            modules.write_text(modules.read_text().replace(
                str(sub), f"{cls.url}/sub.git"))
            git(main, "add", "-A")
            git(main, "commit", "-q", "-m", "one")
            cls.commit = git(main, "rev-parse", "HEAD")
            git(main, "tag", "-a", "v1", "-m", "v1")
            git(main, "checkout", "-q", "-b", "other")
            (main / "other").write_text("other\n")
            git(main, "add", "-A")
            git(main, "commit", "-q", "-m", "other")
            git(main, "checkout", "-q", "main")
            for name, directory in (("repo", main), ("sub", sub)):
                bare = cls.served / f"{name}.git"
                git(work, "clone", "-q", "--bare", str(directory), str(bare))
                git(bare, "update-server-info")

    def serve(self, name, data):
        (self.served / name).write_bytes(data)
        return f"{self.url}/{name}"

    def files(self, digest, where="/c"):
        """{path below `where`: "mode uid:gid"} in the image."""
        listing = self.imgbuild(
            "run", "--rm", f"{digest}", "sh", "-c",
            f"cd {where} && for f in $(echo * .[a-z]* */* */.[a-z]* .[a-z]*/*); do "
            "test -e $f && stat -c '%n %a %u:%g' $f; done; true").stdout
        return dict(line.split(" ", 1) for line in listing.splitlines())

    # --- standard input -----------------------------------------------------

    def test_tar_on_stdin(self):
        tar = tar_of({"Dockerfile": f"FROM {self.base}\nCOPY . /c/\n",
                      ".dockerignore": "a\n", "a": "a", "d": None,
                      "d/b": "b"}, owner=(1000, 1001))
        first = self.imgbuild("build", "-", stdin=tar)
        self.assertEqual(self.files(first.digest), {
            "Dockerfile": "644 1000:1001", ".dockerignore": "644 1000:1001",
            "a": "644 1000:1001", "d": "755 1000:1001",
            "d/b": "644 1000:1001"})
        zstd = subprocess.run(["zstd", "-qc"], input=tar, check=True,
                              capture_output=True).stdout
        for packed in (gzip.compress(tar), bz2.compress(tar),
                       lzma.compress(tar), zstd):
            again = self.imgbuild("build", "-", stdin=packed)
            self.assertEqual(again.digest, first.digest)
            self.assertEqual(harness.cached(again), 1, str(again))
        other = tar_of({"x/My.Dockerfile": f"FROM {self.base}\n"})
        self.imgbuild("build", "-f", "x/My.Dockerfile", "-", stdin=other)
        missing = self.imgbuild("build", "-", stdin=other, status=2)
        self.assert_error(missing, """\
error: there is no Dockerfile in the tar on standard input
   = hint: -f FILE names another one
""")
        self.assert_no_litter()

    def test_tar_cannot_leave_its_directory(self):
        outside = self.dir / "outside"
        outside.mkdir()
        self.imgbuild("build", "-", stdin=tar_of({
            "Dockerfile": f"FROM {self.base}\nCOPY . /c/\n",
            "link": (str(outside),), "link/in": "in",
            "../up": "up", str(outside / "absolute"): "absolute"}))
        self.assertEqual(list(outside.iterdir()), [])
        self.assertFalse((self.store / "tmp" / "up").exists())
        broken = self.imgbuild("build", "-", status=4,
                               stdin=gzip.compress(b"x" * 4000)[:-9])
        self.assertIn("while unpacking the context from standard input",
                      broken.error)
        self.assert_no_litter()

    def test_dockerfile_on_stdin(self):
        self.write("a", "a")
        text = f"FROM {self.base}\nCOPY . /c/\n".encode()
        empty = self.imgbuild("build", "-", stdin=text)
        self.assertEqual(self.files(empty.digest), {})
        with_context = self.imgbuild("build", "-f", "-", ".", stdin=text)
        self.assertEqual(self.files(with_context.digest), {"a": "644 0:0"})
        gone = self.imgbuild("build", "-", status=1, stdin=(
            f"FROM {self.base}\nCOPY a /\n".encode()))
        self.assert_error(gone, """\
error: COPY: "a" is not in the build context, which is empty: the Dockerfile \
came alone
 --> <stdin>:2:6
  |
2 | COPY a /
  |      ^
""")
        for words, said in (
                (("-f", "-", "-"), "error: the Dockerfile and the context "
                 "cannot both come from standard input\n"),
                (("-f", "x", "-"), "error: standard input is no tar archive, "
                 "so it is the Dockerfile; -f names another one\n")):
            self.assert_error(
                self.imgbuild("build", *words, stdin=text, status=2), said)
        self.assert_error(
            self.imgbuild("build", "-", status=2),
            "error: standard input is empty: there is no Dockerfile\n")

    # --- git ----------------------------------------------------------------

    def test_git(self):
        repo = f"{self.url}/repo.git"
        whole = {"Dockerfile": "644 0:0", ".dockerignore": "644 0:0",
                 ".gitmodules": "644 0:0", "dir": "755 0:0",
                 "dir/Dockerfile": "644 0:0", "dir/tool": "755 0:0",
                 "sm": "755 0:0", "sm/s": "644 0:0", "sm/.git": "644 0:0"}
        below = {"Dockerfile": "644 0:0", "tool": "755 0:0"}
        first = self.imgbuild("build", repo)
        self.assertEqual(self.files(first.digest), whole)
        for url, files in (
                (f"{repo}#other:dir", below),
                (f"{repo}?tag=v1&subdir=dir", below),
                (f"{repo}#{self.commit}", whole),
                (f"{repo}#other", {**whole, "other": "644 0:0"})):
            self.assertEqual(self.files(self.imgbuild("build", url).digest),
                             files, url)
        bare = self.imgbuild("build", f"{repo}?submodules=false")
        self.assertNotIn("sm/s", self.files(bare.digest))
        kept = self.imgbuild("build", "--build-arg",
                             "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1", repo)
        self.assertIn(".git/HEAD", self.files(kept.digest))
        again = self.imgbuild("build", repo)
        self.assertEqual(again.digest, first.digest)
        self.assertEqual(harness.cached(again), 1, str(again))
        self.assert_no_litter()

    def test_git_does_not_depend_on_the_umask(self):
        repo = f"{self.url}/repo.git"
        first = self.imgbuild("build", repo)
        before = os.umask(0o077)
        self.addCleanup(os.umask, before)
        second = self.imgbuild("build", "--no-cache", repo)
        self.assertEqual(first.digest, second.digest)

    def test_git_and_its_dockerfile(self):
        repo = f"{self.url}/repo.git"
        first = self.imgbuild("build", repo)
        inside = self.imgbuild("build", "-f", "dir/Dockerfile", repo)
        self.assertEqual(inside.digest, first.digest)
        self.dockerfile("FROM BASE\nCOPY dir/tool /tool\n")
        absolute = self.imgbuild("build", "-f", self.context / "Dockerfile",
                                 repo)
        piped = self.imgbuild("build", "-f", "-", repo, stdin=(
            self.context / "Dockerfile").read_bytes())
        self.assertEqual(absolute.digest, piped.digest)
        for words, status, text in (
                (["-f", "nope", repo], 2, 'there is no "nope" in the context'),
                ([f"{repo}#nope"], 4, 'has no ref "nope"'),
                ([f"{repo}#main:nope"], 4, 'there is no directory "nope" in'),
                ([f"{repo}?commit=abcdef"], 4, "commit mismatch"),
                ([f"{self.url}/gone.git"], 4, "git ls-remote of"),
                (["nope"], 2, 'the context "nope" is not a directory')):
            result = self.imgbuild("build", *words, status=status)
            self.assertIn(text, result.error)
        self.assert_no_litter()

    def test_add_git(self):
        repo = f"{self.url}/repo.git"
        whole = {"Dockerfile": "644 0:0", ".dockerignore": "644 0:0",
                 ".gitmodules": "644 0:0", "dir": "755 0:0",
                 "dir/Dockerfile": "644 0:0", "dir/tool": "755 0:0",
                 "sm": "755 0:0", "sm/s": "644 0:0", "sm/.git": "644 0:0"}
        self.dockerfile(f"FROM BASE\nADD {repo} /c/\n")
        first = self.build()
        self.assertEqual(self.files(first.digest), whole)
        self.assertEqual(harness.cached(self.build()), 1)
        self.assertEqual(self.build("--no-cache").digest, first.digest)
        self.dockerfile(f"FROM BASE\nADD {repo}?submodules=false /c/\n")
        files = self.files(self.build().digest)
        self.assertEqual(files, {k: v for k, v in whole.items()
                                 if k not in ("sm/s", "sm/.git")})
        for flag, url in (("--keep-git-dir", repo),
                          ("", f"{repo}?keep-git-dir=true")):
            self.dockerfile(f"FROM BASE\nADD {flag} {url} /c/\n")
            kept = self.build()
            self.assertIn(".git/HEAD", self.files(kept.digest))
            # The same repository, the same bytes: no times, no reflogs.
            self.assertEqual(self.build("--no-cache").digest, kept.digest)
        self.dockerfile(f"FROM BASE\nADD --keep-git-dir=false "
                        f"{repo}?keep-git-dir=true /c/\n")
        self.assertIn("disagree", self.build(status=3).error)
        self.assert_no_litter()

    def test_git_auth(self):
        served = self.served

        class Guarded(cases.http.server.SimpleHTTPRequestHandler):
            def __init__(self, *words):
                super().__init__(*words, directory=str(served))

            def do_GET(self):
                given = self.headers.get("Authorization", "")
                seen.add(given)
                if given in allowed:
                    return super().do_GET()
                self.send_response(401)
                self.send_header("WWW-Authenticate", "Basic")
                self.end_headers()
                return None

            def log_message(self, *words):
                pass
        seen = set()
        basic = "basic " + base64.b64encode(b"x-access-token:t0k3n").decode()
        allowed = {basic, "Bearer other"}
        server = cases.http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                       Guarded)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        repo = (f"http://127.0.0.1:{server.server_address[1]}/repo.git"
                "?submodules=false")
        env = {"T": "t0k3n\n", "H": "Bearer other", "BAD": "nope"}
        self.dockerfile(f"FROM BASE\nADD {repo} /c/\n")
        refused = self.build(status=4)
        self.assertIn("git ls-remote of http://127.0.0.1", refused.error)
        for words in (["--secret", "id=GIT_AUTH_TOKEN,env=T"],
                      ["--secret", "id=GIT_AUTH_HEADER,env=H"],
                      ["--secret", "id=GIT_AUTH_TOKEN.127.0.0.1,env=T",
                       "--secret", "id=GIT_AUTH_TOKEN,env=BAD"]):
            self.build("--no-cache", *words, env=env)
            self.imgbuild("build", *words, repo, env=env)
        self.assertEqual(seen, allowed | {""})
        wrong = self.build("--no-cache", "--secret",
                           "id=GIT_AUTH_TOKEN,env=BAD", env=env, status=4)
        self.assertNotIn("nope", wrong.stderr)
        for path in self.store.rglob("*"):
            if path.is_file() and not path.is_symlink():
                self.assertNotIn(b"t0k3n", path.read_bytes(), str(path))

    # --- http ---------------------------------------------------------------

    def test_http(self):
        dockerfile = f"FROM {self.base}\nCOPY . /c/\n"
        tar = self.serve("context.tgz", gzip.compress(tar_of(
            {"Dockerfile": dockerfile, "a": "a", ".dockerignore": "a\n"},
            owner=(5, 6))))
        built = self.imgbuild("build", tar)
        self.assertEqual(self.files(built.digest), {
            "Dockerfile": "644 5:6", "a": "644 5:6",
            ".dockerignore": "644 5:6"})
        again = self.imgbuild("build", tar)
        self.assertEqual(harness.cached(again), 1, str(again))
        plain = self.serve("Some.Dockerfile", dockerfile.encode())
        built = self.imgbuild("build", plain)
        self.assertEqual(self.files(built.digest), {"context": "600 0:0"})
        self.write("b", "b")
        built = self.imgbuild("build", "-f", plain, ".")
        self.assertEqual(self.files(built.digest), {"b": "644 0:0"})
        self.assert_error(
            self.imgbuild("build", f"{self.url}/nope.tar", status=4),
            f"error: get {self.url}/nope.tar: the server answered with status "
            "404\n")
        self.assertIn("-f names another one", self.imgbuild(
            "build", "-f", "x", plain, status=2).error)
        self.assert_no_litter()

    def test_interrupted_download_leaves_nothing(self):
        class Slow(cases.http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"x" * 100000)
                self.wfile.flush()
                started.set()
                stop.wait(60)

            def log_message(self, *words):
                pass
        started, stop = threading.Event(), threading.Event()
        server = cases.http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.addCleanup(stop.set)
        process = subprocess.Popen(
            [harness.IMGBUILD, "build",
             f"http://127.0.0.1:{server.server_address[1]}/x"],
            env={**os.environ, "IMGBUILD_ROOT": str(self.store)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertTrue(started.wait(60))
        time.sleep(0.3)
        self.assertTrue(list((self.store / "tmp").glob("p-*/context-*")))
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assert_no_litter()

    # --- named contexts -----------------------------------------------------

    def test_named_files(self):
        other = self.dir / "other"
        other.mkdir()
        (other / "a").write_text("a")
        (other / "hidden").write_text("hidden")
        (other / ".dockerignore").write_text("hidden\n")
        self.dockerfile("FROM BASE\nCOPY --from=named . /c/\n"
                        "RUN --mount=from=named,target=/m ls /m > /listed\n")
        tar = self.serve("n.tar", tar_of({"x": "x", "y": "y"}, owner=(7, 8)))
        plain = self.serve("plain.txt", b"plain")
        for value, files in (
                (other, {"a": "644 0:0", ".dockerignore": "644 0:0"}),
                (f"{self.url}/repo.git#:dir",
                 {"Dockerfile": "644 0:0", "tool": "755 0:0"}),
                (tar, {"x": "644 7:8", "y": "644 7:8"}),
                (plain, {"plain.txt": "600 0:0"})):
            built = self.build("--build-context", f"named={value}")
            self.assertEqual(self.files(built.digest), files, value)
            listed = self.imgbuild("run", "--rm", built.digest, "cat",
                                   "/listed").stdout.split()
            self.assertEqual(sorted(listed),
                             sorted(f for f in files if f[0] != "."))
            again = self.build("--build-context", f"named={value}")
            self.assertEqual(harness.cached(again), 2, str(again))
        # What no step needs is not fetched.
        self.dockerfile("FROM BASE\n")
        self.build("--build-context", f"named={self.url}/gone.tar")
        for value, text in (
                (self.dir / "nope", "not a directory"),
                (f"{self.url}/gone.tar", "status 404"),
                ("docker-imag://x", "did you mean docker-image://?"),
                ("target:", "nothing stands behind target:")):
            self.dockerfile("FROM BASE\nCOPY --from=named . /c/\n")
            result = self.build("--build-context", f"named={value}",
                                status=4 if "404" in text else 2)
            self.assertIn(text, result.error)
        self.assert_no_litter()

    def test_named_layout(self):
        layout = self.dir / "layout"
        digest = harness.write_layout(layout, tar_of({"from-layout": "l"}),
                                      {"Env": ["PATH=/bin", "L=1"]})
        self.dockerfile("FROM BASE\nCOPY --from=l from-layout /x\n"
                        "RUN --mount=from=l,target=/m cat /m/* > /y\n")
        for name in (f"{layout}:1", f"{layout}@{digest}", layout):
            built = self.build("--build-context", f"l=oci-layout://{name}")
            self.assertEqual(self.imgbuild("run", "--rm", built.digest, "cat",
                                           "/x", "/y").stdout, "ll")
        self.dockerfile("FROM l\nENV M=$L\n")
        built = self.build("--build-context", f"l=oci-layout://{layout}")
        self.assertIn('"M=1"', self.imgbuild("inspect", built.digest).stdout)
        self.assert_error(
            self.build("--build-context", f"l=oci-layout://{layout}:2",
                       status=2), f"""\
error: the OCI layout "{layout}" has no image "2"
 --> Dockerfile:1:6
  |
1 | FROM l
  |      ^
  = hint: it has: :1
""")
        blob = next(p for p in (layout / "blobs/sha256").iterdir()
                    if p.read_bytes()[:2] == b"\x1f\x8b")
        with harness.damaged(blob, lambda b: b[:-1] + b"\x7f"):
            result = self.build("--build-context", f"l=oci-layout://{layout}",
                                status=4,
                                env={"IMGBUILD_ROOT": str(self.dir / "s2")})
            self.assertIn("sha256:", result.error)

    def test_named_image_and_stage(self):
        self.write("a", "a")
        self.dockerfile("FROM never.test/app AS base\nRUN echo ran > /ran\n"
                        "FROM base AS other\nCOPY a /a\n"
                        "FROM other\nCOPY --from=never.test/x /ran /c/\n")
        built = self.build(
            "--build-context", f"never.test/app:latest=docker-image://{self.base}",
            "--build-context", "never.test/x=target:base")
        self.assertEqual(list(self.files(built.digest)), ["ran"])
        # The stage itself is replaced, whatever it is made of.
        self.dockerfile("FROM never.test/app AS base\nRUN false\n"
                        "FROM base\nCOPY a /c/\n")
        self.build("--build-context", f"base=docker-image://{self.base}")
        self.dockerfile("FROM scratch AS one\nCOPY --from=x /a /b\n"
                        "FROM one\nCOPY a /c/\n")
        result = self.build("--build-context", "x=target:one", status=3)
        self.assert_error(result, """\
error: circular dependency through a --build-context
 --> Dockerfile:1:1
  |
1 | FROM scratch AS one
  | ^^^^^^^^^^^^^^^^^^^
""")

    # --- context ls -----------------------------------------------------------

    def test_context_ls(self):
        self.write("src/a.c", "int a;\n")
        self.write("src/a.o", "x" * 2000)
        self.write("keep.o", "")
        self.write("node_modules/x/y", "y")
        self.write("other.Dockerfile", "FROM scratch\n")
        self.write(".dockerignore", "node_modules\n**/*.o\n!keep.o\n")
        self.assertEqual(self.imgbuild("context", "ls").stdout, """\
SIZE      PATH               RULE
28B       .dockerignore
0B        keep.o             .dockerignore:3: !keep.o
13B       other.Dockerfile
-         src/
7B        src/a.c

4 files, 1 directory, 48B in the context; 2 paths ignored by .dockerignore \
(--ignored lists them)
""")
        self.assertEqual(
            self.imgbuild("context", "ls", "--ignored", ".").stdout, """\
SIZE      PATH            RULE
-         node_modules/   .dockerignore:1: node_modules
2kB       src/a.o         .dockerignore:2: **/*.o

4 files, 1 directory, 48B in the context; 2 paths ignored by .dockerignore
""")
        self.write("other.Dockerfile.dockerignore", "*\n")
        listing = json.loads(self.imgbuild(
            "context", "ls", "-f", "other.Dockerfile", "--format=json").stdout)
        self.assertEqual(listing["files"], [])
        self.assertEqual([f["path"] for f in listing["ignored"]], [
            ".dockerignore", "keep.o", "node_modules", "other.Dockerfile",
            "other.Dockerfile.dockerignore", "src"])
        self.assertEqual(listing["ignored"][1]["rule"], {
            "file": "other.Dockerfile.dockerignore", "line": 1,
            "pattern": "*"})
        self.assertEqual(listing["total"],
                         {"files": 0, "directories": 0, "bytes": 0})


if __name__ == "__main__":
    harness.unittest.main()
