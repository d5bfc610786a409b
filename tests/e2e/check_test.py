"""Checks: what `imgbuild check`, `build --check` and an ordinary build tell.

testdata/checks/NAME holds a Dockerfile that has findings, the whole text of
them as BuildKit writes it (expected.txt), and clean.Dockerfile without any.
"""

import json
import pathlib
import shutil
import unittest

import harness

CASES = pathlib.Path(__file__).resolve().parents[2] / "testdata" / "checks"
NOTHING = "Check complete, no warnings found.\n"


def cases():
    return sorted(path for path in CASES.iterdir()
                  if (path / "expected.txt").exists())


def flags(case):
    file = case / "flags"
    return file.read_text().split() if file.exists() else []


class Golden(harness.Case):
    """No case needs a base image, so none needs a store or a registry."""

    base = "no base"

    @classmethod
    def setUpClass(cls):
        pass

    def test_expected_texts(self):
        self.assertGreaterEqual(len(cases()), 35)
        for case in cases():
            with self.subTest(case.name):
                done = self.imgbuild("check", *flags(case), status=3, cwd=case)
                self.assertEqual(done.stdout,
                                 (case / "expected.txt").read_text())
                self.assertEqual(done.stderr, "")

    def test_clean_ones(self):
        for case in cases():
            with self.subTest(case.name):
                done = self.imgbuild("check", "-f", "clean.Dockerfile",
                                     *flags(case), cwd=case)
                self.assertEqual(done.stdout, NOTHING)

    def test_every_rule_has_a_case(self):
        rules = {line.split()[0] for line in
                 self.imgbuild("check", "--rules").stdout.splitlines()}
        # These need an image or a lock: see Checks below.
        elsewhere = {"InvalidBaseImagePlatform", "imgbuild/UnpinnedImage",
                     "imgbuild/LockMismatch"}
        names = {case.name.replace("imgbuild-", "imgbuild/")
                 for case in cases()}
        self.assertEqual(rules - elsewhere - names, set())

    def test_no_store_is_made(self):
        self.imgbuild("check", status=3, cwd=CASES / "StageNameCasing")
        self.assertFalse(self.store.exists())

    def test_build_check_is_the_same(self):
        case = CASES / "UndefinedVar"
        text = (case / "expected.txt").read_text()
        for words in (["--check"], ["--call=check"], ["--call", "lint"]):
            done = self.imgbuild("build", *words, ".", status=3, cwd=case)
            self.assertEqual(done.stdout, text)

    def test_json_is_buildkits(self):
        for name in ("UndefinedVar", "NoEmptyContinuation"):
            case = CASES / name
            expected = json.loads((case / "expected.json").read_text())
            for words in (["check", "--format", "json"],
                          ["build", "--call=check,format=json"]):
                done = self.imgbuild(*words, ".", status=3, cwd=case)
                got = json.loads(done.stdout)
                # The build definition of the peer is its own business.
                self.assertEqual(got, expected)
        done = self.imgbuild("check", "--format=json", "-f",
                             "clean.Dockerfile", cwd=CASES / "UndefinedVar")
        self.assertIsNone(json.loads(done.stdout)["warnings"])

    def test_sarif(self):
        done = self.imgbuild("check", "--format=sarif", status=3,
                             cwd=CASES / "UndefinedVar")
        run = json.loads(done.stdout)["runs"][0]
        self.assertEqual([rule["id"] for rule in
                          run["tool"]["driver"]["rules"]], ["UndefinedVar"])
        first = run["results"][0]
        self.assertEqual(first["ruleId"], "UndefinedVar")
        self.assertEqual(first["level"], "warning")
        place = first["locations"][0]["physicalLocation"]
        self.assertEqual(place["artifactLocation"], {"uri": "Dockerfile"})
        # The word, not only the line.
        self.assertEqual(place["region"],
                         {"startLine": 4, "startColumn": 31,
                          "endLine": 4, "endColumn": 44})

    def test_sarif_of_a_broken_dockerfile(self):
        self.dockerfile("FROM scratch AS A\nCOPY --from=3 / /\n")
        done = self.imgbuild("check", "--format=sarif", status=3)
        results = json.loads(done.stdout)["runs"][0]["results"]
        self.assertEqual([(r["ruleId"], r["level"]) for r in results],
                         [("StageNameCasing", "warning"),
                          ("BuildError", "error")])

    def test_explain(self):
        page = self.imgbuild("check", "--explain", "stagenamecasing").stdout
        self.assertTrue(page.startswith("StageNameCasing\n"), page)
        for part in ("\nFires when: ", "\nWhy: ", "\nBad:\n    FROM",
                     "\nGood:\n    FROM",
                     "More: https://docs.docker.com/go/dockerfile/rule/"):
            self.assertIn(part, page)
        self.assertTrue(self.imgbuild("check", "--explain", "UnusedStage")
                        .stdout.startswith("imgbuild/UnusedStage\n"))

    def test_explain_a_wrong_name(self):
        for wrong, right in (("StageNameCasng", "StageNameCasing"),
                             ("WorkdirRelative", "WorkdirRelativePath"),
                             ("UnusedSatge", "imgbuild/UnusedStage")):
            done = self.imgbuild("check", "--explain", wrong, status=2)
            self.assertEqual(done.error,
                             f'error: there is no check called "{wrong}"\n'
                             f"   = hint: did you mean {right}?\n")

    def test_wrong_words(self):
        self.dockerfile("FROM scratch\n")
        for words, error in (
                (["check", "--format=xml"],
                 'error: unknown --format "xml"\n'
                 "   = hint: the formats are text, json and sarif\n"),
                (["build", "--call=chekc", "."],
                 'error: unknown --call "chekc"\n'
                 "   = hint: did you mean check?\n"),
                (["build", "--call=check,fmt=json", "."],
                 'error: invalid --call: unknown "fmt=json"\n'
                 "   = hint: the form is METHOD[,format=FORMAT]"
                 "[,ignorestatus=true]\n")):
            self.assertEqual(self.imgbuild(*words, status=2).error, error)

    def test_parse_error(self):
        self.dockerfile("FROM scratch AS A\nBOGUS\n")
        done = self.imgbuild("check", status=3)
        self.assertEqual(done.stdout, "")
        self.assertIn('error: unknown instruction "BOGUS"\n'
                      " --> Dockerfile:2:1\n", done.stderr)

    def test_what_a_build_refuses_comes_after_the_findings(self):
        self.dockerfile("FROM scratch AS A\nENV a b\nSTOPSIGNAL NONE\n")
        done = self.imgbuild("check", status=3)
        self.assertIn("2 warnings have been found!", done.stdout)
        self.assertIn('error: invalid signal: "NONE"\n --> Dockerfile:3:12\n',
                      done.stderr)


