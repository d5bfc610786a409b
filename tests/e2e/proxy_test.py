"""A registry with a certificate of its own behind a proxy: what the environment
says of both."""

import base64
import http.server
import pathlib
import socket
import subprocess
import tempfile
import threading
import unittest

import harness

NAME = "registry.example"
USER, SECRET = "ada", "pr0xy-pass"


class Tunnel(http.server.BaseHTTPRequestHandler):
    """CONNECT to any name is a connection to the one registry."""

    def do_CONNECT(self):
        proxy = self.server
        proxy.seen.append(self.path)
        if self.headers.get("Proxy-Authorization") != proxy.credentials:
            self.send_response(407)
            self.send_header("Proxy-Authenticate", "Basic realm=\"proxy\"")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        host, port = proxy.registry.split(":")
        with socket.create_connection((host, int(port))) as there:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(
                target=self.pass_on, args=(there, self.connection))
            back.start()
            self.pass_on(self.connection, there)
            back.join()
        self.close_connection = True

    @staticmethod
    def pass_on(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one of them is gone

    def log_message(self, *args):
        pass


class Proxied(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        files = tempfile.TemporaryDirectory()
        cls.addClassCleanup(files.cleanup)
        cls.certificate = pathlib.Path(files.name, "cert.pem")
        key = pathlib.Path(files.name, "key.pem")
        subprocess.run(
            [harness.need("openssl"), "req", "-x509", "-newkey", "ec",
             "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
             "2", "-subj", f"/CN={NAME}", "-addext",
             f"subjectAltName=DNS:{NAME}", "-keyout", key, "-out",
             cls.certificate],
            check=True, capture_output=True, timeout=harness.SECONDS)
        cls.secure = harness.Registry(tls=(cls.certificate, key))
        cls.addClassCleanup(cls.secure.stop)

    def setUp(self):
        super().setUp()
        self.proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tunnel)
        self.proxy.daemon_threads = True
        self.proxy.registry = self.secure.address
        self.proxy.credentials = None
        self.proxy.seen = []
        threading.Thread(target=self.proxy.serve_forever, daemon=True).start()
        self.addCleanup(self.proxy.server_close)
        self.addCleanup(self.proxy.shutdown)
        self.address = f"127.0.0.1:{self.proxy.server_port}"
        self.name = f"{NAME}/base:1"

    def copy(self, status=0, **env):
        return self.imgbuild("copy", self.base, self.name, status=status,
                             env=env)

    def test_both_from_the_environment(self):
        env = {"HTTPS_PROXY": f"http://{self.address}",
               "SSL_CERT_FILE": str(self.certificate)}
        self.copy(**env)
        self.imgbuild("pull", "-q", self.name, env=env)
        self.assertEqual(
            self.imgbuild("run", "--rm", self.name, "echo", "hi").stdout,
            "hi\n")
        # The registry on loopback was not asked for through it.
        self.assertEqual(set(self.proxy.seen), {f"{NAME}:443"})

    def test_an_unknown_authority(self):
        done = self.copy(status=4, HTTPS_PROXY=f"http://{self.address}")
        self.assertIn(
            ": SSL certificate problem: self-signed certificate\n"
            "   = hint: put the registry's root certificate into "
            "/etc/docker/certs.d/HOST[:PORT]/ca.crt, or set SSL_CERT_FILE\n",
            done.error)
        self.imgbuild("copy", "--insecure-registry", NAME, self.base,
                      self.name, env={"https_proxy": f"http://{self.address}"})

    def test_no_proxy(self):
        done = self.copy(status=4, HTTPS_PROXY=f"http://{self.address}",
                         NO_PROXY=f"other.example,{NAME}",
                         SSL_CERT_FILE=str(self.certificate))
        self.assertIn(NAME, done.error)
        self.assertEqual(self.proxy.seen, [])

    def test_credentials_of_the_proxy(self):
        self.proxy.credentials = "Basic " + base64.b64encode(
            f"{USER}:{SECRET}".encode()).decode()
        self.copy(HTTPS_PROXY=f"http://{USER}:{SECRET}@{self.address}",
                  SSL_CERT_FILE=str(self.certificate))
        done = self.copy(
            status=4, HTTPS_PROXY=f"http://{USER}:other{SECRET}@{self.address}",
            SSL_CERT_FILE=str(self.certificate))
        self.assertIn("407", done.error)
        self.assertNotIn(SECRET, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
