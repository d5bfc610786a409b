"""`build --source-policy`: BuildKit's source policy, with a real registry."""

import functools
import http.server
import subprocess
import threading
import unittest

import harness


class SourcePolicy(harness.Case):
    def setUp(self):
        super().setUp()
        self.name = f"{self.registry.address}/base"

    def policy(self, *rules):
        text = ",\n  ".join(rules).replace("BASE", self.name)
        return self.write("policy.json", '{"rules": [\n  ' + text + "\n]}\n")

    def build_with(self, *words, status=0, **more):
        return self.build("--source-policy", "policy.json", *words,
                          status=status, **more)

    def test_convert_to_a_digest_of_another_name(self):
        self.policy(
            '{"action": "CONVERT", "selector": {"identifier": '
            '"docker-image://no.example/lib/*"}, "updates": {"identifier": '
            f'"docker-image://BASE:1@{self.base_digest}"}}}}')
        self.dockerfile("FROM no.example/lib/base:7\nRUN true\n")
        plain = self.dockerfile("FROM BASE\nRUN true\n", "Plain")
        done = self.build_with("--no-cache")
        self.assertEqual(done.digest,
                         self.build("--no-cache", "-f", plain).digest)

    def test_denied_at_the_word(self):
        self.policy('{"action": "DENY", "selector": {"identifier": "*"}}',
                    '{"action": "ALLOW", "selector": {"identifier": '
                    '"local://*"}}')
        self.write("Dockerfile", f"FROM scratch\nCOPY --from={self.name}:1 "
                   "/bin/sh /\n")
        before = self.registry.log.read_text().count("/v2/base")
        done = self.build_with(status=6)
        self.assertEqual(
            done.error,
            "error: the source policy denies docker-image://"
            f"{self.name}:1\n"
            " --> Dockerfile:2:13\n"
            "  |\n"
            f"2 | COPY --from={self.name}:1 /bin/sh /\n"
            f"  |             {'^' * (len(self.name) + 2)}\n"
            "  = by the rule at policy.json:2:49\n")
        self.assertEqual(self.registry.log.read_text().count("/v2/base"),
                         before)

    def test_fetched_contexts(self):
        layout = self.dir / "layout"
        harness.write_layout(layout, harness.busybox_tar())
        self.write("policy.json", '{"rules": [{"action": "DENY", "selector": '
                   '{"identifier": "*"}}, {"action": "ALLOW", "selector": '
                   '{"identifier": "local://dockerfile"}}]}')
        self.write("Dockerfile", "FROM scratch\nCOPY --from=n / /\n")
        for value, identifier in (
                ("https://no.example/x.tar", "https://no.example/x.tar"),
                ("https://no.example/r.git#v1:d",
                 "git://no.example/r.git#v1:d"),
                (f"oci-layout://{layout}", f"oci-layout://{layout}")):
            done = self.build_with("--build-context", f"n={value}", status=6)
            self.assertIn(f"denies {identifier}\n", done.error)
        tar = subprocess.run(["tar", "-c", "Dockerfile"], cwd=self.context,
                             check=True, capture_output=True).stdout
        (self.dir / "served").mkdir()
        (self.dir / "served" / "x.tar").write_bytes(tar)
        server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(
                http.server.SimpleHTTPRequestHandler,
                directory=str(self.dir / "served")))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = f"http://127.0.0.1:{server.server_address[1]}/x.tar"
        done = self.imgbuild("build", "--source-policy", "policy.json", url,
                             status=6)
        self.assertIn(f"denies {url}\n", done.error)

    def test_local_sources(self):
        self.dockerfile("FROM BASE\nCOPY Dockerfile /\n")
        for name in ("context", "dockerfile"):
            self.policy('{"action": "DENY", "selector": {"identifier": '
                        f'"local://{name}"}}}}')
            done = self.build_with(status=6)
            self.assertIn(f"denies local://{name}\n", done.error)
        self.dockerfile("FROM BASE\nRUN true\n")
        self.policy('{"action": "DENY", "selector": {"identifier": '
                    '"local://context"}}')
        self.build_with()

    def test_the_variable_of_buildkit(self):
        policy = self.policy('{"action": "DENY", "selector": {"identifier": '
                             '"docker-image://*"}}')
        self.dockerfile("FROM BASE\n")
        env = {"EXPERIMENTAL_BUILDKIT_SOURCE_POLICY": str(policy)}
        self.assertIn("denies", self.build(status=6, env=env).error)
        self.assertIn("denies", self.imgbuild("plan", ".", status=6,
                                              env=env).error)

    def test_checksum_of_a_url(self):
        data = b"hello\n"

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        url = f"http://127.0.0.1:{server.server_port}/f"
        self.write("Dockerfile", f"FROM scratch\nADD {url} /f\n")

        def policy(digest):
            self.policy('{"action": "CONVERT", "selector": {"identifier": '
                        f'"{url}"}}, "updates": {{"attrs": '
                        f'{{"http.checksum": "{digest}"}}}}}}')

        policy(harness.digest_of(data))
        self.build_with()
        policy(harness.digest_of(b"other"))
        self.assertIn("digest mismatch", self.build_with(status=1).error)

    def test_a_wrong_policy_is_told_by_its_line(self):
        self.policy('{"action": "FORBID", "selector": {"identifier": "*"}}')
        self.dockerfile("FROM BASE\n")
        self.assertEqual(
            self.build_with(status=3).error,
            'error: unknown value "FORBID" of "action"\n'
            " --> policy.json:2:14\n"
            "  |\n"
            '2 |   {"action": "FORBID", "selector": {"identifier": "*"}}\n'
            "  |              ^^^^^^^^\n"
            "  = hint: it is ALLOW, DENY, CONVERT\n")
        self.assertIn("there is no source policy",
                      self.build("--source-policy", "none", status=2).error)


if __name__ == "__main__":
    unittest.main()
