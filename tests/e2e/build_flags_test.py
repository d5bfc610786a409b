"""Flags of `build` that no other file shows at work (see
tests/cli/build_flags_test.cc, which wants one for each)."""

import http.server
import socket
import tempfile
import threading
import unittest

import harness


def own_address():
    """An address of this machine that is not the loopback's; None without."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        address = probe.getsockname()[0]
    return None if address.startswith("127.") else address


class BuildFlags(harness.Case):
    def push(self, name, command):
        """NAME:1 is an image with this CMD; its digest."""
        with tempfile.TemporaryDirectory() as layout:
            harness.write_layout(layout, harness.busybox_tar(),
                                 {"Cmd": [command]})
            return self.registry.push(layout, name)

    def command(self, *words):
        self.build("--no-locked", "-t", "made:1", *words)
        return self.imgbuild("image", "inspect", "--format",
                             "{{json .Config.Cmd}}", "made:1").stdout.strip()

    def test_pull_asks_what_a_tag_stands_for_now(self):
        self.push("moving", "old")
        self.imgbuild("pull", f"{self.registry.address}/moving:1")
        self.dockerfile(f"FROM {self.registry.address}/moving:1\n")
        self.push("moving", "new")
        self.assertEqual(self.command(), '["old"]')
        self.assertEqual(self.command("--pull"), '["new"]')

    def test_lockfile_takes_another_lock(self):
        self.push("locked", "old")
        self.dockerfile(f"FROM {self.registry.address}/locked:1\n")
        self.imgbuild("lock")
        (self.context / "Dockerfile.lock").rename(self.context / "other.lock")
        self.push("locked", "new")
        self.build("-t", "made:1", "--lockfile", "other.lock", "--pull")
        self.assertEqual(
            self.imgbuild("image", "inspect", "--format",
                          "{{json .Config.Cmd}}", "made:1").stdout.strip(),
            '["old"]')

    def test_insecure_registry_is_asked_over_http(self):
        address = own_address()
        if address is None:
            self.skipTest("this machine has the loopback's address alone")
        asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_error(404)

            do_HEAD = do_GET

            def log_message(self, *words):
                pass

        with http.server.ThreadingHTTPServer((address, 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            host = f"{address}:{server.server_address[1]}"
            self.dockerfile(f"FROM {host}/x\n")
            self.build(status=4)
            self.assertEqual(asked, [])
            self.build("--insecure-registry", host, status=4)
            server.shutdown()
        self.assertTrue(any("/v2/x/manifests/latest" in path
                            for path in asked), asked)

    def test_runtime_is_the_one_named(self):
        self.dockerfile("FROM BASE\nRUN true\n")
        done = self.build("--runtime", "/nonexistent/runtime", status=None)
        self.assertNotEqual(done.status, 0)
        self.assertIn("/nonexistent/runtime", done.error)
        self.build("--runtime", harness.need("runc"))


if __name__ == "__main__":
    unittest.main()
