"""What `imgbuild run` does with a container."""

import unittest

import harness


class Run(harness.Case):
    def image(self, text, name="r:1"):
        self.dockerfile("FROM BASE\n" + text)
        self.build("-t", name)

    def test_exit_status_is_passed_on(self):
        self.image('CMD ["sh", "-c", "exit 42"]\n')
        self.assertEqual(self.imgbuild("run", "r:1", status=42).stderr, "")
        self.imgbuild("run", "--rm", "r:1", "true")
        # The shell is process 1, which nothing inside can kill.
        self.imgbuild("run", "r:1", "sh", "-c", "sh -c 'kill -9 $$'; exit $?",
                      status=137)
        self.assert_no_litter()

    def test_program_that_cannot_start(self):
        self.image("RUN touch /plain\n")
        self.imgbuild("run", "r:1", "no-such-program", status=127)
        self.imgbuild("run", "r:1", "/plain", status=126)
        self.assert_no_litter()

    def test_streams_and_standard_input(self):
        self.image("")
        done = self.imgbuild("run", "-i", "r:1", "sh", "-c",
                             "cat; echo two >&2", stdin=b"one\n")
        self.assertEqual((done.stdout, done.stderr), ("one\n", "two\n"))

    def test_environment_user_directory_entrypoint(self):
        self.image('ENV A=image B=image\nWORKDIR /w\nUSER app\n'
                   'ENTRYPOINT ["sh", "-c"]\nCMD ["echo $A $B $(id -u) $PWD"]\n')
        self.assertEqual(self.imgbuild("run", "r:1").stdout,
                         "image image 1000 /w\n")
        self.assertEqual(
            self.imgbuild("run", "-e", "B=mine", "-u", "0", "-w", "/", "r:1",
                          "echo $A $B $(id -u) $PWD").stdout,
            "image mine 0 /\n")
        self.assertEqual(
            self.imgbuild("run", "--entrypoint", "echo", "r:1", "x").stdout,
            "x\n")

    def test_environment_is_exactly_the_images(self):
        self.image("ENV A=1\n")
        lines = self.imgbuild("run", "--hostname", "h", "r:1", "env",
                              env={"LEAK": "1"}).stdout.splitlines()
        self.assertEqual(sorted(lines), ["A=1", "HOME=/root", "HOSTNAME=h",
                                         "PATH=/bin"])

    def test_volumes(self):
        self.image("")
        shared = self.dir / "shared"
        shared.mkdir()
        (shared / "in").write_text("from outside\n")
        self.imgbuild("run", "-v", f"{shared}:/s", "r:1", "sh", "-c",
                      "cat /s/in > /s/out")
        self.assertEqual((shared / "out").read_text(), "from outside\n")
        self.imgbuild("run", "-v", f"{shared}:/s:ro", "r:1", "touch", "/s/x",
                      status=1)
        self.assertFalse((shared / "x").exists())

    def test_no_network(self):
        self.image("")
        listed = self.imgbuild("run", "--network", "none", "r:1", "ls",
                               "/sys/class/net")
        self.assertEqual(listed.stdout, "lo\n")

    def test_image_stays_as_it_was(self):
        self.image("RUN echo built > /f\n")
        self.imgbuild("run", "r:1", "sh", "-c", "echo run > /f")
        self.assertEqual(self.imgbuild("run", "r:1", "cat", "/f").stdout,
                         "built\n")

    def test_by_digest_pulls_what_is_missing(self):
        done = self.imgbuild("run", self.base, "echo", "x")
        self.assertEqual(done.stdout, "x\n")
        self.assertEqual(
            done.stderr.replace(self.base, "BASE").replace(
                self.base_digest, "DIGEST"),
            "Unable to find image 'BASE' locally\nDigest: DIGEST\n"
            "Status: Downloaded newer image for BASE\n")

    def test_not_known_and_not_to_be_had(self):
        self.assert_error(
            self.imgbuild("run", f"{self.registry.address}/no/such:1", "true",
                          status=125),
            "error: manifest for REGISTRY/no/such:1 not found: GET "
            "http://REGISTRY/v2/no/such/manifests/1: MANIFEST_UNKNOWN: "
            "manifest unknown\n")


if __name__ == "__main__":
    unittest.main()
