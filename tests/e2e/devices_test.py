"""RUN --device: devices of this host as CDI files describe them; and where the
steps of a build stand among the cgroups."""

import os
import pathlib
import re
import socket
import threading
import unittest

import harness

KIND = "vendor1.com/device"
SPEC = f"""\
cdiVersion: "0.6.0"
kind: "{KIND}"
containerEdits:
  env:
  - SHARED=yes
devices:
- name: foo
  annotations:
    org.mobyproject.buildkit.device.class: group
  containerEdits:
    env:
    - FOO=injected
    deviceNodes:
    - path: /dev/e2e-null
      hostPath: /dev/null
      fileMode: 0640
    mounts:
    - hostPath: GIVEN
      containerPath: /usr/share/given
      options: [ro, bind]
- name: bar
  annotations:
    org.mobyproject.buildkit.device.class: group
  containerEdits:
    env: [BAR=injected]
"""


class Devices(harness.Case):
    def setUp(self):
        super().setUp()
        self.specs = self.dir / "cdi"
        self.specs.mkdir()
        (self.dir / "given").write_text("from the host\n")
        self.describe("foo.yaml",
                      SPEC.replace("GIVEN", str(self.dir / "given")))

    def describe(self, name, text):
        (self.specs / name).write_text(text)

    def build(self, *words, **more):
        more.setdefault("env", {})["IMGBUILD_CDI_DIRS"] = str(self.specs)
        return super().build(*words, **more)

    def output(self, digest, *words):
        return self.imgbuild("run", "--rm", digest, *words).stdout

    def test_a_device_gives_what_its_file_says(self):
        self.dockerfile(
            "FROM BASE\n"
            f"RUN --device={KIND}=foo echo gone > /dev/e2e-null && "
            "stat -c '%F %t:%T %a' /dev/e2e-null > /out && "
            'echo "$FOO $SHARED $(cat /usr/share/given)" >> /out\n'
            "RUN ls /dev/e2e-null /usr/share/given >> /out 2>&1; "
            'echo "[$FOO]" >> /out\n')
        built = self.build("--allow", f"device={KIND}=foo")
        self.assertEqual(
            self.output(built.digest, "cat", "/out"),
            "character special file 1:3 640\n"
            "injected yes from the host\n"
            "ls: /dev/e2e-null: No such file or directory\n"
            "ls: /usr/share/given: No such file or directory\n"
            "[]\n")
        self.assertNotIn("usr", self.output(built.digest, "ls", "/").split())
        self.assert_no_litter()

    def test_the_key_has_what_is_given(self):
        self.dockerfile(f"FROM BASE\nRUN --device={KIND}=bar env > /e\n")
        words = ("--allow", "device")
        self.build(*words)
        self.assertEqual(harness.cached(self.build(*words)), 1)
        text = (self.specs / "foo.yaml").read_text()
        self.describe("foo.yaml", text.replace("BAR=injected", "BAR=new"))
        again = self.build(*words)
        self.assertEqual(harness.cached(again), 0, str(again))
        self.assertIn("BAR=new", self.output(again.digest, "cat", "/e"))

    def test_names(self):
        for name, words, expected in (
                (f"{KIND}=*", ["device"], "FOO BAR"),
                (f"{KIND}", ["device"], "BAR"),  # the first by name
                (f"{KIND}=group", ["device"], "FOO BAR"),
                (f"{KIND}=*", [f"device={KIND}=*"], "FOO BAR"),
                (f"name={KIND}=bar", [f"device={KIND}=bar"], "BAR"),
                ("gpu", [f"device={KIND}=foo,alias=gpu"], "FOO")):
            with self.subTest(name=name):
                self.dockerfile(
                    f"FROM BASE\nRUN --device={name},required "
                    'echo ${FOO:+FOO} ${BAR:+BAR} > /o\n')
                allow = [word for value in words
                         for word in ("--allow", value)]
                built = self.build(*allow)
                self.assertEqual(self.output(built.digest, "cat", "/o").split(),
                                 expected.split())

    def test_auto_allowed(self):
        self.describe("auto.json", (
            '{"cdiVersion": "0.6.0", "kind": "auto.com/d", "devices": '
            '[{"name": "x", "annotations": '
            '{"org.mobyproject.buildkit.device.autoallow": "true"}, '
            '"containerEdits": {"env": ["X=auto"]}}]}'))
        self.dockerfile("FROM BASE\nRUN --device=auto.com/d=x test $X = auto\n")
        self.build()

    def test_hooks_run(self):
        self.describe("hook.yaml", (
            'cdiVersion: "0.6.0"\nkind: hook.com/d\ndevices:\n- name: x\n'
            "  containerEdits:\n    hooks:\n    - hookName: createRuntime\n"
            "      path: /bin/sh\n      args: [sh, -c, "
            f'"echo called > {self.dir}/called"]\n'))
        self.dockerfile("FROM BASE\nRUN --device=hook.com/d=x true\n")
        self.build("--allow", "device=hook.com/d")
        self.assertEqual((self.dir / "called").read_text(), "called\n")

    def test_not_granted(self):
        line = f"RUN --device={KIND}=foo true"
        self.dockerfile(f"FROM BASE\n{line}\n")
        for words in ([], ["--allow", f"device={KIND}=bar"],
                      ["--allow", "network.host"]):
            self.assert_error(self.build(*words, status=3), (
                f"error: device {KIND}=foo is not granted\n"
                " --> Dockerfile:2:14\n"
                "  |\n"
                f"2 | {line}\n"
                f"  |              {'^' * 22}\n"
                "  = hint: if you trust this Dockerfile, build it with --allow "
                f"device={KIND}=foo (--allow device: any of them)\n"))
        # Nothing is run by a check.
        self.imgbuild("check", "--offline", status=None)
        self.assertEqual(self.imgbuild("build", "--call=outline", ".").status, 0)

    def test_unknown_devices(self):
        line = f"RUN --device={KIND}=fop,required true"
        self.dockerfile(f"FROM BASE\n{line}\n")
        self.assert_error(self.build("--allow", "device", status=3), (
            f'error: required device "{KIND}=fop" is not registered\n'
            " --> Dockerfile:2:14\n"
            "  |\n"
            f"2 | {line}\n"
            f"  |              {'^' * 31}\n"
            f"  = hint: did you mean {KIND}=foo?\n"))
        # Without "required" it is left out, and said so.
        self.dockerfile(
            f"FROM BASE\nRUN --device={KIND}=fop sh -c 'test -z $FOO'\n")
        done = self.build("--allow", "device")
        self.assertIn(f'device "{KIND}=fop" is not registered and is left out',
                      done.stderr)
        self.dockerfile("FROM BASE\nRUN --device=other.com/x=y,required true\n")
        self.assertIn(f"the devices of this host are {KIND}=bar, {KIND}=foo",
                      self.build(status=3).error)

    def test_files_that_are_wrong_are_told(self):
        self.describe("bad.yaml", "cdiVersion: 0.6.0\nkind: &x v/c\n")
        self.dockerfile("FROM BASE\nRUN --device=v/c=x,required true\n")
        done = self.build("--allow", "device", status=3)
        self.assertIn(f"warning: {self.specs}/bad.yaml: line 2: a value that "
                      'begins with "&" is not supported\n', done.stderr)
        # No other build reads them.
        self.dockerfile("FROM BASE\nRUN true\n")
        self.assertNotIn("bad.yaml", self.build().stderr)

    def test_wrong_words(self):
        for value, text in (
                ("foo", 'invalid device "foo"'),
                (f"{KIND}=foo,requird", "did you mean required?"),
                (f"{KIND}=foo,required=maybe", "invalid value for required"),
                ("required", "no device is named"),
                (f"name={KIND}=a,name={KIND}=b", "the name is already set")):
            self.dockerfile(f"FROM BASE\nRUN --device={value} true\n")
            self.assertIn(text, self.build("--allow", "device", status=3).error)
        self.dockerfile("FROM BASE\n")
        for value, text in (
                ("device=", "no device"), ("devices", "unknown entitlement"),
                ("device=a/b=c,as=x", 'unknown "as=x"')):
            self.assertIn(text, self.build("--allow", value, status=2).error)


