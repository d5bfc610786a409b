"""What a build may use and must not keep: secrets, ssh agents; and the limits
of what its steps may take."""

import http.server
import io
import json
import os
import pathlib
import re
import subprocess
import tarfile
import tempfile
import threading

import harness

SECRET = "correct-horse-battery-staple-7391"


def program_tar(programs):
    """The files of dynamic programs: themselves and what they load."""
    paths = {}
    for program in programs:
        path = harness.need(program)
        paths[f"/bin/{program}"] = path
        listed = subprocess.run(["ldd", path], check=True, text=True,
                                capture_output=True).stdout
        for library in re.findall(r"(/\S+) \(0x", listed):
            paths[library] = library
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, path in sorted(paths.items()):
            info = tarfile.TarInfo(name.lstrip("/"))
            content = pathlib.Path(os.path.realpath(path)).read_bytes()
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


class Secrets(harness.Case):
    def assert_not_kept(self, *needles):
        """No file of the store has the bytes: blobs, layers, the database
        and its log; nor is a file called so."""
        looked_at = 0
        for path in self.store.rglob("*"):
            for needle in needles:
                self.assertNotIn(needle, path.name)
            if path.is_symlink() or not path.is_file():
                continue
            data = path.read_bytes()
            looked_at += 1
            if data[:2] == b"\x1f\x8b":
                data += subprocess.run(["gzip", "-dc", path], check=True,
                                       capture_output=True).stdout
            for needle in needles:
                self.assertNotIn(needle.encode(), data, str(path))
        self.assertGreater(looked_at, 5)

    def test_secrets_are_not_kept(self):
        (self.dir / "token").write_text(SECRET)
        self.dockerfile(
            "FROM BASE\n"
            "RUN --mount=type=secret,id=file,required "
            "test $(wc -c < /run/secrets/file) = 33\n"
            "RUN --mount=type=secret,id=var,env=TOKEN "
            "test ${#TOKEN} = 33 && echo used > /used\n"
            "RUN --mount=type=secret,id=file,target=/etc/t,mode=0444,uid=1000 "
            "stat -c %a:%u /etc/t > /stat\n"
            "RUN env > /env; ls /run > /run.txt 2>&1; true\n")
        words = ("--secret", f"id=file,src={self.dir}/token",
                 "--secret", "id=var,env=E2E_TOKEN")
        env = {"E2E_TOKEN": SECRET}
        built = self.build(*words, env=env)
        self.assertEqual(self.imgbuild("run", "--rm", built.digest, "cat",
                                       "/used", "/stat").stdout,
                         "used\n444:1000\n")
        self.assertNotIn(SECRET, built.stdout + built.stderr)
        # Another value is no other step.
        (self.dir / "token").write_text(SECRET[::-1])
        again = self.build(*words, env={"E2E_TOKEN": SECRET[::-1]})
        self.assertEqual(again.digest, built.digest)
        self.assertEqual(harness.cached(again), 4, str(again))
        # A step that fails does not tell either.
        self.dockerfile("FROM BASE\nRUN --mount=type=secret,id=var,env=TOKEN "
                        "--mount=type=secret,id=file test -z $TOKEN\n")
        failed = self.build(*words, env=env, status=1)
        self.assertNotIn(SECRET, failed.stdout + failed.stderr)
        self.build("--progress=rawjson", *words, env=env, status=1)
        self.assert_not_kept(SECRET, SECRET[::-1])
        self.assert_no_litter()

    def test_the_scan_finds_what_is_kept(self):
        self.dockerfile(f"FROM BASE\nRUN echo {SECRET} > /x\n")
        self.build()
        with self.assertRaises(AssertionError):
            self.assert_not_kept(SECRET)

    # --- ssh ------------------------------------------------------------------

    def make_key(self, name, passphrase=""):
        path = self.dir / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase,
                        "-C", name, "-f", str(path)], check=True)
        return path

    def ssh_base(self):
        """The base image with ssh-add in it."""
        (self.context / "programs.tar").write_bytes(
            program_tar(["ssh-add", "ssh-keygen"]))
        return "FROM BASE\nADD programs.tar /\n"

    def serve(self, answer):
        """A server whose GETs ANSWER makes, given the handler; its address."""
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, headers, body = answer(self)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words):
                pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"127.0.0.1:{server.server_address[1]}"

    def test_urls_with_credentials(self):
        elsewhere = []

        def other(handler):
            elsewhere.append(handler.headers.get("Authorization"))
            return 200, {}, b"moved\n"
        moved = self.serve(other)

        def guarded(handler):
            if handler.headers.get("Authorization") != f"Bearer {SECRET}":
                return 401, {}, b"who are you?\n"
            if handler.path == "/moved":
                return 302, {"Location": f"http://{moved}/m"}, b""
            return 200, {}, b"given\n"
        host = self.serve(guarded)
        self.dockerfile(f"FROM BASE\nADD http://{host}/a http://{host}/moved "
                        "/d/\n")
        env = {"T": SECRET + "\n", "H": f"Bearer {SECRET}", "BAD": "no"}
        refused = self.build(status=4, env=env)
        self.assertIn("status 401", refused.error)
        for words in ([f"id=HTTP_AUTH_TOKEN_{host},env=T"],
                      [f"id=HTTP_AUTH_HEADER_{host},env=H"],
                      ["id=HTTP_AUTH_TOKEN_127.0.0.1,env=T"],
                      ["id=HTTP_AUTH_HEADER_127.0.0.1,env=BAD",
                       f"id=HTTP_AUTH_TOKEN_{host},env=T"]):
            secrets = [word for one in words for word in ("--secret", one)]
            built = self.build("--no-cache", *secrets, env=env)
            self.assertNotIn(SECRET, built.stdout + built.stderr)
        self.assertEqual(self.imgbuild("run", "--rm", built.digest, "cat",
                                       "/d/a", "/d/moved").stdout,
                         "given\nmoved\n")
        self.assertEqual(set(elsewhere), {None})
        wrong = self.build("--no-cache", "--secret",
                           f"id=HTTP_AUTH_TOKEN_{host},env=T", status=2,
                           env={"T": f"a\nb{SECRET}"})
        self.assertIn("has more than one line", wrong.error)
        self.assertNotIn(SECRET, wrong.stderr)
        self.assert_not_kept(SECRET, SECRET[::-1])

    def test_ssh_keys(self):
        one, two = self.make_key("one"), self.make_key("two")
        self.dockerfile(
            self.ssh_base() +
            "RUN --mount=type=ssh ssh-add -l > /default\n"
            "RUN --mount=type=ssh,id=other,target=/agent,uid=1000,mode=0660 "
            "echo $SSH_AUTH_SOCK > /other && ssh-add -l >> /other && "
            "stat -c %a:%u /agent >> /other\n"
            # The key can sign; the agent cannot be changed.
            "RUN --mount=type=ssh ssh-add -L > /pub && echo hi > /m && "
            "ssh-keygen -q -Y sign -f /pub -n file /m 2>&1 && "
            "test -s /m.sig && ! ssh-add -D 2>/dev/null && "
            "! ssh-add -d /pub 2>/dev/null && ssh-add -l | grep -q one && "
            "rm /m.sig\n"
            "RUN --mount=type=ssh,id=absent test ! -e $SSH_AUTH_SOCK\n")
        built = self.build("--ssh", f"default={one}", "--ssh",
                           f"other={two},{one}")
        text = self.imgbuild("run", "--rm", built.digest, "cat", "/default",
                             "/other").stdout
        self.assertRegex(text, r"(?s)^256 \S+ .*\(ED25519\)\n/agent\n256 .*\n"
                         r"256 .*\n660:1000\n$")
        key = one.read_text()
        self.assert_not_kept(key, key.splitlines()[1])
        self.assertEqual(subprocess.run(
            ["pgrep", "-f", "ssh-agent -D -a /dev/shm/imgbuild-"],
            capture_output=True, check=False).stdout, b"")
        self.assert_no_litter()

    def test_ssh_agent_of_the_user(self):
        one = self.make_key("one")
        socket = self.dir / "user.sock"
        agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)],
                                 stdout=subprocess.DEVNULL)
        self.addCleanup(agent.wait)
        self.addCleanup(agent.terminate)
        env = {"SSH_AUTH_SOCK": str(socket)}
        while not socket.exists():
            pass
        subprocess.run(["ssh-add", "-q", str(one)], check=True,
                       env={**os.environ, **env})
        self.dockerfile(self.ssh_base() + "RUN --mount=type=ssh,required "
                        "ssh-add -l > /keys; ssh-add -D; true\n")
        for words in (("--ssh", "default"), ("--ssh", f"default={socket}")):
            self.build("--no-cache", *words, env=env)
        listed = subprocess.run(["ssh-add", "-l"], env={**os.environ, **env},
                                check=True, text=True,
                                capture_output=True).stdout
        self.assertIn("one", listed)

    def test_ssh_errors(self):
        locked = self.make_key("locked", "passphrase")
        self.write("junk", "junk\n")
        self.dockerfile("FROM BASE\nRUN --mount=type=ssh,required true\n")
        self.assert_error(self.build(status=1), """\
error: ssh agent "default" is required and was not forwarded
 --> Dockerfile:2:13
  |
2 | RUN --mount=type=ssh,required true
  |             ^^^^^^^^^^^^^^^^^
  = hint: pass --ssh default, or --ssh default=KEYFILE
""")
        for spec, text in (
                (f"default={locked}", "has a passphrase"),
                ("default=nope", 'there is no key file "nope"'),
                ("default=junk", "is no private key that ssh-add takes"),
                ("default", "SSH_AUTH_SOCK is not set"),
                ("=x", "invalid --ssh"), ("x=", "invalid --ssh")):
            result = self.build("--ssh", spec, status=2)
            self.assertIn(text, result.error)
        self.assertIn("it is given twice", self.build(
            "--ssh", "a=" + str(self.make_key("k")), "--ssh", f"a={locked}",
            status=2).error)

    # --- limits, annotations --------------------------------------------------

    def test_memory_is_limited(self):
        self.dockerfile("FROM BASE\nRUN x=$(seq 1 9000000); echo ${#x}\n")
        failed = self.build("--memory", "20m", "--memory-swap", "20m",
                            status=1)
        self.assertIn("memory ran out", failed.error)
        failed = self.build("--resource", "memory=20m,memory-swap=20m",
                            status=1)
        self.assertIn("memory ran out", failed.error)

    def test_limits_are_checked(self):
        self.dockerfile("FROM BASE\nRUN true\n")
        for words, text in (
                (["--memory", "x"], 'invalid --memory "x"'),
                (["--cpu-quota", "1"], 'invalid --cpu-quota "1"'),
                (["--resource", "cpuset-cpu=0"],
                 'unknown --resource "cpuset-cpu"'),
                (["--cpu-shares", "1"], 'invalid --cpu-shares "1"'),
                (["--resource", "memory"], 'invalid --resource "memory"'),
                (["--memory-swap", "1g"], "needs a memory limit as well"),
                (["--ulimit", "nofile"], 'invalid --ulimit "nofile"'),
                (["--ulimit", "nofiles=1"], "did you mean nofile?"),
                (["--ulimit", "nofile=2:1"], 'invalid --ulimit "nofile=2:1"'),
                (["--allow", "devic"], 'unknown entitlement "devic"')):
            self.assertIn(text, self.build(*words, status=2).error)

    def test_annotations(self):
        self.dockerfile("FROM BASE\nLABEL a=b\n")
        plain = self.build()
        marked = self.build("-t", "m:1", "--annotation", "a.b=c=d",
                            "--annotation", "manifest:e:f=g",
                            "--annotation", "manifest[linux/arm64]:no=no",
                            "-o", f"type=oci,dest={self.dir}/m.tar",
                            "-t", "m:1")
        self.assertNotEqual(plain.digest, marked.digest)
        with tarfile.open(self.dir / "m.tar") as tar:
            name = "blobs/" + marked.digest.replace(":", "/")
            manifest = json.load(tar.extractfile(name))
        self.assertEqual(manifest["annotations"], {"a.b": "c=d", "e:f": "g"})
        pointed = self.build("--annotation", "manifest-descriptor:p=q",
                             "--annotation",
                             "manifest-descriptor[linux/arm64]:no=no",
                             "--metadata-file", self.dir / "meta.json",
                             "-o", f"type=oci,dest={self.dir}/p.tar")
        self.assertEqual(pointed.digest, plain.digest)
        with tarfile.open(self.dir / "p.tar") as tar:
            index = json.load(tar.extractfile("index.json"))
        self.assertEqual([entry["annotations"] for entry in index["manifests"]],
                         [{"p": "q"}])
        meta = json.loads((self.dir / "meta.json").read_text())
        self.assertEqual(
            meta["containerimage.descriptor"]["annotations"], {"p": "q"})
        for word, text in (("index:a=b", "index annotations are not supported"),
                           ("index-descriptor:a=b", "index annotations"),
                           ("manifest-descriptor:a=b",
                            "no output has a descriptor"),
                           ("a", "invalid --annotation")):
            self.assertIn(text, self.build("--annotation", word,
                                           status=2).error)


if __name__ == "__main__":
    harness.unittest.main()
