"""Downloads that break, and several at once: what one run has fetched serves
the next, and one blob is fetched once however many want it."""

import http.client
import http.server
import json
import os
import subprocess
import threading
import time
import unittest

import harness


class Proxy(http.server.ThreadingHTTPServer):
    """In front of a registry: writes down what is asked, and may hold back or
    cut blobs."""

    daemon_threads = True

    def __init__(self, upstream):
        super().__init__(("127.0.0.1", 0), Forwarder)
        self.upstream = upstream
        self.address = "127.0.0.1:%d" % self.server_port
        self.blobs = []     # (path, Range) of each GET
        self.manifests = 0  # HEAD
        self.lock = threading.Lock()
        self.on_blob = None  # called with the handler and the body's pieces
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client or a registry that goes away is what is tested."""


class Forwarder(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        wanted = self.headers.get("Range")
        is_blob = "/blobs/" in self.path and self.command == "GET"
        with self.server.lock:
            if is_blob:
                self.server.blobs.append((self.path, wanted))
            elif self.command == "HEAD":
                self.server.manifests += 1
        upstream = http.client.HTTPConnection(self.server.upstream,
                                              timeout=harness.SECONDS)
        headers = {name: value for name, value in self.headers.items()
                   if name in ("Accept", "Range")}
        upstream.request(self.command, self.path, headers=headers)
        reply = upstream.getresponse()
        body = reply.read()
        self.send_response(reply.status)
        for name, value in reply.getheaders():
            if name in ("Content-Type", "Content-Length", "Content-Range",
                        "Docker-Content-Digest"):
                self.send_header(name, value)
        self.end_headers()
        if is_blob and self.server.on_blob:
            self.server.on_blob(self, body)
        else:
            self.wfile.write(body)
        upstream.close()

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


class Downloads(harness.Case):
    CUT = 100_000

    def setUp(self):
        super().setUp()
        self.proxy = Proxy(self.registry.address)
        self.addCleanup(self.proxy.stop)
        self.name = f"{self.proxy.address}/base:1"

    def ranges_of_layers(self):
        """The Range of each GET of the layer (the config is smaller)."""
        sizes = {path: self.registry.blob_path(
            path.rsplit("/", 1)[1]).stat().st_size
                 for path, _ in self.proxy.blobs}
        layer = max(sizes, key=sizes.get)
        self.assertGreater(sizes[layer], 3 * self.CUT)
        return [wanted for path, wanted in self.proxy.blobs if path == layer]

    def start_pull(self):
        process = subprocess.Popen(
            [harness.IMGBUILD, "pull", "-q", self.name],
            env={"PATH": os.environ["PATH"], "HOME": str(self.dir / "home"),
                 "IMGBUILD_ROOT": str(self.store)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def assert_pulled(self):
        self.imgbuild("pull", "-q", self.name)
        self.assertEqual(
            self.imgbuild("run", "--rm", self.name, "echo", "hi").stdout,
            "hi\n")

    def test_a_killed_download_goes_on_in_the_next_run(self):
        arrived = threading.Event()
        done = threading.Event()
        self.addCleanup(done.set)

        def stall(handler, body):
            if len(body) < self.CUT:
                handler.wfile.write(body)
                return
            handler.wfile.write(body[:self.CUT])
            arrived.set()
            done.wait(harness.SECONDS)
            handler.close_connection = True

        self.proxy.on_blob = stall
        process = self.start_pull()
        self.assertTrue(arrived.wait(harness.SECONDS))
        partial = self.wait_for_partial()
        process.kill()
        process.wait()
        done.set()
        self.assertFalse(list((self.store / "blobs/sha256").glob(
            partial.name.removeprefix("partial-sha256-"))))
        self.proxy.on_blob = None
        self.proxy.blobs.clear()
        self.assert_pulled()
        self.assertEqual([wanted for _, wanted in self.proxy.blobs],
                         [f"bytes={self.CUT}-"])

    def wait_for_partial(self):
        """The file that the layer is written to, with what was sent in it."""
        while True:
            for path in (self.store / "tmp").glob("partial-*"):
                if path.stat().st_size == self.CUT:
                    return path
            time.sleep(0.01)

    def test_bytes_of_a_failed_run_are_used_by_the_next(self):
        def cut(handler, body):
            if len(body) < self.CUT:
                handler.wfile.write(body)
                return
            # The rest never comes, and asking for it ends it all.
            self.proxy.upstream = "127.0.0.1:1"
            handler.wfile.write(body[:self.CUT])
            handler.close_connection = True

        self.proxy.on_blob = cut
        self.imgbuild("pull", "-q", self.name, status=4)
        self.proxy.on_blob = None
        self.proxy.upstream = self.registry.address
        self.proxy.blobs.clear()
        self.assert_pulled()
        self.assertEqual([wanted for _, wanted in self.proxy.blobs],
                         [f"bytes={self.CUT}-"])

    def test_damaged_bytes_of_an_earlier_run_are_fetched_again(self):
        self.test_bytes_that_are_kept(damage=True)

    def test_bytes_that_are_kept(self, damage=False):
        self.imgbuild("images")
        layer = max(map(self.registry.blob_path, self.digests_of_base()),
                    key=lambda path: path.stat().st_size)
        data = layer.read_bytes()[:self.CUT]
        if damage:
            data = data[:50] + bytes([data[50] ^ 1]) + data[51:]
        kept = self.store / "tmp" / ("partial-sha256-" + layer.parent.name)
        kept.write_bytes(data)
        self.assert_pulled()
        expected = [f"bytes={self.CUT}-"] + ([None] if damage else [])
        self.assertEqual(
            [wanted for path, wanted in self.proxy.blobs
             if path.endswith(layer.parent.name)], expected)

    def digests_of_base(self):
        manifest = json.loads(
            self.registry.blob_path(self.base_digest).read_bytes())
        return [manifest["config"]["digest"],
                *(layer["digest"] for layer in manifest["layers"])]

    def test_everything_is_here(self):
        """One question to the registry, whatever its log counts."""
        name = f"{self.registry.address}/base:1"
        self.imgbuild("pull", "-q", name)
        before = len(self.registry.every_request())
        self.imgbuild("pull", "-q", name)
        self.assertEqual(self.registry.every_request()[before:],
                         ["HEAD /v2/base/manifests/1"])

    def test_one_download_for_several_processes(self):
        together = 4

        def wait_for_all(handler, body):
            """No byte of the layer before everybody has come to it."""
            while self.proxy.manifests < together:
                time.sleep(0.01)
            handler.wfile.write(body)

        self.imgbuild("images")  # the store is there
        self.proxy.on_blob = wait_for_all
        processes = [self.start_pull() for _ in range(together)]
        for process in processes:
            _, errors = process.communicate(timeout=harness.SECONDS)
            self.assertEqual(process.returncode, 0, errors.decode())
        self.assertEqual(len(self.ranges_of_layers()), 1, self.proxy.blobs)
        self.assert_pulled()


if __name__ == "__main__":
    unittest.main()
