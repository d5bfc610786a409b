"""login and logout with a registry that asks for a password."""

import base64
import json
import stat
import unittest

import harness

SECRET = "s3cr3t-pass"
# bcrypt of SECRET
HTPASSWD = "ada:$2b$04$Zix7TjdVhGCujSXr/dLBoeblEEuMU9OWc5xumIDjXzRr6nLyL1V6C\n"

HELPER = """#!/bin/sh
echo "$1" >> "$HOME/asked"
case $1 in
store) cat > "$HOME/kept" ;;
get) cat "$HOME/kept" 2>/dev/null || {
  echo "credentials not found in native keychain"; exit 1; } ;;
erase) rm -f "$HOME/kept" ;;
esac
"""


class Login(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.closed = harness.Registry(htpasswd=HTPASSWD)
        cls.addClassCleanup(cls.closed.stop)

    def setUp(self):
        super().setUp()
        self.host = self.closed.address
        self.name = f"{self.host}/app:1"
        self.config = self.dir / "home/.docker/config.json"

    def login(self, password=SECRET, status=0, **more):
        done = self.imgbuild("login", "-u", "ada", "--password-stdin",
                             self.host, stdin=password.encode() + b"\n",
                             status=status, **more)
        self.assertNotIn(password, done.stdout + done.stderr)
        return done

    def push(self, status=0, **more):
        return self.imgbuild("copy", self.base, self.name, status=status,
                             **more)

    def test_there_and_back(self):
        refused = self.push(status=4)
        self.assertIn(f"imgbuild login {self.host}", refused.error)

        done = self.login()
        self.assertEqual(done.stdout, "Login Succeeded\n")
        self.assertEqual(done.stderr, f"kept in {self.config}\n")
        self.assertEqual(stat.S_IMODE(self.config.stat().st_mode), 0o600)
        pair = base64.b64encode(f"ada:{SECRET}".encode()).decode()
        self.assertEqual(json.loads(self.config.read_text()),
                         {"auths": {self.host: {"auth": pair}}})
        self.push()
        self.imgbuild("pull", "-q", self.name)

        self.assertEqual(self.imgbuild("logout", self.host).stdout,
                         f"Removing login credentials for {self.host}\n")
        self.assertNotIn(pair, self.config.read_text())
        self.assertEqual(self.imgbuild("logout", self.host).stdout,
                         f"Not logged in to {self.host}\n")
        self.imgbuild("pull", "-q", self.name, status=4)

    def test_a_wrong_password_is_not_kept(self):
        done = self.login("wr0ng-pass", status=4)
        self.assertEqual(done.stdout, "")
        self.assertEqual(
            done.error,
            f"error: GET http://{self.host}/v2/: UNAUTHORIZED: "
            "authentication required\n   = hint: the registry does not accept "
            "this user name and password\n")
        self.assertFalse(self.config.exists())
        # Nor does it take the place of the right one.
        self.login()
        before = self.config.read_text()
        self.login("wr0ng-pass", status=4)
        self.assertEqual(self.config.read_text(), before)

    def test_other_keys_stay(self):
        self.config.parent.mkdir()
        self.config.write_text(json.dumps(
            {"auths": {"r.example": {"auth": "YTpi"}},
             "detachKeys": "ctrl-x"}))
        self.login()
        self.imgbuild("logout", self.host)
        self.assertEqual(json.loads(self.config.read_text()),
                         {"auths": {"r.example": {"auth": "YTpi"}},
                          "detachKeys": "ctrl-x"})

    def test_the_helper_keeps_it(self):
        home = self.dir / "home"
        path = f"{self.context}:/usr/bin:/bin:/usr/sbin:/sbin"
        env = {"PATH": path}
        self.write("docker-credential-box", HELPER, mode=0o755)
        self.config.parent.mkdir()
        config = json.dumps({"credsStore": "box"})
        self.config.write_text(config)
        self.login(env=env)
        self.assertEqual(json.loads((home / "kept").read_text()),
                         {"ServerURL": self.host, "Username": "ada",
                          "Secret": SECRET})
        self.assertNotIn("auth\"", self.config.read_text())
        self.push(env=env)
        self.imgbuild("logout", self.host, env=env)
        self.assertFalse((home / "kept").exists())
        asked = (home / "asked").read_text().split()
        self.assertEqual(asked[0], "store")
        self.assertIn("get", asked)
        self.assertEqual(asked[-1], "erase")

    def test_a_failing_helper_warns_and_goes_on_without(self):
        self.write("docker-credential-box",
                   "#!/bin/sh\necho locked >&2\nexit 1\n", mode=0o755)
        self.config.parent.mkdir()
        self.config.write_text(json.dumps({"credsStore": "box"}))
        done = self.imgbuild(
            "pull", "-q", self.base,
            env={"PATH": f"{self.context}:/usr/bin:/bin:/usr/sbin:/sbin"})
        self.assertNotIn("error:", done.stderr)
        refused = self.push(status=4, env={
            "PATH": f"{self.context}:/usr/bin:/bin:/usr/sbin:/sbin"})
        self.assertIn("docker-credential-box", refused.stderr)
        self.assertIn("locked", refused.stderr)

    def test_from_the_environment(self):
        host = "".join(c if c.isalnum() else "_" for c in self.host).upper()
        self.push(env={f"IMGBUILD_AUTH_{host}": f"ada:{SECRET}"})
        auth = self.write("auth.json", json.dumps({"auths": {self.host: {
            "auth": base64.b64encode(f"ada:{SECRET}".encode()).decode()}}}))
        self.imgbuild("pull", "-q", self.name,
                      env={"REGISTRY_AUTH_FILE": str(auth)})

    def test_usage(self):
        for words, stdin, text in (
                (["login", self.host], b"", "login needs a user name"),
                (["login", "-u", "ada", "--password-stdin", self.host], b"\n",
                 "the password is empty"),
                (["login", "-u", "ada", self.host], b"x\n",
                 "cannot ask for a password: standard input is no terminal")):
            done = self.imgbuild(*words, stdin=stdin, status=2)
            self.assertIn(text, done.error)
        self.assertFalse(self.config.exists())


if __name__ == "__main__":
    unittest.main()
