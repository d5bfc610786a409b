"""Containers that are made, started, watched, entered, stopped and removed."""

import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

import harness

ID = re.compile(r"^[0-9a-f]{64}\n$")


def wait_until(what, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = what()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("it did not come true in time")


class ContainerCase(harness.Case):
    """Whatever a test leaves running is removed, and nothing is left then."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.assert_nothing_left)
        self.imgbuild("pull", "-q", self.base)
        self.imgbuild("tag", self.base, "b")

    def run_raw(self, *words, **more):
        """A command of which only the words are known."""
        return subprocess.Popen(
            [harness.IMGBUILD, *map(str, words)],
            env={"PATH": os.environ["PATH"], "HOME": str(self.dir / "home"),
                 "IMGBUILD_ROOT": str(self.store), "LC_ALL": "C.UTF-8"},
            stdin=more.pop("stdin", subprocess.DEVNULL),
            stdout=more.pop("stdout", subprocess.PIPE),
            stderr=more.pop("stderr", subprocess.PIPE), **more)

    def out(self, *words, **more):
        return self.imgbuild(*words, **more).stdout

    def ids(self, *words):
        return self.out("ps", "-q", *words).split()

    def status_of(self, name):
        return self.out("ps", "-a", "--filter", f"name=^/{name}$", "--format",
                        "{{.Status}}").strip()

    def own_processes(self):
        """Processes that this test's store has to do with."""
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = path.read_bytes().replace(b"\0", b" ").decode(
                    errors="replace")
            except OSError:
                continue
            if str(self.store) in words:
                found.append(words)
        return found

    def assert_nothing_left(self):
        ids = self.ids("-a")
        if ids:
            self.imgbuild("rm", "-f", *ids)
        wait_until(lambda: not self.own_processes())
        self.assert_no_litter()
        left = [p.name for p in (self.store / "containers").iterdir()
                if p.name not in ("stub", "run")
                and not p.name.startswith("scratch-")]
        self.assertEqual(left, [])

    # --- made, listed, removed ----------------------------------------------


class Records(ContainerCase):
    def test_create_list_start_again_remove(self):
        made = self.out("create", "--name", "c1", "b", "sh", "-c",
                        "echo $((1 + 1)) and more")
        self.assertRegex(made, ID)
        self.assertEqual(self.ids(), [])
        self.assertEqual(self.ids("-a"), [made[:12]])
        lines = self.out("ps", "-a").splitlines()
        self.assertEqual(
            re.split(r" {3,}", lines[0]),
            ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS",
             "NAMES"])
        self.assertRegex(lines[1], r"^[0-9a-f]{12}   b +\"sh -c 'echo \$\(\(1"
                                   r".*…\"   .* ago   Created +c1$")
        self.assertEqual(self.out("rm", "c1"), "c1\n")
        self.assertEqual(self.ids("-a"), [])

    def test_what_a_run_leaves_is_there_at_the_next_start(self):
        self.imgbuild("run", "--name", "c1", "b", "sh", "-c",
                      "echo x >> /f; wc -l < /f")
        self.assertIn("Exited (0)", self.status_of("c1"))
        self.assertEqual(self.out("start", "-a", "c1"), "2\n")
        self.assertEqual(self.out("start", "-a", "c1"), "3\n")
        self.assertEqual(self.out("logs", "c1"), "1\n2\n3\n")
        self.assertEqual(self.out("logs", "--tail", "1", "c1"), "3\n")

    def test_rm_flag_removes_also_after_failures(self):
        self.imgbuild("run", "--rm", "b", "false", status=1)
        self.imgbuild("run", "--rm", "b", "nosuch", status=127)
        self.imgbuild("run", "--rm", "-u", "nobody", "b", "true", status=125)
        self.imgbuild("run", "-d", "--rm", "b", "nosuch", status=127)
        wait_until(lambda: not self.ids("-a"))

    def test_exit_codes_are_recorded(self):
        self.imgbuild("run", "--name", "xx", "b", "sh", "-c", "exit 7",
                      status=7)
        self.assertIn("Exited (7)", self.status_of("xx"))
        self.imgbuild("run", "--name", "nn", "b", "nosuch", status=127)
        self.assertEqual(self.status_of("nn"), "Created")

    def test_names(self):
        self.imgbuild("create", "--name", "one", "b")
        made = self.out("create", "b").strip()
        name = self.out("ps", "-l", "--format", "{{.Names}}").strip()
        self.assertRegex(name, r"^[a-z]+_[a-z]+$")
        taken = self.imgbuild("create", "--name", "one", "b", status=1)
        self.assertIn('Conflict. The container name "/one" is already in use '
                      "by container", taken.stderr)
        self.imgbuild("rename", "one", "two")
        self.imgbuild("rename", made[:8], "three")
        self.assertEqual(
            self.imgbuild("rename", "two", "two", status=1).stderr,
            "error: Renaming a container with the same name as its current "
            "name\n")
        bad = self.imgbuild("rename", "two", "bad name", status=1)
        self.assertEqual(
            bad.stderr, "error: Invalid container name (bad name), only "
                        "[a-zA-Z0-9][a-zA-Z0-9_.-] are allowed\n")
        self.assertEqual(self.imgbuild("rm", "two", "nosuch", "three",
                                       status=1).stdout, "two\nthree\n")

    def test_unknown_names_have_dockers_words_and_status_1(self):
        for words in (["start"], ["stop"], ["rm"], ["wait"], ["logs"],
                      ["attach"], ["top"], ["port"], ["pause"], ["unpause"],
                      ["restart"], ["stats", "--no-stream"]):
            done = self.imgbuild(*words, "nosuch", status=1)
            self.assertEqual(done.stderr,
                             "error: No such container: nosuch\n", words)
        self.assertEqual(
            self.imgbuild("kill", "nosuch", status=1).stderr,
            "error: cannot kill container: nosuch: No such container: "
            "nosuch\n")
        self.imgbuild("exec", "nosuch", "true", status=1)
        self.imgbuild("rename", "nosuch", "xx", status=1)
        self.imgbuild("rm", "-f", "nosuch")

    def test_ambiguous_prefix_lists_the_candidates(self):
        ids = []
        while len(ids) < 40:
            ids.append(self.out("create", "b").strip())
            start = ids[-1][0]
            same = [i for i in ids if i.startswith(start)]
            if len(same) == 2:
                break
        done = self.imgbuild("rm", start, status=1)
        self.assertTrue(done.stderr.startswith(
            f"error: Multiple IDs found with provided prefix: {start}\n"),
            done.stderr)
        for full in same:
            self.assertIn(full[:12], done.stderr)
        self.assertEqual(len(self.ids("-a")), len(ids))

    def test_record_keeps_id_and_reference_when_the_tag_moves(self):
        self.imgbuild("create", "--name", "old", "b")
        self.dockerfile("FROM BASE\nRUN echo 2 > /v\n")
        self.build("-t", "b")
        listed = self.out("ps", "-a", "--format", "{{.Image}}").strip()
        self.assertRegex(listed, r"^[0-9a-f]{12}$")
        self.imgbuild("start", "-a", "old")

    def test_digest_in_ps(self):
        self.imgbuild("create", "--name", "dd", self.base, "cat", "/v")
        name = self.base.split("@")[0]
        self.assertEqual(self.out("ps", "-a", "--format", "{{.Image}}"),
                         name + "\n")
        self.assertEqual(
            self.out("ps", "-a", "--no-trunc", "--format",
                     "{{.Image}} {{.Command}} {{.Status}}"),
            f'{self.base} "cat /v" Created\n')
        for ancestor, count in ((self.base, 1), ("b", 1), ("nosuch", 0)):
            self.assertEqual(
                len(self.ids("-a", "--filter", f"ancestor={ancestor}")), count,
                ancestor)

    def test_filters_and_formats(self):
        self.imgbuild("create", "--name", "a1", "-l", "k=v", "b")
        self.imgbuild("run", "--name", "a2", "-l", "k=w", "b", "sh", "-c",
                      "exit 3", status=3)
        self.imgbuild("run", "-d", "--name", "a3", "-v", "/tmp:/host", "b",
                      "sleep", "60")

        def names(*filters):
            words = []
            for one in filters:
                words += ["--filter", one]
            return self.out("ps", "-a", "--format", "{{.Names}}",
                            *words).split()
        self.assertEqual(names(), ["a3", "a2", "a1"])
        self.assertEqual(names("name=a1"), ["a1"])
        self.assertEqual(names("name=a1", "name=a2"), ["a2", "a1"])
        self.assertEqual(names("label=k"), ["a2", "a1"])
        self.assertEqual(names("label=k=w"), ["a2"])
        self.assertEqual(names("status=running"), ["a3"])
        self.assertEqual(names("status=created", "label=k=v"), ["a1"])
        self.assertEqual(names("exited=3"), ["a2"])
        self.assertEqual(names("before=a2"), ["a1"])
        self.assertEqual(names("since=a2"), ["a3"])
        self.assertEqual(names("volume=/host"), ["a3"])
        self.assertEqual(names("network=bridge"), ["a3", "a2", "a1"])
        self.assertEqual(names("health=none", "name=a3"), ["a3"])
        self.assertEqual(self.ids("-n", "2"), self.ids("-a")[:2])
        self.assertEqual(self.ids("-l"), self.ids("-a")[:1])
        row = self.out("ps", "--format", "json")
        self.assertIn('"Command":"\\"sleep 60\\""', row)
        self.assertIn('"State":"running"', row)
        self.assertIn('"Names":"a3"', row)
        self.assertEqual(
            self.imgbuild("ps", "--filter", "bad=1", status=1).stderr,
            "error: invalid filter 'bad'\n")
        self.assertIn("SIZE", self.out("ps", "-as"))


