"""Dockerfile.lock against a real registry: written, applied, checked."""

import functools
import http.server
import io
import json
import re
import tarfile
import tempfile
import threading
import time
import unittest

import harness


def with_file(name, text):
    """The busybox root file system and one file more."""
    data = io.BytesIO(harness.busybox_tar())
    with tarfile.open(fileobj=data, mode="a",
                      format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo(name)
        info.mode, info.mtime, info.size = 0o644, harness.EPOCH, len(text)
        tar.addfile(info, io.BytesIO(text))
    return data.getvalue()


class LockCase(harness.Case):
    def push(self, name, text=b"one\n", config=None):
        """NAME:1 is an image whose /version holds TEXT; its digest."""
        with tempfile.TemporaryDirectory() as layout:
            harness.write_layout(layout, with_file("version", text), config)
            return self.registry.push(layout, name)

    def all_requests(self):
        """Method and path of every request but the ping, answered so far."""
        time.sleep(0.2)  # the log is written after the answer
        return [line for line in re.findall(
            r'"((?:HEAD|GET|POST|PUT) /v2/[^ ]+) HTTP',
            self.registry.log.read_text(errors="replace"))
            if not line.endswith(" /v2/")]

    def lock_text(self, name="Dockerfile.lock"):
        return (self.context / name).read_text()

    @property
    def host(self):
        return self.registry.address


class LockTest(LockCase):
    def test_moved_tag_keeps_the_old_base(self):
        old = self.push("moving", b"old\n")
        self.dockerfile(f"FROM {self.host}/moving:1\n"
                        "RUN cp /version /got\nCMD [\"cat\", \"/got\"]\n")
        made = self.imgbuild("lock")
        self.assertIn("Dockerfile.lock: 1 name locked, 1 added", made.stdout)
        text = self.lock_text()
        self.assertIn(f'name = "{self.host}/moving:1"', text)
        self.assertIn(f'digest = "{old}"', text)
        self.assertIn('layer-format = 1', text)
        new = self.push("moving", b"new\n")
        self.assertNotEqual(old, new)

        built = self.build("-t", "app:1")
        self.assertIn("lock: 1/1 names pinned", built.stderr)
        self.assertEqual(self.imgbuild("run", "app:1").stdout, "old\n")

        # The tag alone, without the lock, is the new one.
        without = self.build("--no-locked", "-t", "app:2")
        self.assertNotIn("lock:", without.stderr)
        self.assertEqual(self.imgbuild("run", "app:2").stdout, "new\n")

        check = self.imgbuild("lock", "--check", status=6)
        self.assertRegex(check.stdout,
                         r"Dockerfile\.lock: 1 moved\n  moved  127\.0\.0\.1:\d+"
                         r"/moving:1  sha256:[0-9a-f]{12} → "
                         r"sha256:[0-9a-f]{12}  linux/amd64 changed")
        self.assertEqual(self.lock_text(), text)
        self.imgbuild("lock")  # keeps what it has
        self.assertEqual(self.lock_text(), text)

        dry = self.imgbuild("lock", "--update", "--dry-run")
        self.assertIn("(not written)", dry.stdout)
        self.assertEqual(self.lock_text(), text)
        update = self.imgbuild("lock", "--update", f"{self.host}/moving")
        self.assertIn("1 updated", update.stdout)
        self.assertIn(f'digest = "{new}"', self.lock_text())
        self.assertIn(f'previous = ["{old}"]', self.lock_text())
        self.imgbuild("lock", "--check")
        self.build("-t", "app:3")
        self.assertEqual(self.imgbuild("run", "app:3").stdout, "new\n")

    def test_locked_names_the_line_and_the_command(self):
        self.push("one")
        self.dockerfile(f"FROM {self.host}/one:1\n")
        self.assert_error(
            self.build("--locked", status=6),
            "error: there is no Dockerfile.lock\n"
            "   = hint: `imgbuild lock` makes it\n")
        self.imgbuild("lock")
        self.push("two")
        self.dockerfile(f"FROM {self.host}/one:1 AS a\n"
                        f"FROM {self.host}/two:1\nRUN touch /x\n")
        expected = (
            "error: REGISTRY/two:1 is not in Dockerfile.lock\n"
            " --> Dockerfile:2:6\n  |\n2 | FROM REGISTRY/two:1\n"
            f"  |      {'^' * (len(self.host) + 6)}\n"
            "  = hint: `imgbuild lock add REGISTRY/two:1` adds it, `imgbuild "
            "lock` everything that is missing\n")
        result = self.build("--locked", status=6)
        self.assert_error(result, expected)
        self.assertNotIn("RUN touch", result.stderr.split("error:")[0])
        # CI says --locked by itself, and --no-locked says no.
        self.assert_error(self.build(status=6, env={"CI": "true"}), expected)
        self.build("--no-locked", env={"CI": "true"})
        # Without it the name is resolved, and said so.
        self.assertIn("warning: REGISTRY/two:1 is not in Dockerfile.lock; "
                      "`imgbuild lock` adds what is missing",
                      self.build().stderr.replace(self.host, "REGISTRY"))
        self.assertIn("two:1 is not in Dockerfile.lock",
                      self.imgbuild("plan", "--locked", ".", status=6).stderr)
        self.imgbuild("lock", "add", f"{self.host}/two:1")
        self.build("--locked")

    def test_platform_that_is_not_covered(self):
        self.push("one")
        self.dockerfile(f"FROM {self.host}/one:1\n")
        self.imgbuild("lock")
        result = self.build("--locked", "--platform=linux/arm64", status=6)
        self.assertIn("is locked for linux/amd64, not for linux/arm64",
                      result.error)
        self.assertIn(" --> Dockerfile:1:6\n", result.error)

    def test_frozen_makes_no_request(self):
        self.push("one")
        self.push("two", b"two\n")
        self.dockerfile(f"FROM {self.host}/two:1 AS two\n"
                        f"FROM {self.host}/one:1\nCOPY --from=two /version /2\n"
                        "RUN cat /2\n")
        self.imgbuild("lock")
        result = self.build("--frozen", status=6)
        self.assertIn("--frozen forbids the network", result.error)
        self.build("--locked")
        before = self.all_requests()
        frozen = self.build("--frozen", "--no-cache", "-t", "app:1")
        self.assertIn("lock: 2/2 names pinned", frozen.stderr)
        self.assertEqual(self.all_requests()[len(before):], [])
        # And where there is no registry at all.
        moved = self.build("--locked", "-t", "app:2", env={
            "http_proxy": "http://127.0.0.1:1"})
        self.assertEqual(self.all_requests()[len(before):], [])
        self.assertEqual(moved.digest, frozen.digest)

    def test_every_kind_of_name(self):
        directory = tempfile.mkdtemp(dir=self.dir)
        with open(f"{directory}/file", "w", encoding="ascii") as file:
            file.write("first\n")
        handler = functools.partial(_Quiet, directory=directory)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = f"http://127.0.0.1:{server.server_port}/file"
        self.push("hooked", config={
            "OnBuild": [f"COPY --from={self.host}/dep:1 /version /dep"]})
        self.push("dep", b"dep\n")
        self.push("mounted", b"mounted\n")
        self.dockerfile(
            f"ARG NAME=hooked\nARG IMAGE={self.host}/$NAME:1\nFROM $IMAGE\n"
            f"ADD {url} /file\n"
            f"RUN --mount=from={self.host}/mounted:1,target=/m cat /m/version\n"
            f"COPY --from=tools /version /tools\n"
            "CMD [\"cat\", \"/file\"]\n")
        context = f"tools=docker-image://{self.host}/base:1"
        self.imgbuild("lock", "--build-context", context)
        names = re.findall(r'^name = "(.*)"$', self.lock_text(), re.MULTILINE)
        self.assertEqual(names, [f"{self.host}/{name}:1" for name in
                                 ("base", "dep", "hooked", "mounted")] + [url])
        self.assertIn(f'args = {{ IMAGE = "{self.host}/hooked:1", '
                      'NAME = "hooked" }', self.lock_text())
        self.dockerfile((self.context / "Dockerfile").read_text().replace(
            "COPY --from=tools /version /tools\n", ""))
        self.assertIn("lock: 4/4", self.build("--locked", "-t", "app:1").stderr)
        # Another file at the same URL is an error, in a store that never had
        # the first; what is cached is used as it is.
        with open(f"{directory}/file", "w", encoding="ascii") as file:
            file.write("second\n")
        self.assertEqual(self.imgbuild("run", "app:1").stdout, "first\n")
        other = {"IMGBUILD_ROOT": str(self.dir / "other")}
        result = self.build("--locked", status=6, env=other)
        self.assertIn(f"{url} is not what the lock says", result.error)
        self.assertIn(" --> Dockerfile:4:5\n", result.error)
        check = self.imgbuild("lock", "--check", "--format=json", status=6)
        states = {f["name"]: f["state"]
                  for f in json.loads(check.stdout)[0]["findings"]}
        self.assertEqual(states[url], "moved")
        self.assertEqual(states[f"{self.host}/dep:1"], "fresh")

    def test_frontend_out_of_reach_is_a_warning(self):
        self.push("one")
        conf = self.dir / "registries.conf"
        conf.write_text('[[registry]]\nprefix = "docker.io"\n'
                        'location = "127.0.0.1:1"\ninsecure = true\n')
        self.dockerfile("# syntax=docker/dockerfile:1\n"
                        f"FROM {self.host}/one:1\n")
        result = self.imgbuild(
            "lock", env={"CONTAINERS_REGISTRIES_CONF": str(conf)})
        self.assertIn("# syntax=docker/dockerfile:1 is not recorded, and no "
                      "build here needs it: ", result.stderr)
        self.assertNotIn("[[frontend]]", self.lock_text())
        self.assertIn("lock: 1/1 names pinned", self.build("--locked").stderr)
        self.imgbuild("lock", "--check")

    def test_global_flag_before_two_words(self):
        self.push("one")
        self.dockerfile(f"FROM {self.host}/one:1\n")
        self.imgbuild("lock")
        for words in (("lock", "prune"), ("image", "ls"), ("image", "prune")):
            self.imgbuild("--root", str(self.store), *words)

    def test_own_digest_and_conflict(self):
        digest = self.push("one")
        other = self.push("one", b"other\n")
        self.dockerfile(f"FROM {self.host}/one:1\n")
        self.imgbuild("lock")
        self.dockerfile(f"FROM {self.host}/one:1@{digest}\n")
        result = self.build(status=6)
        self.assertIn(f"one:1 has the digest {digest} here and {other} in "
                      "Dockerfile.lock", result.error)
        self.assertIn("conflict", self.imgbuild("lock", "--check",
                                                status=6).stdout)
        self.imgbuild("lock", "--update")
        self.build("--locked")
        # A digest in the text needs no entry.
        self.write("b/Dockerfile", f"FROM {self.host}/one@{digest}\n")
        self.write("b/Dockerfile.lock", "version = 1\n")
        self.imgbuild("build", "--locked", "b")

    def test_variants(self):
        self.push("one")
        self.push("two")
        self.dockerfile(f"ARG NAME=one\nFROM {self.host}/$NAME:1\n")
        self.imgbuild("lock", "--variant", "second", "--build-arg", "NAME=two")
        self.assertIn('[[variant]]\nname = "second"\nargs = { NAME = "two" }',
                      self.lock_text())
        self.assertIn('variants = ["second"]', self.lock_text())
        self.build("--locked")
        self.build("--locked", "--build-arg", "NAME=two")
        self.build("--locked", "--build-arg", "NAME=base", status=6)
        text = self.lock_text()
        self.assertIn("(unchanged)", self.imgbuild("lock", "prune").stdout)
        self.assertEqual(self.lock_text(), text)

    def test_prune_and_unused(self):
        self.push("one")
        self.push("two")
        self.dockerfile(f"FROM {self.host}/one:1\n")
        self.imgbuild("lock")
        self.dockerfile(f"FROM {self.host}/two:1\n")
        made = self.imgbuild("lock").stdout
        self.assertIn("unused", made)
        self.assertIn("unused", self.imgbuild("lock", "--check").stdout)
        self.imgbuild("lock", "prune")
        self.assertNotIn("/one:1", self.lock_text())
        self.assertIn("/two:1", self.lock_text())

    def test_verify(self):
        digest = self.push("verified")
        self.dockerfile(f"FROM {self.host}/verified:1\n")
        self.imgbuild("lock")
        self.assertIn("verified for linux/amd64",
                      self.imgbuild("lock", "verify").stdout)
        path = self.registry.blob_path(digest)
        with harness.damaged(path, lambda data: data + b" "):
            result = self.imgbuild("lock", "verify", status=6)
            self.assertIn("drift", result.stdout)
        good = path.read_bytes()
        path.unlink()
        try:
            result = self.imgbuild("lock", "verify", status=4)
            self.assertIn("gone", result.stdout)
            other = {"IMGBUILD_ROOT": str(self.dir / "other")}
            lost = self.build("--locked", status=4, env=other)
            self.assertIn(" --> Dockerfile.lock:", lost.error)
            self.assertIn("the registry may have lost it", lost.error)
        finally:
            path.write_bytes(good)

    def test_broken_locks(self):
        digest = self.push("one")
        self.dockerfile(f"FROM {self.host}/one:1\n")
        self.imgbuild("lock")
        text = self.lock_text()
        lock = self.context / "Dockerfile.lock"
        for damage, said in (
                (lambda t: t.replace(digest, digest.upper().replace(
                    "SHA256", "sha256")), "upper-case hex digits"),
                (lambda t: t[:len(t) // 2], "cut off"),
                (lambda t: "<<<<<<< HEAD\n" + t, "merge conflict markers"),
                (lambda t: t.replace("version = 1", "version = 9"),
                 "made by a newer imgbuild")):
            lock.write_text(damage(text))
            result = self.build(status=3)
            self.assertIn(said, result.error)
            self.assertIn(" --> Dockerfile.lock:", result.error)
            self.imgbuild("lock", status=3)
            self.assertEqual(lock.read_text(), damage(text))
        # A platform's manifest that the digest does not lead to.
        lock.write_text(re.sub(r'(?m)^config = "sha256:\w+"',
                               f'config = "sha256:{"0" * 64}"', text))
        result = self.build(status=6)
        self.assertIn("the lock of", result.error)
        self.assertIn(" --> Dockerfile.lock:", result.error)

    def test_folders_and_shared_names(self):
        self.push("one")
        for i in range(5):
            self.write(f"p{i}/Dockerfile", f"FROM {self.host}/one:1\n"
                       f"COPY --from={self.host}/base:1 / /\n")
        self.write(".git/Dockerfile", "FROM nothing.invalid/x\n")
        before = len(self.all_requests())
        made = self.imgbuild("lock")
        self.assertEqual(made.stdout.count("2 names locked, 2 added"), 5)
        tags = [r for r in self.all_requests()[before:]
                if r.endswith("/manifests/1")]
        self.assertEqual(sorted(tags), ["GET /v2/base/manifests/1",
                                        "GET /v2/one/manifests/1"])
        self.imgbuild("build", "--locked", "p3")
        before = len(self.all_requests())
        self.imgbuild("lock", "--check")
        self.assertEqual(sorted(self.all_requests()[before:]),
                         ["HEAD /v2/base/manifests/1",
                          "HEAD /v2/one/manifests/1"])
        with tempfile.TemporaryDirectory() as empty:
            self.assertIn("there is no Dockerfile",
                          self.imgbuild("lock", empty, status=2).error)

    def test_one_that_fails_leaves_all(self):
        self.push("one")
        self.write("a/Dockerfile", f"FROM {self.host}/one:1\n")
        self.write("b/Dockerfile", f"FROM {self.host}/missing:1\n")
        result = self.imgbuild("lock", status=4)
        self.assertIn(" --> b/Dockerfile:1:6\n", result.error)
        self.assertFalse((self.context / "a/Dockerfile.lock").exists())

    def test_same_lock_from_crlf_and_other_order(self):
        self.push("one")
        self.push("two")
        lines = [f"FROM {self.host}/one:1 AS a\n", f"FROM {self.host}/two:1\n",
                 f"COPY --from={self.host}/base:1 / /\n"]
        self.dockerfile("".join(lines))
        self.imgbuild("lock")
        first = self.lock_text()
        self.write("b/Dockerfile", "\r\n".join(
            ["FROM scratch AS x", f"COPY --from={self.host}/base:1 / /",
             f"FROM {self.host}/two:1 AS y", f"FROM {self.host}/one:1", ""]))
        self.imgbuild("lock", "b")
        self.assertEqual(self.lock_text("b/Dockerfile.lock"), first)


class LockLifeTest(LockCase):
    def test_diff_names_the_package_and_rollback_returns(self):
        def debian(version):
            with tempfile.TemporaryDirectory() as layout:
                harness.write_layout(layout, with_file(
                    "var/lib/dpkg/status",
                    b"Package: base-files\nStatus: install ok installed\n"
                    b"Architecture: amd64\nVersion: 12.4\n\n"
                    b"Package: libssl3\nStatus: install ok installed\n"
                    b"Architecture: amd64\nVersion: " + version + b"\n\n"))
                return self.registry.push(layout, "debianlike")
        old = debian(b"3.0.11-1")
        self.dockerfile(f"FROM {self.host}/debianlike:1\n")
        self.imgbuild("lock")
        before = self.write("old.lock", self.lock_text())
        new = debian(b"3.0.13-1")
        self.imgbuild("lock", "--check", status=6)
        self.imgbuild("lock", "--update")
        diff = self.imgbuild("lock", "diff", before, "Dockerfile.lock").stdout
        self.assertIn("updated", diff)
        self.assertIn("~ libssl3 3.0.11-1 -> 3.0.13-1", diff)
        self.assertNotIn("base-files", diff)
        self.imgbuild("lock", "rollback", f"{self.host}/debianlike:1")
        self.assertIn(f'digest = "{old}"', self.lock_text())
        self.assertIn(f'previous = ["{new}"]', self.lock_text())

    def test_fetch_then_frozen(self):
        self.push("one")
        self.dockerfile(f"FROM {self.host}/one:1\nRUN cat /version\n")
        self.imgbuild("lock")
        fetched = self.imgbuild("lock", "fetch").stdout
        self.assertEqual(fetched, "Dockerfile.lock: 1 image and 0 files in the "
                                  "store\n")
        before = len(self.all_requests())
        self.build("--frozen")
        self.assertEqual(self.all_requests()[before:], [])

    def test_run_create_and_pull_take_the_digest_from_the_lock(self):
        old = self.push("ran", b"old\n")
        name = f"{self.host}/ran:1"
        self.dockerfile(f"FROM {name}\n")
        self.imgbuild("lock")
        self.push("ran", b"new\n")
        show = (name, "cat", "/version")
        self.assertEqual(self.imgbuild("run", *show).stdout, "new\n")
        ran = self.imgbuild("run", "--locked", "--name=locked", *show)
        self.assertEqual(ran.stdout, "old\n")
        self.assertIn(f"Digest: {old}", ran.stderr)
        # The reference as typed; the tag here stays where it was.
        self.assertEqual(self.imgbuild(
            "inspect", "--format={{.Config.Image}}", "locked").stdout, name + "\n")
        self.assertEqual(self.imgbuild("run", *show).stdout, "new\n")
        # What is here already needs no registry.
        again = self.imgbuild("run", "--locked", "--pull=never", *show,
                              env={"http_proxy": "http://127.0.0.1:1"})
        self.assertEqual(again.stdout, "old\n")
        self.assertNotIn("Digest", again.stderr)
        self.write("app.Dockerfile", f"FROM {name}\n")
        (self.context / "Dockerfile.lock").rename(
            self.context / "app.Dockerfile.lock")
        container = self.imgbuild(
            "create", "--locked", "--lockfile=app.Dockerfile.lock",
            *show).stdout.strip()
        self.assertEqual(self.imgbuild("start", "-a", container).stdout,
                         "old\n")
        pulled = self.imgbuild("pull", "--locked",
                               "--lockfile=app.Dockerfile.lock", name)
        self.assertIn(f"Digest: {old}\n", pulled.stdout)
        self.assertTrue(pulled.stdout.endswith(f"{name}@{old}\n"))

    def test_recorded_output(self):
        self.push("one")
        self.write("file", "one\n")
        self.dockerfile(f"FROM {self.host}/one:1 AS first\n"
                        "COPY file /first\n"
                        "FROM first AS last\nCOPY file /got\n")
        self.assert_error(
            self.build("--record-output", status=2),
            "error: --record-output: there is no Dockerfile.lock\n"
            "   = hint: `imgbuild lock` makes it\n")
        self.imgbuild("lock")
        self.assertNotIn("output:", self.build("--locked").stderr)
        made = self.build("--record-output", "-t", "app:1")
        self.assertIn("output: recorded in Dockerfile.lock", made.stderr)
        block = ('[[output]]\nplatform = "linux/amd64"\n'
                 f'manifest = "{made.digest}"\n')
        text = self.lock_text()
        self.assertIn(block, text)
        # The last stage by its name is the same output; another has none.
        for words in ((), ("--target=last",), ("--no-cache",)):
            self.assertIn("output: as recorded",
                          self.build("--locked", *words).stderr)
        self.assertNotIn("output:",
                         self.build("--locked", "--target=first").stderr)
        self.build("--record-output", "--target=first")
        self.assertIn('[[output]]\ntarget = "first"\n', self.lock_text())
        self.assertIn(block, self.lock_text())
        # `lock` and `lock --update` keep what was recorded.
        self.imgbuild("lock", "--update")
        self.assertIn(block, self.lock_text())

        self.write("file", "two\n")
        line = self.lock_text().split(made.digest)[0].count("\n") + 1
        failed = self.build("--locked", "-t", "app:1", status=6)
        self.assertRegex(failed.error,
                         "error: this build made sha256:[0-9a-f]{64}; "
                         f"Dockerfile.lock expects {made.digest}\n")
        self.assertIn(f" --> Dockerfile.lock:{line}:", failed.error)
        self.assertIn("--record-output", failed.error)
        self.build("-t", "app:1", env={"CI": "true"}, status=6)
        # No tag was moved, and the image is there by its digest.
        self.assertEqual(self.imgbuild("run", "app:1", "cat", "/got").stdout,
                         "one\n")
        new = failed.error.split("made ")[1].split(";")[0]
        self.assertEqual(self.imgbuild("run", new, "cat", "/got").stdout,
                         "two\n")
        self.assertNotIn(new, self.lock_text())
        # Without --locked it is a warning.
        warned = self.build("-t", "app:1")
        self.assertIn(f"warning: this build made {new}; Dockerfile.lock "
                      f"expects {made.digest}", warned.stderr)
        self.assertEqual(self.imgbuild("run", "app:1", "cat", "/got").stdout,
                         "two\n")
        self.assertNotIn(new, self.lock_text())
        self.build("--record-output", env={"CI": "true"})
        self.assertNotIn(made.digest, self.lock_text())
        self.assertIn("output: as recorded", self.build("--locked").stderr)

    def test_output_of_a_variant(self):
        self.push("one")
        self.dockerfile(f"ARG V=1\nFROM {self.host}/one:1\nARG V\n"
                        "LABEL v=$V\n")
        self.imgbuild("lock")
        self.assertIn("Dockerfile.lock has no variant with these --build-arg",
                      self.build("--record-output", "--build-arg=V=2",
                                 status=2).error)
        self.build("--record-output")
        # Other arguments make another image, which is nothing to warn about.
        self.assertNotIn("output", self.build("--build-arg=V=2").stderr)
        self.imgbuild("lock", "--variant=two", "--build-arg=V=2")
        self.build("--record-output", "--build-arg=V=2")
        self.assertIn('variant = "two"\nmanifest', self.lock_text())
        self.assertIn("output: as recorded", self.build("--locked").stderr)
        self.assertIn("output: as recorded", self.build(
            "--locked", "--build-arg=V=2").stderr)
        self.assertIn("uses no lock", self.build(
            "--record-output", "--no-locked", status=2).error)

    def test_names_that_the_lock_has_not(self):
        digest = self.push("one")
        self.dockerfile(f"FROM {self.host}/one:1\n")
        for command in ("run", "create", "pull"):
            result = self.imgbuild(command, "--locked", f"{self.host}/one:1",
                                   status=6)
            self.assertIn("error: there is no Dockerfile.lock\n"
                          "   = hint: `imgbuild lock` makes it", result.error)
        self.imgbuild("lock")
        other = digest[:-1] + ("0" if digest[-1] != "0" else "1")
        for command in ("run", "create", "pull"):
            result = self.imgbuild(command, "--locked", f"{self.host}/two:1",
                                   status=6)
            self.assertIn(f"{self.host}/two:1 is not in Dockerfile.lock",
                          result.error)
            self.assertIn(f"`imgbuild lock add {self.host}/two:1` adds it",
                          result.error)
            result = self.imgbuild(command, "--locked",
                                   f"{self.host}/one:1@{other}", status=6)
            self.assertIn(f"has the digest {other} here", result.error)
            result = self.imgbuild(command, "--locked",
                                   "--platform=linux/arm64",
                                   f"{self.host}/one:1", status=6)
            self.assertIn("is locked for linux/amd64, not for linux/arm64",
                          result.error)
        self.assertIn("--lockfile needs --locked", self.imgbuild(
            "pull", "--lockfile=x.lock", "a", status=2).error)
        self.assertIn("exclude each other", self.imgbuild(
            "pull", "--locked", "-a", "a", status=2).error)

    def test_bundle_builds_without_a_registry(self):
        directory = tempfile.mkdtemp(dir=self.dir)
        with open(f"{directory}/file", "w", encoding="ascii") as file:
            file.write("from the bundle\n")
        handler = functools.partial(_Quiet, directory=directory)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.push("one")
        self.push("two", b"two\n")
        self.dockerfile(
            f"FROM {self.host}/two:1 AS two\nFROM {self.host}/one:1\n"
            f"ADD http://127.0.0.1:{server.server_port}/file /file\n"
            "COPY --from=two /version /2\nRUN cat /2 /file\n")
        self.imgbuild("lock")
        out = self.dir / "bundle"
        out.mkdir()
        tars = [out / "a.tar", out / "b.tar"]
        for tar in tars:
            self.assertIn("3 names, ",
                          self.imgbuild("lock", "bundle", str(tar)).stdout)
        self.assertEqual(tars[0].read_bytes(), tars[1].read_bytes())
        self.imgbuild("lock", "bundle", str(out / "layout"))
        with tarfile.open(tars[0]) as tar:
            names = sorted(m.name for m in tar.getmembers() if m.isfile())
            index = json.load(tar.extractfile("index.json"))
        self.assertEqual(names, sorted(
            str(path.relative_to(out / "layout"))
            for path in (out / "layout").rglob("*") if path.is_file()))
        self.assertEqual(
            [entry["annotations"]["org.opencontainers.image.ref.name"]
             for entry in index["manifests"]],
            re.findall(r'^name = "(.*)"$', self.lock_text(), re.MULTILINE))
        online = self.build("--locked")
        server.shutdown()
        before = len(self.all_requests())
        for number, bundle in enumerate((tars[0], out / "layout")):
            store = {"IMGBUILD_ROOT": str(self.dir / f"store{number}")}
            for _ in range(2):
                built = self.build("--lock-bundle", str(bundle), env=store)
                self.assertIn("lock: 3/3 names pinned", built.stderr)
                self.assertEqual(built.digest, online.digest)
        self.assertEqual(self.all_requests()[before:], [])

        # A wrong byte, and then no blob at all.
        store = {"IMGBUILD_ROOT": str(self.dir / "damaged")}
        layer = max((out / "layout" / "blobs" / "sha256").iterdir(),
                    key=lambda path: path.stat().st_size)
        data = bytearray(layer.read_bytes())
        data[len(data) // 2] ^= 1
        layer.write_bytes(data)
        result = self.build("--lock-bundle", str(out / "layout"), status=4,
                            env=store)
        self.assertIn(layer.name, result.error)
        layer.unlink()
        result = self.build("--lock-bundle", str(out / "layout"), status=6,
                            env=store)
        self.assertIn(f"sha256:{layer.name} is not in the bundle", result.error)
        self.assertRegex(result.error, r" --> Dockerfile\.lock:\d+:\d+\n")
        self.assertEqual(
            self.imgbuild("images", "-q", env=store).stdout, "")
        self.imgbuild("lock", "bundle", str(out / "layout"), status=2)
        data = bytearray(tars[0].read_bytes())
        with tarfile.open(tars[0]) as tar:
            member = tar.getmember("blobs/sha256/" + layer.name)
        data[member.offset_data + member.size // 2] ^= 1
        tars[0].write_bytes(data)
        result = self.build("--lock-bundle", str(tars[0]), status=4, env=store)
        self.assertIn(layer.name, result.error)
        self.assertIn(f"while reading the bundle {tars[0]}", result.error)

    def test_bundle_refuses_repositories(self):
        self.push("one")
        self.dockerfile(f"FROM {self.host}/one:1\n")
        self.imgbuild("lock")
        with open(self.context / "Dockerfile.lock", "a",
                  encoding="ascii") as file:
            file.write('\n[[git]]\nname = "https://example.com/r.git#main"\n'
                       f'commit = "{"a" * 40}"\n')
        result = self.imgbuild("lock", "bundle", str(self.dir / "x.tar"),
                               status=2)
        self.assertIn("is a git repository", result.error)
        self.assertIn(" --> Dockerfile.lock:", result.error)
        self.assertFalse((self.dir / "x.tar").exists())

    def test_two_at_once_lose_nothing(self):
        for name in ("one", "two"):
            self.push(name)
        self.dockerfile(f"FROM {self.host}/one:1\nFROM {self.host}/two:1\n")
        threads = [threading.Thread(target=self.imgbuild, args=(
            "lock", "add", f"{self.host}/{name}:1"))
            for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertIn("/one:1", self.lock_text())
        self.assertIn("/two:1", self.lock_text())


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


if __name__ == "__main__":
    unittest.main()