def own_cgroup(controller):
    """The directory of this process in a hierarchy of version 1, the mount
    point of the hierarchy, or (None, None)."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            for mount in pathlib.Path("/proc/self/mountinfo").read_text() \
                    .splitlines():
                left, right = mount.split(" - ")
                if right.startswith("cgroup ") and \
                        controller in right.split()[-1].split(","):
                    return (pathlib.Path(left.split()[4] + path),
                            pathlib.Path(left.split()[4]))
    return None, None


class Places(harness.Case):
    def test_one_cpu(self):
        self.dockerfile("FROM BASE\nRUN busybox nproc > /n\n")
        built = self.build("--cpuset-cpus", "0", "--cpu-shares", "512")
        self.assertEqual(self.imgbuild("run", "--rm", built.digest, "cat",
                                       "/n").stdout, "1\n")
        self.assertIn("limit cpuset-cpus",
                      self.build("--no-cache", "--cpuset-cpus", "4095",
                                 status=5).error)

    def test_parent(self):
        _, top = own_cgroup("memory")
        if top is None:
            self.skipTest("the memory controller is not of version 1 here")
        name = f"imgbuild-e2e-{os.getpid()}"
        parent = top / name / "inner"
        seen = []
        stop = threading.Event()

        def watch():
            while not stop.wait(0.02):
                for procs in parent.glob("*/cgroup.procs"):
                    try:
                        seen.extend(procs.read_text().split())
                    except OSError:
                        pass
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            self.dockerfile("FROM BASE\nRUN sleep 0.5\n")
            self.build("--cgroup-parent", f"/{name}/inner")
        finally:
            stop.set()
            watcher.join()
        self.assertTrue(seen)
        self.assertFalse((top / name).exists())
        # It is part of the step.
        again = self.build("--cgroup-parent", f"{name}/inner/")
        self.assertEqual(harness.cached(again), 1)
        self.assertEqual(harness.cached(self.build()), 0)

    def test_wrong_parents(self):
        self.dockerfile("FROM BASE\nRUN true\n")
        for value in ("/", "a/../b"):
            self.assertIn("invalid --cgroup-parent",
                          self.build("--cgroup-parent", value, status=2).error)

    def test_the_host_by_its_gateway(self):
        routes = pathlib.Path("/proc/net/route").read_text()
        if not re.search(r"\t00000000\t(?!00000000)[0-9A-F]{8}\t", routes):
            self.skipTest("this host has no IPv4 gateway")
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        port = server.getsockname()[1]

        def answer():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"hello from the host\n")
        threading.Thread(target=answer, daemon=True).start()
        # An input that stays open: pasta may lose the end of a connection
        # that the inside has half closed already.
        command = ("busybox mkfifo /in; exec 3<>/in; "
                   f"busybox nc -w 5 host {port} <&3")
        self.dockerfile(
            f"FROM BASE\nRUN {command} > /n\n"
            "RUN --network=none grep -c host$ /etc/hosts >> /n; true\n")
        built = self.build("--add-host", "host:host-gateway")
        self.assertEqual(self.imgbuild("run", "--rm", built.digest, "cat",
                                       "/n").stdout,
                         "hello from the host\n0\n")


if __name__ == "__main__":
    unittest.main()
