"""build --call: what a Dockerfile takes and makes, in the words of
docker buildx, whose answers testdata/outline has."""

import json
import pathlib
import tempfile
import unittest

import harness

CASES = pathlib.Path(__file__).parents[2] / "testdata" / "outline"


class Calls(harness.Case):
    def call(self, case, method, **more):
        words = (case / "args.txt").read_text().split()
        return self.imgbuild("build", f"--call={method}", *words, ".",
                             cwd=case, **more).stdout

    def test_expected_texts(self):
        cases = sorted(CASES.iterdir())
        self.assertGreater(len(cases), 3)
        for case in cases:
            for method in ("outline", "targets"):
                with self.subTest(case=case.name, method=method):
                    self.assertEqual(self.call(case, method),
                                     (case / f"{method}.txt").read_text())
                    self.assertEqual(self.call(case, f"{method},format=json"),
                                     (case / f"{method}.json").read_text())
        self.assertFalse(self.store.exists())

    def test_older_spelling(self):
        case = CASES / "described"
        text = (case / "outline.txt").read_text()
        for words in (["--print", "outline"], ["--print=outline,format=text"],
                      ["--call=targets", "--call", "outline"]):
            done = self.imgbuild("build", *words, ".", cwd=case)
            self.assertEqual(done.stdout, text)

    def test_describe(self):
        self.dockerfile("FROM scratch\n")
        self.assertEqual(
            self.build("--call=subrequests.describe").stdout,
            "NAME                 VERSION DESCRIPTION\n"
            "outline              1.0.0   List all parameters current build "
            "target supports\n"
            "targets              1.0.0   List all targets current build "
            "supports\n"
            "subrequests.describe 1.0.0   List available subrequest types\n")
        listed = json.loads(
            self.build("--call=subrequests.describe,format=json").stdout)
        self.assertEqual([item["name"] for item in listed],
                         ["frontend.outline", "frontend.targets",
                          "frontend.subrequests.describe"])

    def test_triggers_of_the_base_take_part(self):
        with tempfile.TemporaryDirectory() as layout:
            harness.write_layout(
                layout, harness.busybox_tar(),
                config={"OnBuild": ["ARG FROM_BASE=1",
                                    "RUN --mount=type=secret,id=s true"]})
            digest = self.registry.push(layout, "trigger")
        self.dockerfile(
            f"FROM {self.registry.address}/trigger@{digest}\nARG OWN\n")
        self.assertEqual(self.build("--call=outline").stdout,
                         "BUILD ARG   VALUE   DESCRIPTION\n"
                         "FROM_BASE   1       \n"
                         "OWN                 \n\n"
                         "SECRET   REQUIRED\n"
                         "s        \n\n")

    def test_a_base_that_cannot_be_had(self):
        self.dockerfile(f"FROM {self.registry.address}/nosuch:1\nARG A\n")
        done = self.build("--call=outline", status=4)
        self.assertEqual(done.stdout, "")
        self.assertIn("nosuch", done.error)
        self.assertIn("(default)", self.build("--call=targets").stdout)

    def test_findings_may_be_ignored(self):
        self.dockerfile("FROM scratch AS Upper\n")
        self.build("--call=check", status=3)
        self.build("--call=check,ignorestatus=true")
        self.build("--call=check,ignorestatus=false", status=3)

    def test_wrong_words(self):
        self.dockerfile("FROM scratch\n")
        for call, text in (
                ("outlin", "did you mean outline?"),
                ("outline,format=sarif", "has no format sarif"),
                ("outline,format=jsn", "did you mean json?"),
                ("targets,ignorestatus", 'unknown "ignorestatus"'),
                ("build,format=json", "--call build takes no format")):
            self.assertIn(text, self.build("--call", call, status=2).error)
        self.assertIn("nosuch", self.build("--call=outline", "--target",
                                           "nosuch", status=3).error)


if __name__ == "__main__":
    unittest.main()
