"""[policy] of imgbuild.toml: what a build may name, told before any step."""

import unittest

import harness


class Policy(harness.Case):
    def setUp(self):
        super().setUp()
        self.name = f"{self.registry.address}/base"

    def policy(self, text, name="imgbuild.toml"):
        self.write(name, "[policy]\n" + text)

    def test_a_tag_is_not_enough(self):
        self.policy("require-digest = true\n")
        self.write("Dockerfile", f"FROM {self.name}:1\nRUN touch /ran\n")
        done = self.build(status=6)
        self.assertEqual(
            done.error,
            f"error: {self.name}:1 is not pinned to a digest\n"
            " --> Dockerfile:1:6\n"
            "  |\n"
            f"1 | FROM {self.name}:1\n"
            f"  |      {'^' * (len(self.name) + 2)}\n"
            "  = by require-digest at imgbuild.toml:2:1\n"
            "  = hint: imgbuild lock pins it in the lock, imgbuild pin in the "
            "Dockerfile\n")
        self.assertNotIn("touch", done.stderr)
        self.imgbuild("pin")
        self.build()

    def test_every_finding_is_told(self):
        self.policy('registries = ["docker.io"]\nrequire-digest = true\n'
                    'run-network = "off"\n')
        self.write("Dockerfile", f"FROM {self.name}:1\nRUN true\n"
                   "RUN --network=none true\n")
        error = self.build(status=6).error
        self.assertIn("comes from a registry that the policy does not allow",
                      error)
        self.assertIn("also at Dockerfile:1:6: ", error)
        self.assertIn("also at Dockerfile:2:1: this RUN has network\n", error)
        self.assertNotIn("Dockerfile:3", error)

    def test_check_judges_as_a_build_does(self):
        self.policy('require-digest = true\nrun-network = "off"\n')
        self.write("Dockerfile", f"FROM {self.name}:1 AS unused\n"
                   f"FROM {self.base} AS Used\nRUN --network=none true\n")
        # The last stage alone would be built; the findings come first.
        done = self.imgbuild("check", status=3)
        self.assertIn("StageNameCasing", done.stdout)
        self.assertEqual(done.error, "")
        done = self.imgbuild("check", "--target=unused", status=6)
        self.assertIn(f"{self.name}:1 is not pinned to a digest", done.error)
        self.assertIn("  = by require-digest at imgbuild.toml:2:1\n",
                      done.error)
        self.write("Dockerfile", f"FROM {self.base}\nRUN true\n")
        for words in (["check"], ["build", "--check", "."]):
            done = self.imgbuild(*words, status=6)
            self.assertIn("this RUN has network", done.error)
        self.policy('max-pin-age = "1d"\n')
        self.assertIn("at most 24 hours are allowed",
                      self.imgbuild("check", status=6).error)
        # What could not be had is not judged by its age.
        self.imgbuild("check", "--offline",
                      env={"IMGBUILD_ROOT": str(self.dir / "empty")})

    def test_the_named_stages_have_network(self):
        self.policy('run-network = "off"\nrun-network-stages = ["deps"]\n')
        self.dockerfile("FROM BASE AS deps\nRUN true\nFROM deps\n"
                        "RUN --network=none true\n")
        self.build()

    def test_age_is_that_of_the_pinned_image(self):
        self.policy('max-pin-age = "30d"\n')  # the base is of 2024
        self.dockerfile("FROM BASE\n")
        self.assertIn("at most 4 weeks are allowed",
                      self.build(status=6).error)
        self.policy('max-pin-age = "9000w"\n')
        self.build()

    def test_add_needs_a_checksum(self):
        self.policy("require-checksum = true\n")
        self.dockerfile("FROM BASE\nADD http://127.0.0.1:1/f /f\n")
        self.assertIn("http://127.0.0.1:1/f has no checksum\n"
                      " --> Dockerfile:2:5\n", self.build(status=6).error)

    def test_it_stands_beside_the_dockerfile(self):
        self.policy("require-digest = true\n", "sub/imgbuild.toml")
        self.write("Dockerfile", f"FROM {self.name}:1\n")
        self.write("sub/Dockerfile", f"FROM {self.name}:1\n")
        self.build()
        self.assertIn("sub/imgbuild.toml:2:1",
                      self.build("-f", "sub/Dockerfile", status=6).error)

    def test_a_wrong_key_is_told_by_its_line(self):
        self.policy("require-digests = true\n")
        self.dockerfile("FROM BASE\n")
        self.assertEqual(
            self.build(status=3).error,
            'error: unknown key "require-digests" in [policy]\n'
            " --> imgbuild.toml:2:1\n"
            "  |\n"
            "2 | require-digests = true\n"
            "  | ^^^^^^^^^^^^^^^\n"
            "  = hint: did you mean require-digest?\n")


if __name__ == "__main__":
    unittest.main()
