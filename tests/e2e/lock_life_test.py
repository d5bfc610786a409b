"""Living with a lock: included files, policies, interruptions, names that no
Dockerfile has, reports, repositories, frontends, bundles."""

import ctypes
import functools
import http.server
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import unittest

import harness
import lock_test

ON = "# imgbuild: extensions=1\n"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


class Life(lock_test.LockCase):
    def serve(self, directory):
        """The URL of a server of these files, and the server."""
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Quiet, directory=directory))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_port}", server

    def names(self, path="Dockerfile.lock"):
        return re.findall(r'^name = "(.*)"$', self.lock_text(path),
                          re.MULTILINE)

    def replaced(self, text):
        return text.replace(self.host, "REGISTRY")

    # --- included files -----------------------------------------------------

    def test_included_files_are_locked_and_pinned(self):
        for name in ("one", "two"):
            self.push(name)
        part = self.write("parts/more.Dockerfile",
                          f"COPY --from={self.host}/two:1 /version /2\n")
        self.dockerfile(ON + f"FROM {self.host}/one:1\n"
                        "INCLUDE parts/more.Dockerfile\nRUN cat /2\n")
        self.imgbuild("lock")
        both = [f"{self.host}/one:1", f"{self.host}/two:1"]
        self.assertEqual(self.names(), both)
        self.assertIn("lock: 2/2 names pinned", self.build("--locked").stderr)
        # What is included is no Dockerfile to be locked by itself.
        self.assertEqual(self.imgbuild("lock", "-r").stdout,
                         "Dockerfile.lock: 2 names locked (unchanged)\n")
        self.imgbuild("lock", "--check", "-r")
        self.write("parts/lost.Dockerfile", "RUN true\n")
        self.assertIn(" --> parts/lost.Dockerfile:1:1\n",
                      self.imgbuild("lock", "-r", status=3).error)
        (self.context / "parts/lost.Dockerfile").unlink()
        # A name that is missing is told where it stands.
        part.write_text(part.read_text().replace("two:1", "base:1"))
        self.assertIn(" --> parts/more.Dockerfile:1:13\n",
                      self.build("--locked", status=6).error)
        part.write_text(part.read_text().replace("base:1", "two:1"))
        before = part.read_text()
        done = self.imgbuild("pin")
        self.assertIn("parts/more.Dockerfile:1: ", done.stdout)
        self.assertIn("pinned 2 of 2 names in 1 file\n", done.stdout)
        self.assertRegex(part.read_text(), r"two:1@sha256:[0-9a-f]{64} /ver")
        self.build("--locked")
        self.imgbuild("pin", "--check")
        patch = self.imgbuild("unpin", "--dry-run").stdout
        self.assertIn("+++ b/parts/more.Dockerfile\n", patch)
        self.imgbuild("unpin")
        self.assertEqual(part.read_text(), before)

    def test_one_included_word_and_two_locks(self):
        self.push("shared")
        part = self.write("part", f"COPY --from={self.host}/shared:1 / /\n")
        for name in ("a", "b"):
            self.write(f"{name}/Dockerfile",
                       ON + "FROM scratch\nINCLUDE ../part\n")
        self.imgbuild("lock", "a")
        self.push("shared", b"newer\n")
        self.imgbuild("lock", "b")
        result = self.imgbuild("pin", "a", "b", status=6)
        self.assertIn("cannot be pinned here: for another Dockerfile that "
                      "includes this it is sha256:", result.error)
        self.assertIn(" --> part:1:13\n", result.error)
        self.assertEqual(part.read_text().count("@sha256:"), 1)

    # --- everything that is missing -----------------------------------------

    def test_all_that_is_missing_is_told(self):
        for name in ("one", "two", "three"):
            self.push(name)
        self.dockerfile(f"FROM {self.host}/one:1\n")
        self.imgbuild("lock")
        self.dockerfile(f"FROM {self.host}/one:1 AS one\n"
                        f"FROM {self.host}/two:1\n"
                        f"COPY --from={self.host}/three:1 /version /3\n"
                        f"COPY --from=one /version /1\n")
        carets = "^" * (len(self.host) + 6)
        before = len(self.all_requests())
        self.assert_error(
            self.build("--locked", status=6),
            "error: REGISTRY/two:1 is not in Dockerfile.lock\n"
            "  also at Dockerfile:3:13: REGISTRY/three:1 is not in "
            "Dockerfile.lock; `imgbuild lock add REGISTRY/three:1` adds it, "
            "`imgbuild lock` everything that is missing\n"
            " --> Dockerfile:2:6\n  |\n2 | FROM REGISTRY/two:1\n"
            f"  |      {carets}\n"
            "  = hint: `imgbuild lock add REGISTRY/two:1` adds it, `imgbuild "
            "lock` everything that is missing\n")
        self.assertEqual(
            [line for line in self.all_requests()[before:]
             if "/one/" not in line], [])
        self.imgbuild("lock")
        self.build("--locked")

    # --- policies -----------------------------------------------------------

    def test_lock_and_check_judge_the_policy(self):
        self.push("one")
        self.dockerfile(f"FROM {self.host}/one:1\nRUN true\n")
        self.write("imgbuild.toml", '[policy]\nregistries = ["docker.io"]\n')
        result = self.imgbuild("lock", status=6)
        self.assertIn("/one comes from a registry that the policy does not "
                      "allow\n --> Dockerfile:1:6\n", result.error)
        self.assertIn("by registries at imgbuild.toml:2:1", result.error)
        self.assertFalse((self.context / "Dockerfile.lock").exists())
        self.write("imgbuild.toml", "[policy]\nrequire-digest = true\n")
        self.imgbuild("lock")  # which is what pins it
        self.imgbuild("lock", "--check")
        self.write("imgbuild.toml", '[policy]\nmax-pin-age = "30d"\n'
                   'run-network = "off"\n')
        result = self.imgbuild("lock", "--check", status=6)
        self.assertIn("Dockerfile.lock: 1 fresh\n", result.stdout)
        self.assertIn("at most 4 weeks are allowed\n"
                      "  also at Dockerfile:2:1: this RUN has network\n"
                      " --> Dockerfile:1:6\n", result.error)
        # In the lock it holds too, and its lines stay.
        (self.context / "imgbuild.toml").unlink()
        with open(self.context / "Dockerfile.lock", "a",
                  encoding="ascii") as file:
            file.write('\n[policy]\n# ours\nregistries = ["docker.io"]\n')
        text = self.lock_text()
        for words in (("lock",), ("lock", "--check"), ("lock", "--update")):
            self.assertRegex(self.imgbuild(*words, status=6).error,
                             r"by registries at Dockerfile\.lock:\d+:1\n")
        self.assertEqual(self.lock_text(), text)

    # --- interruptions ------------------------------------------------------

    def test_killed_before_the_rename(self):
        self.push("moving", b"old\n")
        self.dockerfile(f"FROM {self.host}/moving:1\n")
        self.imgbuild("lock")
        before = self.lock_text()
        self.push("moving", b"new\n")
        self.imgbuild("lock", "--update", "--dry-run")  # fills the store
        status = self.imgbuild_without_rename("lock", "--update")
        self.assertEqual(status, -signal.SIGSYS)
        self.assertEqual(self.lock_text(), before)
        # That was the moment: the new one lies there, whole.
        written = [name for name in os.listdir(self.context)
                   if name.startswith(".Dockerfile.lock.")]
        self.assertEqual(len(written), 1)
        self.assertIn("\nprevious = [", self.lock_text(written[0]))
        self.assertIn("1 updated", self.imgbuild("lock", "--update").stdout)
        self.assertNotEqual(self.lock_text(), before)

    def imgbuild_without_rename(self, *words):
        """Runs imgbuild; the kernel kills it at its first rename."""
        # load nr; each rename: kill; else allow (linux/filter.h)
        numbers = {"x86_64": (82, 264, 316), "aarch64": (38, 276)}.get(
            os.uname().machine)
        if numbers is None:
            self.skipTest("the numbers of rename are not known here")
        code = [(0x20, 0, 0, 0)]
        for left, number in zip(range(len(numbers) - 1, -1, -1), numbers):
            code.append((0x15, left + 1, 0, number))
        code += [(0x06, 0, 0, 0x7fff0000), (0x06, 0, 0, 0x80000000)]
        # The jump counts from the next instruction: to the last one.
        code = [(op, (len(code) - 2 - at if op == 0x15 else 0), 0, value)
                for at, (op, _, _, value) in enumerate(code)]
        data = b"".join(struct.pack("HBBI", *one) for one in code)
        buffer = ctypes.create_string_buffer(data)

        class Program(ctypes.Structure):
            _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
        program = Program(len(code), ctypes.addressof(buffer))
        libc = ctypes.CDLL(None, use_errno=True)

        def confine():
            if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(
                    22, 2, ctypes.byref(program), 0, 0) != 0:
                os._exit(99)
        return subprocess.run(
            [harness.IMGBUILD, *words], cwd=self.context, check=False,
            preexec_fn=confine, capture_output=True, timeout=harness.SECONDS,
            env={"PATH": os.environ["PATH"], "HOME": str(self.dir / "home"),
                 "IMGBUILD_ROOT": str(self.store)}).returncode

    def test_interrupted_while_it_asks(self):
        self.push("one")
        files = tempfile.mkdtemp(dir=self.dir)
        with open(f"{files}/f", "w", encoding="ascii") as file:
            file.write("first\n")
        url, server = self.serve(files)
        self.dockerfile(f"FROM {self.host}/one:1\nADD {url}/f /f\n")
        self.imgbuild("lock")
        before = self.lock_text()
        self.push("one", b"newer\n")
        server.shutdown()  # from now on nobody answers
        server.socket.settimeout(harness.SECONDS)
        process = subprocess.Popen(
            [harness.IMGBUILD, "lock", "--update"], cwd=self.context,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "HOME": str(self.dir / "home"),
                 "IMGBUILD_ROOT": str(self.store)})
        connection, _ = server.socket.accept()
        connection.recv(1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=harness.SECONDS)
        connection.close()
        self.assertEqual(process.returncode, 130)
        self.assertEqual(self.lock_text(), before)
        self.assertEqual(sorted(os.listdir(self.context)),
                         ["Dockerfile", "Dockerfile.lock"])

    # --- names that no Dockerfile has ---------------------------------------

    def test_what_stands_in_place_of_a_lock(self):
        self.push("one")
        self.dockerfile(f"FROM {self.host}/one:1\n")
        lock = self.context / "Dockerfile.lock"
        lock.symlink_to("nowhere")
        self.assertIn("Dockerfile.lock", self.build(status=5).error)
        lock.unlink()
        lock.mkdir()
        self.assert_error(
            self.build(status=5),
            "error: read \"Dockerfile.lock\": not a regular file\n"
            "   = hint: --no-locked builds without a lock\n")
        self.build("--no-locked")
        lock.rmdir()
        self.build()

    def test_a_lost_digest_hides_nothing(self):
        lost = self.push("lost")
        self.push("moving", b"old\n")
        self.dockerfile(f"FROM {self.host}/lost:1\n"
                        f"FROM {self.host}/moving:1\n")
        self.imgbuild("lock")
        self.push("moving", b"new\n")
        path = self.registry.blob_path(lost)
        good = path.read_bytes()
        path.unlink()
        self.addCleanup(path.write_bytes, good)
        empty = {"IMGBUILD_ROOT": str(self.dir / "other")}
        for word, status, other in (("--check", 6, "moved"),
                                    ("verify", 4, "fresh")):
            text = self.imgbuild("lock", word, status=status,
                                 env=empty).stdout
            self.assertRegex(text, r"(?m)^  gone +\S+/lost:1 ")
            self.assertRegex(text, rf"(?m)^  {other} +\S+/moving:1 ")
        self.dockerfile(
            f"FROM {self.host}/moving:1@sha256:{'1' * 64}\n")
        text = self.imgbuild("lock", "--check", status=6, env=empty).stdout
        self.assertRegex(text, r"(?m)^  conflict +\S+/moving:1 ")

    def test_sixteen_names_are_asked_for_at_a_time(self):
        gate = threading.Barrier(16)
        asked, under_way, most = [], set(), []
        mutex = threading.Lock()

        class Upstream(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_HEAD(self):
                self.do_GET()

            def do_GET(self):
                status, kind, body = 200, "application/json", b"{}"
                by_tag = re.match(r"/v2/n\d+/manifests/1$", self.path)
                if by_tag:
                    with mutex:
                        asked.append(self.path)
                        under_way.add(self.path)
                        most.append(len(under_way))
                    # Nobody is answered before there are sixteen: with fewer
                    # at a time this breaks, and the answer is an error.
                    try:
                        gate.wait(harness.SECONDS / 2)
                    except threading.BrokenBarrierError:
                        status = 500
                    with mutex:
                        under_way.discard(self.path)
                if by_tag:
                    kind, body = MANIFEST, manifest
                elif "/blobs/" in self.path:
                    body = config
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Docker-Content-Digest",
                                 harness.digest_of(body))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

        manifest = self.registry.blob_path(self.push("one")).read_bytes()
        config = self.registry.blob_path(
            json.loads(manifest)["config"]["digest"]).read_bytes()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.dockerfile("".join(
            f"FROM 127.0.0.1:{server.server_port}/n{i}:1\n"
            for i in range(48)))
        for words in (["lock"], ["lock", "--check"], ["lock", "--update"]):
            del asked[:], most[:]
            self.imgbuild(*words)
            self.assertEqual(len(asked), 48, words)
            self.assertEqual(len(set(asked)), 48, words)
            self.assertEqual(max(most), 16, words)

    def test_a_name_for_run_alone(self):
        self.push("one")
        old = self.push("tool", b"old\n")
        name = f"{self.host}/tool:1"
        self.dockerfile(f"FROM {self.host}/one:1\n")
        self.imgbuild("lock")
        added = self.imgbuild("lock", "add", name)
        self.assertIn("1 added", added.stdout)
        self.assertIn(f"no Dockerfile here names {name}: it is locked for run, "
                      "create and pull", added.stderr)
        self.assertIn("\nadded = true\n", self.lock_text())
        self.push("tool", b"new\n")
        self.assertEqual(self.imgbuild("run", "--rm", "--locked", name, "cat",
                                       "/version").stdout, "old\n")
        # It is nobody's, and not unused.
        for words in (("lock",), ("lock", "--dry-run"), ("lock", "prune")):
            self.assertNotIn("unused", self.imgbuild(*words).stdout)
        self.assertIn(f'digest = "{old}"', self.lock_text())
        check = self.imgbuild("lock", "--check", status=6).stdout
        self.assertIn("1 fresh, 1 moved", check)
        self.imgbuild("lock", "--update")
        self.assertIn(f'previous = ["{old}"]', self.lock_text())
        self.imgbuild("lock", "rollback", name)
        self.assertIn(f'digest = "{old}"', self.lock_text())
        self.assertIn("added = true", self.lock_text())
        self.imgbuild("lock", "verify")
        self.assertIn("1 removed",
                      self.imgbuild("lock", "prune", "--added").stdout)
        self.assertNotIn("/tool:1", self.lock_text())
        self.assertIn("no Dockerfile here names",
                      self.imgbuild("lock", "add", "No*", status=2).error)

    # --- reports ------------------------------------------------------------

    def test_min_age(self):
        self.push("young", b"old\n")
        self.dockerfile(f"FROM {self.host}/young:1\n")
        self.imgbuild("lock")
        before = self.lock_text()
        new = self.push("young", b"new\n")  # made in 2024
        result = self.imgbuild("lock", "--update", "--min-age", "9999w")
        self.assertIn(f"/young:1 stays: {new} was made ", result.stderr)
        self.assertEqual(self.lock_text(), before)
        self.imgbuild("lock", "--update", "--min-age", "36h")
        self.assertIn(f'digest = "{new}"', self.lock_text())
        for words, said in (
                (("--min-age", "1d"), "--min-age goes with --update"),
                (("--update", "--min-age", "soon"), "invalid --min-age"),
                (("--update", "--min-age", "1y"), "90m, 36h, 7d, 2w")):
            self.assertIn(said, self.imgbuild("lock", *words, status=2).error)

    def test_reports_of_a_moved_tag(self):
        old = self.push("moving", b"old\n")
        self.push("still")
        self.dockerfile(f"FROM {self.host}/moving:1\n"
                        f"COPY --from={self.host}/still:1 / /\n")
        self.imgbuild("lock")
        new = self.push("moving", b"new\n")
        self.write("old.lock", self.lock_text())

        def check(form):
            return self.imgbuild("lock", "--check", "--format", form,
                                 status=6).stdout
        note = re.search(r"linux/amd64 changed.*", check("text"))[0]
        self.assertRegex(note, r"^linux/amd64 changed, \d+ \w+ old  "
                         r"Dockerfile:1:6$")
        run = json.loads(check("sarif"))["runs"][0]
        self.assertEqual([r["ruleId"] for r in run["results"]],
                         ["lock-moved"])
        self.assertEqual(
            self.replaced(run["results"][0]["message"]["text"]),
            f"REGISTRY/moving:1: {old[:19]} → {new[:19]}: "
            + note.split("  ")[0])
        place = run["results"][0]["locations"][0]["physicalLocation"]
        self.assertEqual(place["artifactLocation"]["uri"], "Dockerfile")
        self.assertEqual(place["region"]["startLine"], 1)
        self.assertEqual(place["region"]["startColumn"], 6)
        self.assertEqual(
            self.replaced(check("markdown")),
            "### Dockerfile.lock\n\n"
            "| state | name | locked | now | |\n|---|---|---|---|---|\n"
            f"| moved | `REGISTRY/moving:1` | `{old[:19]}` | `{new[:19]}` | "
            f"{note.split('  ')[0]} |\n"
            + self.replaced(re.search(r"\| fresh .*\n", check("markdown"))[0])
            + "\n")
        update = self.imgbuild("lock", "--update", "--format", "markdown")
        self.assertEqual(
            self.replaced(update.stdout),
            "### Dockerfile.lock\n\n"
            "| | name | before | after | |\n|---|---|---|---|---|\n"
            f"| updated | `REGISTRY/moving:1` | `{old[:19]}` | `{new[:19]}` |"
            "  |\n\n")
        diff = self.imgbuild("lock", "diff", "--format", "markdown",
                             "old.lock", "Dockerfile.lock").stdout
        self.assertIn("#### `" + self.host + "/moving:1` on linux/amd64\n\n"
                      "```diff\n", diff)

    def test_the_tag_in_front_of_a_digest(self):
        old = self.push("both", b"old\n")
        self.dockerfile(f"FROM {self.host}/both:1@{old}\n"
                        'CMD ["cat", "/version"]\n')
        self.imgbuild("lock")
        self.assertEqual(self.names(), [f"{self.host}/both:1"])
        self.imgbuild("lock", "--check")
        self.push("both", b"new\n")
        self.build("--locked", "-t", "app:1")
        self.assertEqual(self.imgbuild("run", "--rm", "app:1").stdout, "old\n")
        self.assertIn("1 moved", self.imgbuild("lock", "--check",
                                               status=6).stdout)

    def test_help_offers_what_works(self):
        for words, formats in ((("lock", "bundle"), None),
                               (("lock", "fetch"), None),
                               (("lock", "prune"), "text, json or markdown"),
                               (("lock", "verify"),
                                "text, json, sarif or markdown")):
            text = self.imgbuild(*words, "--help").stdout
            if formats is None:
                self.assertNotIn("--format", text)
                self.imgbuild(*words, "--format=text", "x", status=2)
            else:
                self.assertIn(formats, re.sub(r"\s+", " ", text))

    # --- repositories and frontends -----------------------------------------

    def git(self, *words):
        return subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words],
            cwd=self.work, check=True, capture_output=True, text=True,
            timeout=harness.SECONDS, env={
                **os.environ, "HOME": str(self.dir / "home"),
                "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
                "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z"}).stdout.strip()

    def commit(self, text):
        (self.work / "file").write_text(text)
        self.git("add", "file")
        self.git("commit", "-q", "-m", text)
        subprocess.run(["git", "clone", "-q", "--bare", self.work,
                        self.dir / "next.git"], check=True)
        subprocess.run(["git", "update-server-info"],
                       cwd=self.dir / "next.git", check=True)
        bare = self.dir / "served" / "repo.git"
        if bare.exists():
            shutil.rmtree(bare)
        (self.dir / "next.git").rename(bare)
        return self.git("rev-parse", "HEAD")

    def test_a_repository_is_locked_to_its_commit(self):
        self.push("one")
        self.work = self.dir / "work"
        self.work.mkdir()
        (self.dir / "served").mkdir()
        self.git("init", "-q", "-b", "main")
        first = self.commit("first\n")
        url, _ = self.serve(str(self.dir / "served"))
        name = f"{url}/repo.git#main"
        self.dockerfile(f"FROM {self.host}/one:1\nADD {name} /src\n"
                        'CMD ["cat", "/src/file"]\n')
        self.imgbuild("lock")
        self.assertIn(f'[[git]]\nname = "{name}"\ncommit = "{first}"\n',
                      self.lock_text())
        second = self.commit("second\n")
        self.build("--locked", "-t", "app:1")
        self.assertEqual(self.imgbuild("run", "--rm", "app:1").stdout,
                         "first\n")
        check = self.imgbuild("lock", "--check", status=6).stdout
        self.assertIn("the ref is another commit now", check)
        self.imgbuild("lock", "--update", name)
        self.assertIn(f'commit = "{second}"\nprevious = ["{first}"]\n',
                      self.lock_text())
        self.imgbuild("lock", "--check")
        self.build("--locked", "-t", "app:1")
        self.assertEqual(self.imgbuild("run", "--rm", "app:1").stdout,
                         "second\n")

    def test_the_frontend(self):
        self.push("one")
        digest = self.push("docker/dockerfile")
        conf = self.dir / "registries.conf"
        conf.write_text('[[registry]]\nprefix = "docker.io"\n'
                        f'location = "{self.host}"\ninsecure = true\n')
        env = {"CONTAINERS_REGISTRIES_CONF": str(conf)}
        text = f"# syntax=docker/dockerfile:1\nFROM {self.host}/one:1\n"
        path = self.dockerfile(text)
        self.imgbuild("lock", env=env)
        self.assertIn(
            '[[frontend]]\nname = "docker.io/docker/dockerfile:1"\n'
            f'digest = "{digest}"\n', self.lock_text())
        self.build("--locked")
        self.imgbuild("pin")  # out of the lock: nobody is asked
        self.assertTrue(path.read_text().startswith(
            f"# syntax=docker/dockerfile:1@{digest}\n"), path.read_text())
        self.build("--locked")
        newer = self.push("docker/dockerfile", b"newer\n")
        self.assertIn("moved", self.imgbuild("lock", "--check", env=env,
                                             status=6).stdout)
        self.imgbuild("pin", "--update", "--no-lock", env=env)
        self.assertIn(newer, path.read_text())
        self.imgbuild("unpin", "--exclude", "*/one")
        self.assertIn("# syntax=docker/dockerfile:1\n", path.read_text())
        self.assertIn("one:1@sha256:", path.read_text())
        self.imgbuild("unpin")
        self.assertEqual(path.read_text(), text)

    # --- the store, bundles -------------------------------------------------

    def test_fetched_files_survive_a_prune(self):
        self.push("one")
        files = tempfile.mkdtemp(dir=self.dir)
        with open(f"{files}/f", "w", encoding="ascii") as file:
            file.write("fetched\n")
        url, server = self.serve(files)
        self.dockerfile(f"FROM {self.host}/one:1\nADD {url}/f /f\n"
                        'CMD ["cat", "/f"]\n')
        self.imgbuild("lock")
        self.assertIn("leaves the images; the files only with --keep-locked "
                      "Dockerfile.lock", self.imgbuild("lock", "fetch").stdout)
        self.imgbuild("prune", "-f", "all", "--keep-locked", "Dockerfile.lock")
        server.shutdown()
        self.build("--frozen", "-t", "app:1")
        self.assertEqual(self.imgbuild("run", "--rm", "app:1").stdout,
                         "fetched\n")
        self.imgbuild("rmi", "app:1")
        self.imgbuild("prune", "-f", "all")
        self.assertIn(f"{url}/f is not in the store, and --frozen fetches "
                      "nothing\n --> Dockerfile:2:5\n",
                      self.build("--frozen", status=6).error)
        self.assertIn("hint: `imgbuild lock fetch` brings the files",
                      self.build("--frozen", status=6).error)

    def test_fetched_files_survive_a_limit(self):
        self.push("one")
        files = tempfile.mkdtemp(dir=self.dir)
        with open(f"{files}/f", "wb") as file:
            file.write(os.urandom(2 << 20))
        url, server = self.serve(files)
        self.dockerfile(f"FROM {self.host}/one:1\nADD {url}/f /f\n"
                        'CMD ["cat", "/version"]\n')
        self.imgbuild("lock")
        self.imgbuild("lock", "fetch")
        server.shutdown()
        # All that is there is locked, and it is more than the limit.
        self.imgbuild("prune", "--store-max", "1M", "--keep-locked",
                      "Dockerfile.lock", status=5)
        self.write("small", "FROM scratch\nCOPY small /\n")
        self.build("-f", "small", "--store-max", "1M", "--keep-locked",
                   "Dockerfile.lock", status=5)
        self.build("--frozen", "-t", "app:1")
        self.assertEqual(self.imgbuild("run", "--rm", "app:1").stdout, "one\n")
        self.imgbuild("rmi", "app:1")
        # Without the flag it goes.
        self.imgbuild("prune", "--store-max", "1M", status=None)
        self.assertIn("is not in the store, and --frozen fetches nothing",
                      self.build("--frozen", status=6).error)

    def test_plan_out_of_a_bundle(self):
        self.push("one")
        self.dockerfile(f"FROM {self.host}/one:1\nRUN true\n")
        self.imgbuild("lock")
        bundle = self.dir / "b.tar"
        self.imgbuild("lock", "bundle", bundle)
        before = len(self.all_requests())
        text = self.imgbuild(
            "plan", "--lock-bundle", bundle, ".",
            env={"IMGBUILD_ROOT": str(self.dir / "other")}).stdout
        self.assertEqual(text, self.imgbuild("plan", "--locked", ".").stdout)
        self.assertEqual(self.all_requests()[before:], [])

    def test_an_index_in_an_index(self):
        digest = self.push("inner")
        manifest = self.registry.blob_path(digest).read_bytes()

        def index(tag, data, media_type):
            entry = {"mediaType": media_type, "size": len(data),
                     "digest": harness.digest_of(data),
                     "platform": {"os": "linux", "architecture": "amd64"}}
            text = json.dumps({"schemaVersion": 2, "mediaType": INDEX,
                               "manifests": [entry]}).encode()
            self.registry.put_manifest("inner", tag, INDEX, text)
            return text
        outer = index("outer", index("middle", manifest, MANIFEST), INDEX)
        self.dockerfile(f"FROM {self.host}/inner:outer\nRUN cat /version\n")
        self.imgbuild("lock")
        self.assertIn(f'digest = "{harness.digest_of(outer)}"',
                      self.lock_text())
        self.assertIn(f'manifest = "{digest}"', self.lock_text())
        self.imgbuild("lock", "verify")
        bundle = self.dir / "b.tar"
        self.imgbuild("lock", "bundle", bundle)
        before = len(self.all_requests())
        self.build("--lock-bundle", bundle,
                   env={"IMGBUILD_ROOT": str(self.dir / "other")})
        self.assertEqual(self.all_requests()[before:], [])

    def test_a_document_that_is_too_large(self):
        self.push("one")
        self.dockerfile(f"FROM {self.host}/one:1\n")
        self.imgbuild("lock")
        bundle = self.dir / "b.tar"
        self.imgbuild("lock", "bundle", bundle)
        lock = self.context / "Dockerfile.lock"
        lock.write_text(re.sub(r"(?m)^size = \d+$", "size = 99000000000",
                               lock.read_text()))
        result = self.build("--lock-bundle", bundle, status=6,
                            env={"IMGBUILD_ROOT": str(self.dir / "other")})
        self.assertIn("is more than imgbuild reads", result.error)
        self.assertIn(" --> Dockerfile.lock:", result.error)


if __name__ == "__main__":
    unittest.main()