class Checks(harness.Case):
    def test_unpinned(self):
        name = f"{self.registry.address}/base:1"
        self.dockerfile(f"FROM {name} AS a\nFROM BASE\n"
                        f"COPY --from={name} /bin/sh /x\n"
                        f"RUN --mount=from={name},target=/m true\n"
                        "COPY --from=a /bin/sh /y\n")
        out = self.imgbuild("check", status=3).stdout
        self.assertIn("3 warnings have been found!", out)
        self.assertIn("\nWARNING: imgbuild/UnpinnedImage\n"
                      f"Image {name} is not pinned: it has no digest and there "
                      "is no Dockerfile.lock\nDockerfile:1\n", out)
        # No business of an ordinary build.
        self.assertNotIn("found", self.build().stderr)
        self.dockerfile(f"# check=skip=imgbuild/*\nFROM {name}\n")
        self.assertEqual(self.imgbuild("check").stdout, NOTHING)

    def lock(self, digest):
        self.write("Dockerfile.lock",
                   "version = 1\n\n[[image]]\n"
                   f'name = "{self.registry.address}/base:1"\n'
                   f'digest = "{digest}"\n'
                   'media-type = "application/vnd.oci.image.manifest.v1+json"\n'
                   "size = 500\n\n"
                   '[image.platform."linux/amd64"]\n'
                   f'manifest = "{digest}"\nsize = 500\n'
                   f'config = "{digest}"\n')

    def test_lock(self):
        name = f"{self.registry.address}/base:1"
        self.dockerfile(f"FROM {name}\n")
        self.lock(self.base_digest)
        self.assertEqual(self.imgbuild("check").stdout, NOTHING)
        self.dockerfile(f"FROM {name}@{self.base_digest}\n")
        self.assertEqual(self.imgbuild("check").stdout, NOTHING)
        other = "sha256:" + "1" * 64
        self.lock(other)
        out = self.imgbuild("check", status=3).stdout
        self.assertIn("WARNING: imgbuild/LockMismatch\n"
                      f"Image {name} has the digest {self.base_digest}, but "
                      f"the lock has {other}\n", out)

    def test_base_that_cannot_be_had(self):
        missing = f"{self.registry.address}/missing:1"
        digest = "@sha256:" + "2" * 64
        self.dockerfile(f"FROM {missing}{digest} AS A\n"
                        "ENV a b\nRUN echo $x\nENV c=$d\nCMD x\n")
        done = self.imgbuild("check", status=3)
        # What the base decides is not guessed at.
        self.assertIn("2 warnings have been found!", done.stdout)
        self.assertIn("StageNameCasing", done.stdout)
        self.assertIn("LegacyKeyValueFormat", done.stdout)
        self.assertIn(f"note: {missing}{digest} could not be had: ",
                      done.stderr)
        self.assertIn("note: not judged for what stands on it: UndefinedVar, "
                      "JSONArgsRecommended, InvalidBaseImagePlatform\n",
                      done.stderr)
        unjudged = json.loads(self.imgbuild(
            "check", "--format=json", status=3).stdout)["unjudged"]
        self.assertEqual(unjudged[0]["image"], missing + digest)

    def test_offline_asks_nobody(self):
        self.dockerfile("FROM BASE\nENV c=$d\n")
        before = len(self.registry.requests())
        done = self.imgbuild("check", "--offline")
        self.assertEqual(done.stdout, NOTHING)
        self.assertIn("could not be had", done.stderr)
        self.assertEqual(len(self.registry.requests()), before)
        # With the registry the variable is known to be undefined …
        self.imgbuild("check", status=3)
        # … and the store remembers the base's config.
        before = len(self.registry.requests())
        self.imgbuild("check", "--offline", status=3)
        self.assertEqual(len(self.registry.requests()), before)

    def test_base_of_another_platform(self):
        self.dockerfile("FROM BASE\nENV a=1\n")
        done = self.imgbuild("check", "--platform=linux/arm64", status=3)
        self.assertIn(
            "WARNING: InvalidBaseImagePlatform\n"
            f"Base image {self.base} was pulled with platform "
            '"linux/amd64", expected "linux/arm64" for current build\n',
            done.stdout)
        done = self.build("--platform=linux/arm64")
        self.assertEqual(done.stderr.count("linux/arm64"), 1, str(done))

    def test_build_tells_at_its_end(self):
        self.dockerfile("FROM BASE AS Up\n"
                        "ENV depth 3\n"
                        "COPY $missing Dockerfile /x/\n"
                        "CMD echo hello\n"
                        "FROM Up\n"
                        "ENV a=1\n")
        done = self.build()
        summary = (
            "\n 4 warnings found (imgbuild check explains them):\n"
            " - StageNameCasing: Stage name 'Up' should be lowercase "
            "(line 1)\n"
            f"     1 | {f'FROM {self.base} AS Up'[:100]}…\n"
            ' - LegacyKeyValueFormat: "ENV key=value" should be used instead '
            'of legacy "ENV key value" format (line 2)\n'
            "     2 | ENV depth 3\n"
            " - UndefinedVar: Usage of undefined variable '$missing' "
            "(line 3)\n"
            "     3 | COPY $missing Dockerfile /x/\n"
            " - JSONArgsRecommended: JSON arguments recommended for CMD to "
            "prevent unintended behavior related to OS signals (line 4)\n"
            "     4 | CMD echo hello\n")
        self.assertTrue(done.stderr.endswith(summary), str(done))
        # Once, and on a second build again, although nothing ran.
        self.assertEqual(done.stderr.count("StageNameCasing"), 1)
        self.assertTrue(self.build().stderr.endswith(summary))
        self.assertNotIn("found", self.build("-q").stderr)
        events = self.build("--progress=rawjson").stderr.splitlines()
        warnings = [json.loads(line)["text"] for line in events
                    if '"warning"' in line]
        self.assertEqual(len(warnings), 4)
        self.assertEqual(warnings[0], "StageNameCasing: Stage name 'Up' should "
                                      "be lowercase (line 1)")

    def test_error_directive(self):
        self.dockerfile("# check=error=true\nFROM BASE AS Up\n"
                        "RUN echo ran\nENV a b\n")
        done = self.build("-t", "never:1", status=3)
        self.assert_error(
            done, "error: lint violation found for rules: "
                  "LegacyKeyValueFormat, StageNameCasing\n"
                  "   = hint: check=error=true asks for this; imgbuild check "
                  "explains them\n")
        self.assertIn(" 2 warnings found ", done.stderr)
        self.assertNotIn("ran", done.stderr.replace("RUN echo ran", ""))
        self.assertEqual(self.image_names(), [])
        # The build argument takes the directive's place.
        arg = "--build-arg=BUILDKIT_DOCKERFILE_CHECK="
        self.build(arg)
        self.build(arg + "error=true;skip=StageNameCasing", status=3)
        self.build(arg + "error=true;skip=StageNameCasing,LegacyKeyValueFormat")
        # Ours alone do not fail an ordinary build.
        self.dockerfile("# check=error=true\n"
                        f"FROM {self.registry.address}/base:1 AS unused\n"
                        "FROM BASE\nENV a=1\n")
        self.build()
        self.imgbuild("check", status=3)

    def test_warnings_of_a_build_that_fails(self):
        self.dockerfile("FROM BASE AS Up\nRUN exit 3\n")
        done = self.build(status=1)
        self.assertIn(" 1 warning found (imgbuild check explains it):\n"
                      " - StageNameCasing", done.stderr)
        self.assertLess(done.stderr.index("1 warning found"),
                        done.stderr.index("error: process"))

    def test_dockerfile_from_standard_input(self):
        done = self.imgbuild("check", "-f", "-", ".", status=3,
                             stdin=b"FROM scratch AS A\n")
        self.assertIn("\n<stdin>:1\n", done.stdout)
        done = self.imgbuild("check", "-", status=3,
                             stdin=b"FROM scratch AS A\nCOPY x /\n")
        self.assertIn("1 warning has been found!", done.stdout)


if __name__ == "__main__":
    unittest.main()
