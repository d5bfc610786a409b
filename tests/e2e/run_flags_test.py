"""Each flag of run and create: enforced in a real container, or refused."""

import os
import re
import socket
import tempfile
import unittest

import containers_test
import harness


class Flags(containers_test.ContainerCase):
    def inside(self, *words, command=("true",), status=0, stdin=b"", env=None):
        return self.imgbuild("run", "--rm", *words, "b", *command,
                             status=status, stdin=stdin, env=env).stdout

    def shell(self, script, *words, status=0):
        return self.inside(*words, command=("sh", "-c", script), status=status)

    def refused(self, *words):
        done = self.imgbuild("run", "--rm", *words, "b", "true", status=125)
        self.assertEqual(self.ids("-a"), [])
        return done.stderr.splitlines()[0]

    def test_environment(self):
        path = self.dir / "env"
        path.write_text("# no\nA=file\n  B=file \nFROM_CALLER\nUNSET\n")
        out = self.inside("--env-file", path, "-e", "A=flag", "-e", "CALLER",
                          command=("env",),
                          env={"FROM_CALLER": "x", "CALLER": "y"})
        lines = out.splitlines()
        for line in ("A=flag", "B=file ", "FROM_CALLER=x", "CALLER=y"):
            self.assertIn(line, lines)
        self.assertNotIn("UNSET", out)
        path.write_text("a b=1\n")
        self.assertIn('variable "a b" contains white space',
                      self.refused("--env-file", path))
        self.assertIn("no such file", self.refused("--env-file", "/nosuch"))

    def test_labels(self):
        path = self.dir / "labels"
        path.write_text("x=1\ny\n")
        self.imgbuild("create", "--name", "cc", "-l", "a=b", "--label-file",
                      path, "b")
        self.assertEqual(
            self.out("ps", "-a", "--format",
                     '{{.Label "a"}} {{.Label "x"}} {{.Label "y"}}.'),
            "b 1 .\n")

    def test_mounts(self):
        shared = self.dir / "shared"
        shared.mkdir()
        (shared / "f").write_text("hello\n")
        bind = f"type=bind,source={shared},target=/m"
        self.assertEqual(self.inside("--mount", bind, command=("cat", "/m/f")),
                         "hello\n")
        self.shell("echo x > /m/g", "--mount", bind)
        self.assertTrue((shared / "g").exists())
        self.shell("echo x > /m/h", "--mount", bind + ",readonly", status=1)
        self.assertEqual(
            self.shell("grep ' /t ' /proc/mounts; stat -c %a /t", "--tmpfs",
                       "/t:size=1m,mode=700").split()[1:3], ["/t", "tmpfs"])
        self.assertIn("size=1024k", self.shell(
            "grep ' /t ' /proc/mounts", "--mount",
            "type=tmpfs,target=/t,tmpfs-size=1m"))
        self.assertIn("no such file", self.refused("-v", "/nosuch:/x"))
        self.assertIn("Duplicate mount point: /a",
                      self.refused("-v", "/tmp:/a", "-v", "/etc:/a"))
        self.assertIn("named volumes are not supported",
                      self.refused("-v", "name:/a"))

    def test_read_only_root(self):
        self.shell("echo x > /f", "--read-only", status=1)
        self.shell("echo x > /t/f", "--read-only", "--tmpfs", "/t")

    def test_who_and_where(self):
        self.assertEqual(self.shell("id -u; id -g; pwd", "-u", "app", "-w",
                                    "/tmp"), "1000\n1000\n/tmp\n")
        self.assertIn(" 1234", self.shell("id", "--group-add", "1234")
                      .replace("=", " ").replace(",", " "))
        self.assertEqual(self.inside("-h", "box", command=("hostname",)),
                         "box\n")
        self.assertIn("unable to find user nobodyx",
                      self.refused("-u", "nobodyx"))
        self.assertIn("needs to be an absolute path", self.refused("-w", "rel"))

    def test_hosts_and_dns(self):
        self.assertIn("1.2.3.4\tname", self.inside(
            "--add-host", "name:1.2.3.4", command=("cat", "/etc/hosts")))
        self.assertEqual(
            self.inside("--dns", "9.9.9.9", "--dns-search", "a.b",
                        "--dns-option", "ndots:3",
                        command=("cat", "/etc/resolv.conf")),
            "nameserver 9.9.9.9\nsearch a.b\noptions ndots:3\n")
        self.assertIn("bad format for add-host", self.refused(
            "--add-host", "x"))
        self.assertIn("invalid IP address", self.refused(
            "--add-host", "x:y"))
        self.assertIn("is not an ip address", self.refused("--dns", "x"))
        self.assertIn("network nosuch not found", self.refused(
            "--network", "nosuch"))
        self.assertIn("conflicting options", self.refused(
            "--network", "none", "-p", "80"))

    def test_capabilities(self):
        def effective(*words):
            text = self.inside(*words, command=(
                "grep", "CapEff", "/proc/self/status"))
            return int(text.split()[1], 16)
        chown, net_admin = 1 << 0, 1 << 12
        self.assertTrue(effective() & chown)
        self.assertFalse(effective() & net_admin)
        self.assertFalse(effective("--cap-drop", "chown") & chown)
        self.assertTrue(effective("--cap-add", "NET_ADMIN") & net_admin)
        self.assertEqual(effective("--cap-drop", "ALL"), 0)
        self.assertEqual(effective("--cap-drop", "ALL", "--cap-add",
                                   "CAP_CHOWN"), chown)
        self.assertIn('unknown capability: "CAP_NOPE"',
                      self.refused("--cap-add", "NOPE"))

    def test_privileged(self):
        def status(*words):
            return self.shell(
                "grep -e CapEff -e Seccomp: /proc/self/status; "
                "busybox mkdir /m; busybox mount -t tmpfs none /m && echo may; "
                "test -e /dev/kmsg && echo kmsg; true", *words)
        plain, privileged = status(), status("--privileged")
        self.assertNotIn("may", plain)
        self.assertIn("Seccomp:\t2", plain)
        self.assertIn("may", privileged)
        self.assertIn("Seccomp:\t0", privileged)
        every = self.imgbuild("run", "--rm", "--cap-add", "ALL", "b", "grep",
                              "CapEff", "/proc/self/status").stdout.split()[1]
        self.assertIn(every, privileged)

    def test_platform(self):
        ours = self.imgbuild("inspect", "-f", "{{.Os}}/{{.Architecture}}",
                             "b").stdout.strip()
        self.inside("--platform", ours)
        other = "linux/s390x"
        for command in ("run", "create"):
            done = self.imgbuild(command, "--platform", other, self.base,
                                 "true", status=None)
            self.assertEqual(done.status, 125 if command == "run" else 1)
            self.assertIn(f"image with reference {self.base} was found but its "
                          f"platform ({ours}) does not match the specified "
                          f"platform ({other})", done.stderr)
            self.imgbuild(command, "--pull", "never", "--platform", other, "b",
                          status=done.status)
        self.assertIn("nonsense", self.refused("--platform", "nonsense"))
        self.assertEqual(self.ids("-a"), [])

    def test_an_image_of_another_platform(self):
        name = f"{self.registry.address}/other"
        with tempfile.TemporaryDirectory() as layout:
            harness.write_layout(layout, harness.busybox_tar(),
                                 architecture="s390x")
            self.registry.push(layout, "other")
        ours = self.imgbuild("inspect", "-f", "{{.Os}}/{{.Architecture}}",
                             "b").stdout.strip()
        pulled = self.imgbuild("pull", "--platform", ours, f"{name}:1")
        self.assertEqual(
            pulled.stderr,
            f"WARNING: image with reference {name}:1 was found but its "
            f"platform (linux/s390x) does not match the specified platform "
            f"({ours})\n")
        self.assertEqual(self.imgbuild("pull", f"{name}:1").stderr,
                         f"warning: {name}:1 is for linux/s390x, not for "
                         f"{ours}\n")
        warning = ("WARNING: The requested image's platform (linux/s390x) does "
                   f"not match the detected host platform ({ours}) and no "
                   "specific platform was requested\n")
        # Its programs are this machine's in truth.
        done = self.imgbuild("run", "--rm", f"{name}:1", "echo", "here")
        self.assertEqual((done.stdout, done.stderr), ("here\n", warning))
        done = self.imgbuild("create", "--name", "cc", f"{name}:1", "true")
        self.assertEqual(done.stderr, warning)
        self.imgbuild("rm", "cc")
        done = self.imgbuild("run", "--rm", "--platform", "linux/s390x",
                             f"{name}:1", "echo", "here")
        self.assertEqual((done.stdout, done.stderr), ("here\n", ""))
        self.assertEqual(self.ids("-a"), [])

    def test_publish_all(self):
        self.dockerfile('FROM BASE\nEXPOSE 80 53/udp\n'
                        'CMD ["sh", "-c", "while :; do echo hello | '
                        'busybox nc -l -p 80; done"]\n')
        self.build("-t", "exposing:1")
        self.imgbuild("run", "-d", "--name", "cc", "-P", "exposing:1")
        ports = dict(line.split(" -> ")
                     for line in self.out("port", "cc").splitlines())
        self.assertEqual(sorted(ports), ["53/udp", "80/tcp"])
        port = int(ports["80/tcp"].rsplit(":", 1)[1])

        def fetch():
            try:
                with socket.create_connection(("127.0.0.1", port), 2) as peer:
                    return peer.recv(100)
            except OSError:
                return b""
        self.assertEqual(containers_test.wait_until(fetch), b"hello\n")
        self.assertIn(f":{port}->80/tcp",
                      self.out("ps", "--format", "{{.Ports}}"))
        # Without -P nothing is published.
        self.imgbuild("run", "-d", "--name", "dd", "exposing:1")
        self.assertEqual(self.out("port", "dd"), "")

    def test_security_options(self):
        def field(name, *words):
            return self.inside(*words, command=(
                "grep", name, "/proc/self/status")).split()[1]
        self.assertEqual(field("NoNewPrivs"), "0")
        self.assertEqual(field("NoNewPrivs", "--security-opt",
                               "no-new-privileges"), "1")
        self.assertEqual(field("Seccomp:"), "2")
        self.assertEqual(field("Seccomp:", "--security-opt",
                               "seccomp=unconfined"), "0")
        self.assertIn("invalid --security-opt", self.refused(
            "--security-opt", "seccomp=/a/profile.json"))

    def test_limits(self):
        self.assertEqual(self.shell("ulimit -n", "--ulimit", "nofile=77"),
                         "77\n")
        self.assertIn("no such limit", self.refused("--ulimit", "nope=1"))
        # Whatever the shell starts beyond eight processes is refused.
        done = self.imgbuild(
            "run", "--rm", "--pids-limit", "8", "b", "sh", "-c",
            "for i in $(seq 20); do sleep 1 & done; wait", status=None)
        self.assertIn("fork", done.stderr)
        self.assertIn("size=1024k", self.shell(
            "grep ' /dev/shm ' /proc/mounts", "--shm-size", "1m"))
        self.assertEqual(self.refused("-m", "1"),
                         "error: Minimum memory limit allowed is 6MB")
        self.assertIn("invalid size: 'abc'", self.refused("-m", "abc"))
        self.assertIn("rational number", self.refused("--cpus", "x"))

    def test_memory_limit_kills(self):
        done = self.imgbuild(
            "run", "--name", "cc", "-m", "16m", "b", "sh", "-c",
            "a=x; while :; do a=$a$a; done", status=None)
        self.assertNotEqual(done.status, 0)

    def test_cpu_limit_is_set(self):
        self.imgbuild("run", "-d", "--name", "cc", "--cpus", "0.5", "b",
                      "sleep", "60")
        running = next((self.store / "containers").glob("*/running"))
        text = running.read_text()
        values = []
        for cgroup in re.findall(r'"(/sys/fs/cgroup[^"]*)"', text):
            for name in ("cpu.max", "cpu.cfs_quota_us"):
                path = os.path.join(cgroup, name)
                if os.path.exists(path):
                    with open(path, encoding="ascii") as file:
                        values.append(file.read().split()[0])
        self.assertIn("50000", values)

    def test_init_reaps(self):
        out = self.shell("cat /proc/1/cmdline", "--init")
        self.assertIn("init", out)

    def test_cidfile(self):
        path = self.dir / "cid"
        self.imgbuild("create", "--cidfile", path, "b")
        self.assertEqual(self.ids("-a", "--no-trunc"), [path.read_text()])
        again = self.imgbuild("create", "--cidfile", path, "b", status=1)
        self.assertIn("container ID file found", again.stderr)
        self.assertEqual(len(self.ids("-a")), 1)

    def test_pull_policies(self):
        never = self.imgbuild("run", "--rm", "--pull", "never", "nosuch:1",
                              "true", status=125)
        self.assertEqual(never.stderr, "error: No such image: nosuch:1\n")
        always = self.imgbuild("run", "--rm", "--pull", "always", self.base,
                               "true")
        self.assertIn("Status: Image is up to date", always.stderr)
        quiet = self.imgbuild("run", "--rm", "--pull", "always", "-q",
                              self.base, "true")
        self.assertEqual(quiet.stderr, "")

    def test_stop_signal(self):
        self.imgbuild("run", "-d", "--name", "cc", "--stop-signal", "USR1",
                      "b", "sh", "-c",
                      "trap 'exit 6' USR1; while :; do sleep 0.05; done")
        containers_test.wait_until(lambda: "Up" in self.status_of("cc"))
        import time
        time.sleep(0.3)
        self.imgbuild("stop", "cc")
        self.assertIn("Exited (6)", self.status_of("cc"))

    def test_unknown_flag_says_what_was_meant(self):
        done = self.imgbuild("run", "--memry", "1g", "b", status=125)
        self.assertEqual(done.stderr, "error: unknown flag: --memry\n"
                                      "   = hint: did you mean --memory?\n")

    def test_terminal_needs_one(self):
        self.assertIn("the input device is not a TTY", self.refused("-it"))


class Doctor(containers_test.ContainerCase):
    def test_lines_and_json(self):
        import json
        text = self.imgbuild("doctor", status=None).stdout
        for what in ("OCI runtime", "namespaces", "overlay", "monitor",
                     "network", "tun device", "fuse device", "user namespaces",
                     "subordinate ids", "cgroups", "store"):
            self.assertRegex(text, rf"(?m)^(ok|FAIL) +{what}: ")
        self.assertEqual(len(re.findall(r"(?m)^FAIL", text)),
                         len(re.findall(r"(?m)^      fix: ", text)))
        items = json.loads(
            self.imgbuild("doctor", "--format", "json", status=None).stdout)
        for item in items:
            self.assertEqual(set(item), {"Name", "OK", "Detail", "Fix"})
            self.assertEqual(item["OK"], item["Fix"] == "")

    def test_store_that_others_may_read(self):
        self.store.chmod(0o755)
        done = self.imgbuild("doctor", status=None)
        self.assertIn("store", done.stdout)


if __name__ == "__main__":
    unittest.main()