class Detached(ContainerCase):
    def start(self, *words, name="cc"):
        made = self.out("run", "-d", "--name", name, *words)
        self.assertRegex(made, ID)
        return made.strip()

    def test_run_logs_stop(self):
        full = self.start("b", "sh", "-c",
                          "trap 'echo bye; exit 5' TERM; echo one; "
                          "echo two >&2; while :; do sleep 0.05; done")
        self.assertEqual(self.ids(), [full[:12]])
        wait_until(lambda: "one" in self.out("logs", "cc"))
        done = self.imgbuild("logs", "cc")
        self.assertEqual((done.stdout, done.stderr), ("one\n", "two\n"))
        self.assertRegex(self.out("logs", "-t", "cc"),
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z one\n$")
        follow = self.run_raw("logs", "-f", "cc")
        self.assertEqual(self.out("stop", "cc"), "cc\n")
        self.assertEqual(follow.communicate(timeout=20)[0], b"one\nbye\n")
        self.assertIn("Exited (5)", self.status_of("cc"))
        self.assertEqual(self.out("wait", "cc"), "5\n")
        self.assertEqual(self.out("stop", "cc"), "cc\n")

    def test_stop_kills_what_does_not_listen(self):
        self.start("b", "sleep", "1000")
        begin = time.monotonic()
        self.imgbuild("stop", "-t", "1", "cc")
        self.assertGreater(time.monotonic() - begin, 0.9)
        self.assertIn("Exited (137)", self.status_of("cc"))

    def test_who_reads_the_logs_may_go(self):
        self.imgbuild("run", "--name", "cc", "b", "sh", "-c", "seq 20000")
        logs = self.run_raw("logs", "-f", "cc")
        self.assertEqual(logs.stdout.readline(), b"1\n")
        logs.stdout.close()
        with logs.stderr:
            self.assertEqual(logs.stderr.read(), b"")
        self.assertEqual(logs.wait(harness.SECONDS), -signal.SIGPIPE)

    def test_stop_flags_are_told_of_each_container(self):
        self.imgbuild("create", "--name", "cc", "b", "true")
        done = self.imgbuild("stop", "-s", "BAD", "cc", "nosuch", status=1)
        self.assertEqual(done.stderr, "error: invalid signal: BAD\n"
                         "error: No such container: nosuch\n")

    def test_kill_and_wait(self):
        self.start("b", "sh", "-c",
                   "trap 'exit 9' USR1; while :; do sleep 0.05; done")
        waiting = self.run_raw("wait", "cc")
        self.imgbuild("kill", "-s", "CONT", "cc")
        self.assertEqual(
            self.imgbuild("kill", "-s", "BAD", "cc", status=1).stderr,
            "error: cannot kill container: cc: invalid signal: BAD\n")
        time.sleep(0.3)
        self.imgbuild("kill", "-s", "USR1", "cc")
        self.assertEqual(waiting.communicate(timeout=20)[0], b"9\n")
        gone = self.imgbuild("kill", "cc", status=1)
        self.assertRegex(gone.stderr, r"^error: cannot kill container: cc: "
                                      r"container [0-9a-f]{64} is not running")

    def test_wait_for_one_that_removes_itself(self):
        self.out("run", "-d", "--rm", "--name", "cc", "b", "sh", "-c",
                 "sleep 0.7; exit 4")
        self.assertEqual(self.out("wait", "cc"), "4\n")
        wait_until(lambda: not self.ids("-a"))

    def test_running_ones_are_not_removed_unless_forced(self):
        self.start("b", "sleep", "1000")
        self.assertEqual(
            self.imgbuild("rm", "cc", status=1).stderr,
            'error: cannot remove container "cc": container is running: stop '
            "the container before removing or force remove\n")
        self.assertEqual(self.out("rm", "-f", "cc"), "cc\n")

    def test_exec(self):
        self.start("-e", "A=1", "-w", "/tmp", "b", "sleep", "1000")
        self.assertEqual(
            self.out("exec", "-e", "B=2", "cc", "sh", "-c",
                     "echo $A $B; pwd; id -u"), "1 2\n/tmp\n0\n")
        self.assertEqual(
            self.out("exec", "-u", "app", "-w", "/", "cc", "sh", "-c",
                     "id -u; pwd"), "1000\n/\n")
        self.imgbuild("exec", "cc", "sh", "-c", "exit 5", status=5)
        self.assertEqual(
            self.imgbuild("exec", "-i", "cc", "cat", stdin=b"in\n").stdout,
            "in\n")
        missing = self.imgbuild("exec", "cc", "nosuch", status=127)
        self.assertIn('"nosuch": executable file not found in $PATH',
                      missing.stderr)
        self.imgbuild("exec", "-d", "cc", "sh", "-c", "echo x > /flag; sleep 9")
        wait_until(lambda: "x" in self.imgbuild(
            "exec", "cc", "sh", "-c", "cat /flag; true").stdout)
        # It is in the same namespaces: it sees the first process.
        self.assertIn("sleep", self.out("exec", "cc", "cat", "/proc/1/cmdline"))
        # And has no more rights than it.
        self.assertEqual(
            self.out("exec", "cc", "grep", "CapEff", "/proc/self/status"),
            self.out("exec", "cc", "grep", "CapEff", "/proc/1/status"))
        self.imgbuild("stop", "-t", "0", "cc")
        stopped = self.imgbuild("exec", "cc", "true", status=1)
        self.assertRegex(stopped.stderr,
                         r"container [0-9a-f]{64} is not running")

    def test_attach_and_its_input(self):
        self.start("-i", "b", "sh", "-c", "read x; echo got $x; exit 3")
        attached = self.run_raw("attach", "cc", stdin=subprocess.PIPE)
        out, _ = attached.communicate(b"hello\n", timeout=20)
        self.assertEqual((out, attached.returncode), (b"got hello\n", 3))
        self.assertEqual(
            self.imgbuild("attach", "cc", status=1).stderr,
            "error: You cannot attach to a stopped container, start it "
            "first\n")

    def test_terminal(self):
        ours, theirs = pty.openpty()
        os.set_blocking(ours, False)
        process = self.run_raw("run", "-it", "--name", "cc", "b", "sh",
                               stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        seen = b""

        def read():
            nonlocal seen
            try:
                seen += os.read(ours, 65536)
            except (BlockingIOError, OSError):
                pass
            return seen
        import fcntl
        import struct
        import termios
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
        os.kill(process.pid, signal.SIGWINCH)
        wait_until(lambda: b"#" in read())
        time.sleep(0.5)
        os.write(ours, b"test -t 0 && echo is'a'tty; stty size 2>&1\n")
        wait_until(lambda: b"isatty" in read())
        # The user leaves; the container stays; the user comes back.
        os.write(ours, b"\x10\x11")
        self.assertEqual(process.wait(timeout=20), 0)
        self.assertIn("Up", self.status_of("cc"))
        ours2, theirs2 = pty.openpty()
        back = self.run_raw("attach", "cc", stdin=theirs2, stdout=theirs2,
                            stderr=theirs2)
        os.close(theirs2)
        os.write(ours2, b"exit 6\n")
        self.assertEqual(back.wait(timeout=20), 6)
        os.close(ours)
        os.close(ours2)

    def test_top_stats_pause(self):
        self.start("b", "sleep", "1000")
        lines = self.out("top", "cc").splitlines()
        self.assertRegex(lines[0], r"^UID +PID +PPID +C +STIME +TTY +TIME +CMD$")
        self.assertEqual(len(lines), 2)
        self.assertTrue(lines[1].endswith("sleep 1000"), lines)
        self.assertEqual(self.out("top", "cc", "-o", "pid,cmd").splitlines()[0],
                         "PID                 CMD")
        row = self.out("stats", "--no-stream", "--format",
                       "{{.Name}} {{.PIDs}} {{.CPUPerc}}")
        self.assertRegex(row, r"^cc 1 \d+\.\d\d%\n$")
        self.imgbuild("pause", "cc")
        self.assertIn("(Paused)", self.status_of("cc"))
        self.imgbuild("exec", "cc", "true", status=1)
        self.imgbuild("unpause", "cc")
        self.assertNotIn("(Paused)", self.status_of("cc"))
        self.imgbuild("pause", "cc")
        self.imgbuild("stop", "-t", "0", "cc")

    def test_health(self):
        self.start("--health-cmd", "test -e /ok", "--health-interval", "200ms",
                   "--health-retries", "2", "b", "sleep", "1000")
        wait_until(lambda: "(unhealthy)" in self.status_of("cc"))
        self.imgbuild("exec", "cc", "touch", "/ok")
        wait_until(lambda: "(healthy)" in self.status_of("cc"))
        self.assertEqual(len(self.ids("--filter", "health=healthy")), 1)

    def test_those_that_end_at_once(self):
        names = [f"quick{number}" for number in range(12)]
        for name in names:
            self.imgbuild("run", "-d", "--name", name, "b", "sh", "-c",
                          "exit 3")
        self.assertEqual(self.out("wait", *names), "3\n" * len(names))

    def test_restart_policy(self):
        self.start("--restart", "on-failure:2", "b", "sh", "-c",
                   "echo x >> /n; exit 1")
        wait_until(lambda: "Exited (1)" in self.status_of("cc"))
        self.assertEqual(self.out("logs", "cc"), "")
        self.imgbuild("run", "--rm", "b", "true")
        count = (self.store / "containers").glob("*/fs/n")
        self.assertEqual([p.read_text() for p in count], ["x\nx\nx\n"])
        self.start("--restart", "always", "b", "false", name="again")
        wait_until(lambda: "Restarting" in self.status_of("again"))
        self.imgbuild("stop", "again")
        self.assertIn("Exited", self.status_of("again"))
        self.assertEqual(
            self.imgbuild("create", "--restart", "always", "--rm", "b",
                          status=125).stderr,
            "error: conflicting options: cannot specify both --restart and "
            "--rm\n")

    def test_the_store_is_swept_while_it_runs(self):
        self.dockerfile("FROM BASE\nRUN echo gone > /gone\n")
        self.build("-t", "other:1")
        self.start("b", "sleep", "1000")
        before = len(list((self.store / "layers").iterdir()))
        self.imgbuild("rmi", "other:1")
        self.imgbuild("prune", "builder", "-a", "-f", status=None)
        self.assertEqual(self.out("exec", "cc", "echo", "x"), "x\n")
        self.assertLessEqual(len(list((self.store / "layers").iterdir())),
                             before)

    def test_restart_command(self):
        self.start("b", "sh", "-c", "echo up; sleep 1000")
        wait_until(lambda: self.out("logs", "cc") == "up\n")
        self.imgbuild("restart", "-t", "0", "cc")
        wait_until(lambda: self.out("logs", "cc") == "up\nup\n")

    def test_published_port(self):
        port = free_port()
        self.start("-p", f"127.0.0.1:{port}:80", "b", "sh", "-c",
                   "while :; do echo hello | nc -l -p 80; done")
        if "nc" not in harness_applets():
            self.skipTest("the base image has no nc")
        self.assertEqual(self.out("port", "cc"),
                         f"80/tcp -> 127.0.0.1:{port}\n")
        self.assertIn(f"127.0.0.1:{port}->80/tcp",
                      self.out("ps", "--format", "{{.Ports}}"))

        def fetch():
            try:
                with socket.create_connection(("127.0.0.1", port), 2) as peer:
                    return peer.recv(100)
            except OSError:
                return b""
        self.assertEqual(wait_until(fetch), b"hello\n")
        taken = self.imgbuild("run", "-d", "--name", "second", "-p",
                              f"127.0.0.1:{port}:80", "b", "sleep", "9",
                              status=125)
        self.assertIn("pasta", taken.stderr)

    def test_network_of_another(self):
        self.start("b", "sleep", "1000")
        mine = self.out("run", "--rm", "--network", "container:cc", "b", "sh",
                        "-c", "ls -l /proc/self/ns/net")
        theirs = self.out("exec", "cc", "sh", "-c", "ls -l /proc/self/ns/net")
        self.assertEqual(mine.split("->")[1], theirs.split("->")[1])


def harness_applets():
    return subprocess.run(["busybox", "--list"], capture_output=True,
                          check=True).stdout.decode().split()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Killed(ContainerCase):
    """kill -9 of imgbuild at any instant: ps, start and rm work."""

    def test_monitor_killed(self):
        self.out("run", "-d", "--name", "cc", "b", "sleep", "1000")
        monitors = [
            int(path.parent.name)
            for path in pathlib.Path("/proc").glob("[0-9]*/cmdline")
            if b"container-monitor" in read_bytes(path)
            and str(self.store).encode() in read_bytes(path)]
        self.assertEqual(len(monitors), 1)
        os.kill(monitors[0], signal.SIGKILL)
        wait_until(lambda: "Exited (137)" in self.status_of("cc"))
        wait_until(lambda: not self.own_processes())
        self.imgbuild("start", "cc")
        self.assertIn("Up", self.status_of("cc"))
        self.imgbuild("rm", "-f", "cc")

    def test_killed_at_any_instant(self):
        for step in range(24):
            words = (["run", "--name", f"k{step}", "b", "sleep", "0.02"],
                     ["run", "-d", "--name", f"k{step}", "b", "sleep", "0.02"],
                     ["run", "--rm", "--name", f"k{step}", "b", "true"])[step % 3]
            process = self.run_raw(*words)
            time.sleep(0.004 * step)
            process.kill()
            process.communicate()
            self.imgbuild("ps", "-a")
        for name in self.out("ps", "-a", "--format", "{{.Names}}").split():
            self.imgbuild("rm", "-f", name)
        wait_until(lambda: not self.own_processes())
        # A directory without a record, of a start that was killed, is swept
        # by the next removal when it is old; here all of that is young.
        for path in (self.store / "containers").iterdir():
            if len(path.name) == 64:
                subprocess.run(["rm", "-rf", str(path)], check=True)
        for path in (self.store / "tmp").iterdir():
            subprocess.run(["rm", "-rf", str(path)], check=True)

    def test_removal_killed(self):
        for step in range(10):
            self.imgbuild("create", "--name", f"r{step}", "b")
            process = self.run_raw("rm", f"r{step}")
            time.sleep(0.002 * step)
            process.kill()
            process.communicate()
            self.imgbuild("ps", "-a")
        for path in (self.store / "containers").iterdir():
            if len(path.name) == 64 and not self.ids(
                    "-a", "--filter", f"id={path.name}"):
                subprocess.run(["rm", "-rf", str(path)], check=True)

    def test_interrupt_reaches_the_container(self):
        process = self.run_raw("run", "--name", "cc", "b", "sh", "-c",
                               "trap 'echo int; exit 8' INT; echo up; "
                               "while :; do sleep 0.05; done")
        self.assertEqual(process.stdout.readline(), b"up\n")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.communicate(timeout=20)[0], b"int\n")
        self.assertEqual(process.returncode, 8)


class Soak(ContainerCase):
    """IMGBUILD_SOAK_SECONDS (default 5) of making, running, killing, removing
    leave no mount, cgroup, namespace or process behind."""

    @staticmethod
    def world():
        mounts = pathlib.Path("/proc/self/mountinfo").read_text()
        # Not glob(): it fails where a directory goes away under it.
        cgroups = {os.path.join(path, name)
                   for path, names, _ in os.walk("/sys/fs/cgroup")
                   for name in names if name.startswith("imgbuild-")}
        spaces = set()
        for path in pathlib.Path("/proc").glob("[0-9]*/ns/net"):
            try:
                spaces.add(os.readlink(path))
            except OSError:
                pass
        return len(mounts.splitlines()), cgroups, spaces

    def test_nothing_piles_up(self):
        seconds = float(os.environ.get("IMGBUILD_SOAK_SECONDS", "5"))
        before = self.world()
        own = set()
        end = time.monotonic() + seconds
        step = 0
        while time.monotonic() < end:
            name = f"s{step}"
            kind = step % 4
            if kind == 0:
                self.imgbuild("create", "--name", name, "b", "true")
            elif kind == 1:
                self.imgbuild("run", "--name", name, "b", "true")
            else:
                self.imgbuild("run", "-d", "--name", name, "b", "sleep", "60")
                own |= self.world()[1]
            if kind == 2:
                self.imgbuild("kill", name)
            self.imgbuild("rm", "-f", name)
            step += 1
        self.assertGreater(step, 3)
        wait_until(lambda: not self.own_processes())
        # Others may work on this machine: what is theirs was or will be gone.
        wait_until(lambda: not (self.world()[1] & own) - before[1])
        mounts, _, spaces = self.world()
        self.assertLessEqual(mounts, before[0] + 2)
        self.assertLessEqual(len(spaces - before[2]), 8)


def read_bytes(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


if __name__ == "__main__":
    unittest.main()
