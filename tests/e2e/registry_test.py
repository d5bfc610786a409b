"""What a registry can do wrong: each gives one clear error and exit status 4,
and leaves a store that works once the registry is good again."""

import gzip
import hashlib
import http.server
import json
import pathlib
import re
import tempfile
import threading
import unittest

import harness


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers each request from the server's table: path → (status, headers,
    body)."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        status, headers, body = self.server.table.get(
            self.path, (404, {}, b'{"errors":[{"code":"NAME_UNKNOWN"}]}'))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


class FakeServer:
    """A registry that says what the test wants."""

    def __init__(self, table):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                      Answers)
        self.server.table = {"/v2/": (200, {}, b"{}"), **table}
        self.server.daemon_threads = True
        self.address = "127.0.0.1:%d" % self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class BadRegistry(harness.Case):
    def setUp(self):
        super().setUp()
        manifest = json.loads(
            self.registry.blob_path(self.base_digest).read_bytes())
        self.layer_digest = manifest["layers"][0]["digest"]
        self.config_digest = manifest["config"]["digest"]
        self.dockerfile("FROM BASE\nRUN true\n")

    def assert_error(self, result, text):
        super().assert_error(
            result, text.replace("LAYER", self.layer_digest).replace(
                "CONFIG", self.config_digest))

    def assert_fetch_error(self, text):
        """The build fails with TEXT while it fetches the layer, leaves no
        litter, and nothing of what was received is in the store."""
        result = self.build(status=4)
        self.assert_error(
            result,
            f"error: {text}\n"
            " --> Dockerfile:2:1\n"
            "  |\n"
            "2 | RUN true\n"
            "  | ^^^^^^^^\n"
            f"  = while fetching layer {self.layer_digest[7:19]} of "
            "REGISTRY/base\n")
        self.assert_no_litter()
        self.assertFalse((self.store / "blobs/sha256" /
                          self.layer_digest[7:]).exists())

    def serve(self, table):
        server = FakeServer(table)
        self.addCleanup(server.stop)
        return server.address

    def pull_error(self, reference, status=4):
        return self.imgbuild("pull", reference, status=status).error

    # --- another algorithm --------------------------------------------------

    def sha512_image(self, spoil=lambda layer: layer):
        """A server whose image is named by sha512 throughout; and the digest."""
        def digest(data):
            return "sha512:" + hashlib.sha512(data).hexdigest()

        root = harness.busybox_tar()
        layer = gzip.compress(root, mtime=0)
        config = json.dumps({
            "architecture": "amd64", "os": "linux",
            "config": {"Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers",
                       "diff_ids": [harness.digest_of(root)]}}).encode()
        image = "application/vnd.oci.image."
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": image + "manifest.v1+json",
            "config": {"mediaType": image + "config.v1+json",
                       "digest": digest(config), "size": len(config)},
            "layers": [{"mediaType": image + "layer.v1.tar+gzip",
                        "digest": digest(layer), "size": len(layer)}],
        }).encode()
        answer = (200, {"Content-Type": image + "manifest.v1+json"}, manifest)
        table = {f"/v2/x/manifests/{name}": answer
                 for name in ("1", harness.digest_of(manifest),
                              digest(manifest))}
        for blob in (config, spoil(layer)):
            table["/v2/x/blobs/" + digest(
                config if blob is config else layer)] = (200, {}, blob)
        return self.serve(table), digest(manifest), digest(layer)

    def test_sha512(self):
        address, digest, layer = self.sha512_image()
        for name in (f"{address}/x:1", f"{address}/x@{digest}"):
            self.imgbuild("pull", name)
            self.assertEqual(
                self.imgbuild("run", "--rm", name, "echo", "hi").stdout, "hi\n")
        self.assertTrue((self.store / "blobs/sha512" / layer[7:]).exists())
        self.dockerfile(f"FROM {address}/x@{digest}\nRUN echo 1 > /one\n")
        self.build()
        self.imgbuild("store", "check")

    def test_sha512_with_other_bytes(self):
        address, _, layer = self.sha512_image(
            lambda data: data[:99] + bytes([data[99] ^ 1]) + data[100:])
        self.assertIn(f"blob {layer}: the content has the digest sha512:",
                      self.pull_error(f"{address}/x:1"))
        self.assertFalse((self.store / "blobs/sha512" / layer[7:]).exists())

    # --- nobody there -------------------------------------------------------

    def test_no_registry(self):
        self.assertEqual(
            re.sub(r"after \d+ ms", "after N ms",
                   self.pull_error("127.0.0.1:1/x:1")),
            "error: HEAD https://127.0.0.1:1/v2/x/manifests/1: Failed to "
            "connect to 127.0.0.1 port 1 after N ms: Couldn't connect to "
            "server\n")
        self.assert_usable()

    def test_unknown_host(self):
        self.assertEqual(
            self.pull_error("registry.invalid/x:1"),
            "error: HEAD https://registry.invalid/v2/x/manifests/1: Could not "
            "resolve host: registry.invalid\n")

    def test_missing_manifest(self):
        other = "sha256:" + "0" * 64
        name = f"{self.registry.address}/base@{other}"
        self.dockerfile(f"FROM {name}\nRUN true\n")
        self.assert_error(
            self.build(status=4),
            f"error: manifest for REGISTRY/base@{other} not found: GET "
            f"http://REGISTRY/v2/base/manifests/{other}: MANIFEST_UNKNOWN: "
            "manifest unknown\n"
            " --> Dockerfile:1:6\n"
            "  |\n"
            f"1 | FROM REGISTRY/base@{other}\n"
            f"  |      {'^' * len(name)}\n")
        self.assert_usable()

    def test_missing_repository(self):
        self.assert_error(
            self.imgbuild("pull", f"{self.registry.address}/no/such:1",
                          status=4),
            "error: manifest for REGISTRY/no/such:1 not found: GET "
            "http://REGISTRY/v2/no/such/manifests/1: MANIFEST_UNKNOWN: "
            "manifest unknown\n")

    # --- layers of elsewhere -----------------------------------------------

    def test_foreign_urls(self):
        """A layer that the registry does not have, but names a place for."""
        root = harness.busybox_tar()
        layer = gzip.compress(root, mtime=0)
        config = json.dumps({
            "architecture": "amd64", "os": "linux",
            "rootfs": {"type": "layers",
                       "diff_ids": [harness.digest_of(root)]}}).encode()
        binary = {"Content-Type": "application/octet-stream"}
        elsewhere = self.serve({"/layer": (200, binary, layer)})
        manifest = json.dumps({
            "schemaVersion": 2, "mediaType": self.OCI,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": harness.digest_of(config), "size": len(config)},
            "layers": [{
                "mediaType": "application/vnd.oci.image.layer."
                             "nondistributable.v1.tar+gzip",
                "digest": harness.digest_of(layer), "size": len(layer),
                "urls": [f"http://{elsewhere}/layer"]}]}).encode()
        digest = harness.digest_of(manifest)
        address = self.serve({
            f"/v2/x/blobs/{harness.digest_of(config)}": (200, binary, config),
            f"/v2/x/manifests/{digest}": (
                200, {"Content-Type": self.OCI}, manifest)})
        name = f"{address}/x@{digest}"
        self.assertIn("/v2/x/blobs/", self.pull_error(name))
        refused = self.imgbuild("pull", name, status=2,
                                env={"IMGBUILD_FOREIGN_URLS": "yes"})
        self.assertEqual(
            refused.error,
            'error: IMGBUILD_FOREIGN_URLS is "yes", not 0 or 1\n')
        done = self.imgbuild("pull", name, env={"IMGBUILD_FOREIGN_URLS": "1"})
        self.assertEqual(done.digest, digest)

    # --- damaged on the registry's disk ----------------------------------------

    def test_layer_with_other_bytes(self):
        path = self.registry.blob_path(self.layer_digest)
        with harness.damaged(path, lambda b: b[:5000] + b"\0" + b[5001:]):
            digest = harness.digest_of(path.read_bytes())
            self.assert_fetch_error("blob LAYER: the content has the digest "
                                    + digest)
        self.assert_usable()

    def test_truncated_layer(self):
        path = self.registry.blob_path(self.layer_digest)
        with harness.damaged(path, lambda b: b[:-1000]):
            size = path.stat().st_size
            self.assert_fetch_error(
                f"blob LAYER of REGISTRY/base: the registry has {size} bytes, "
                f"the manifest says {size + 1000}")
        self.assert_usable()

    def test_layer_with_trailing_bytes(self):
        path = self.registry.blob_path(self.layer_digest)
        with harness.damaged(path, lambda b: b + b"more"):
            size = path.stat().st_size
            self.assert_fetch_error(
                f"blob LAYER of REGISTRY/base: the registry has {size} bytes, "
                f"the manifest says {size - 4}")
        self.assert_usable()

    def test_missing_layer(self):
        path = self.registry.blob_path(self.layer_digest)
        hidden = path.with_name("hidden")
        path.rename(hidden)
        try:
            self.assert_fetch_error(
                "blob LAYER of REGISTRY/base not found: GET "
                "http://REGISTRY/v2/base/blobs/LAYER: BLOB_UNKNOWN: blob "
                "unknown to registry")
        finally:
            hidden.rename(path)
        self.assert_usable()

    def test_config_with_other_bytes(self):
        path = self.registry.blob_path(self.config_digest)
        with harness.damaged(path, lambda b: b.replace(b"amd64", b"arm64")):
            self.assert_error(
                self.build(status=4),
                "error: blob CONFIG of REGISTRY/base: the bytes received do "
                "not have this digest\n"
                " --> Dockerfile:1:6\n"
                "  |\n"
                "1 | FROM BASE\n"
                f"  |      {'^' * len(self.base)}\n")
        self.assert_usable()

    # --- odd answers ----------------------------------------------------------

    def manifest_error(self, body, media_type, headers=None):
        """What `pull` says of a registry whose x:1 is this document."""
        answer = (200, {"Content-Type": media_type, **(headers or {})}, body)
        paths = ["1", harness.digest_of(body),
                 (headers or {}).get("Docker-Content-Digest", "1")]
        address = self.serve({f"/v2/x/manifests/{path}": answer
                              for path in paths})
        return self.pull_error(f"{address}/x:1").replace(address, "SERVER")

    OCI = "application/vnd.oci.image.manifest.v1+json"

    def test_malformed_manifest(self):
        self.assertEqual(
            self.manifest_error(b'{"schemaVersion":2,', self.OCI),
            "error: manifest: malformed JSON at byte 20\n"
            "   = while reading the answer to GET "
            f"http://SERVER/v2/x/manifests/1 ({self.OCI})\n")

    def test_unknown_media_type(self):
        self.assertEqual(
            self.manifest_error(b"<html></html>", "text/html"),
            "error: manifest: malformed JSON at byte 1\n"
            "   = while reading the answer to GET "
            "http://SERVER/v2/x/manifests/1 (text/html)\n")

    def test_schema_1(self):
        self.assertEqual(
            self.manifest_error(
                b'{"schemaVersion":1,"name":"x","fsLayers":[]}',
                "application/vnd.docker.distribution.manifest.v1+prettyjws"),
            "error: manifest of SERVER/x:1 is Docker schema 1, which is not "
            "supported\n"
            "   = hint: push the image again with a client younger than 2017, "
            "or convert it: skopeo copy --format v2s2\n")

    def test_lying_digest_header(self):
        lie = "sha256:" + "1" * 64
        self.assertEqual(
            self.manifest_error(b"{}", self.OCI,
                                {"Docker-Content-Digest": lie}),
            f"error: GET http://SERVER/v2/x/manifests/{lie}: the manifest's "
            f"digest is {harness.digest_of(b'{}')}, expected {lie}\n")

    def test_index_without_our_platform(self):
        index = json.dumps({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{
                "mediaType": self.OCI, "size": 10,
                "digest": "sha256:" + "2" * 64,
                "platform": {"os": "linux", "architecture": "s390x"}}],
        }).encode()
        self.assertEqual(
            self.manifest_error(index,
                                "application/vnd.oci.image.index.v1+json"),
            'error: no image for platform linux/amd64 in "SERVER/x:1": '
            "available: linux/s390x\n")

    def refused(self):
        return self.serve({
            "/v2/x/manifests/1": (
                401, {"WWW-Authenticate": 'Basic realm="r"'},
                b'{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}')})

    def test_unauthorized(self):
        address = self.refused()
        error = self.pull_error(f"{address}/x:1").replace(address, "SERVER")
        self.assertEqual(
            error.split("\n")[0],
            "error: GET http://SERVER/v2/x/manifests/1: UNAUTHORIZED: no")
        self.assertIn("   = hint: the repository does not exist or needs a "
                      "login", error)

    def test_wrong_password_is_not_shown(self):
        address = self.refused()
        config = self.dir / "home/.docker/config.json"
        config.parent.mkdir()
        config.write_text(json.dumps({"auths": {address: {
            "auth": "bWU6aHVudGVyMg=="}}}))  # me:hunter2
        done = self.imgbuild("pull", f"{address}/x:1", status=4)
        for secret in ("hunter2", "bWU6aHVudGVyMg"):
            self.assertNotIn(secret, str(done))
        error = done.error.replace(address, "SERVER")
        self.assertEqual(
            error.split("\n")[0],
            "error: GET http://SERVER/v2/x/manifests/1: UNAUTHORIZED: no")
        self.assertIn(f"   = hint: the credentials from {config} do not allow "
                      "this", error)

    def test_index_is_read_by_platform(self):
        """An index of two images, one of which is for this machine."""
        with tempfile.TemporaryDirectory() as layout:
            harness.write_layout(layout, harness.busybox_tar())
            blobs = pathlib.Path(layout, "blobs/sha256")
            files = {"sha256:" + blob.name: blob.read_bytes()
                     for blob in blobs.iterdir()}
        manifest = files[self.base_digest]
        index = json.dumps({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [
                {"mediaType": self.OCI, "size": 10,
                 "digest": "sha256:" + "2" * 64,
                 "platform": {"os": "linux", "architecture": "s390x"}},
                {"mediaType": self.OCI, "size": len(manifest),
                 "digest": self.base_digest,
                 "platform": {"os": "linux", "architecture": "amd64"}}],
        }).encode()
        digest = harness.digest_of(index)
        table = {f"/v2/x/blobs/{name}": (
            200, {"Content-Type": "application/octet-stream"}, body)
                 for name, body in files.items()}
        table[f"/v2/x/manifests/{digest}"] = (
            200, {"Content-Type": "application/vnd.oci.image.index.v1+json"},
            index)
        table[f"/v2/x/manifests/{self.base_digest}"] = (
            200, {"Content-Type": self.OCI}, manifest)
        address = self.serve(table)
        done = self.imgbuild("pull", f"{address}/x@{digest}")
        self.assertEqual(done.digest, digest)
        for pinned in (digest, self.base_digest):
            run = self.imgbuild("run", f"{address}/x@{pinned}", "echo", "x")
            self.assertEqual(run.stdout, "x\n")


if __name__ == "__main__":
    unittest.main()
