"""check_includes.py must find what it is there to find: each test lays out a
small tree with one thing wrong (or none) and compares the whole output."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = (pathlib.Path(__file__).resolve().parents[2] / "tools" /
          "check_includes.py")


def run(files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = pathlib.Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        result = subprocess.run(
            [sys.executable, str(SCRIPT), "--root", root],
            capture_output=True, text=True, check=False)
        assert result.stderr == "", result.stderr
        return result.returncode, result.stdout.splitlines()


class CheckIncludes(unittest.TestCase):
    def expect(self, files, *findings):
        self.assertEqual(run(files), (1 if findings else 0, list(findings)))

    def test_third_party_in_the_wrong_file_of_its_module(self):
        self.expect({
            "src/store/a.cc": "#include <vector>\n#include <sqlite3.h>\n",
            "src/store/sqlite.cc": "#include <sqlite3.h>\n",
            "src/store/CMakeLists.txt": "SOURCES a.cc sqlite.cc",
        }, "src/store/a.cc:2: <sqlite3.h> belongs to "
           "src/store/sqlite[a-z_]*.(cc|h)")

    def test_clean_tree(self):
        self.expect({
            "src/store/a.cc": '#include "store/b.h"\n'
                              '#include "imgbuild/layer/tar.h"\n'
                              "#include <vector>\n",
            "src/store/CMakeLists.txt": "SOURCES a.cc",
            "include/imgbuild/cli/x.h": '#include "imgbuild/build/y.h"\n',
        })

    def test_higher_rank(self):
        self.expect({
            "include/imgbuild/oci/a.h":
                '\n#include "imgbuild/store/store.h"\n',
        }, 'include/imgbuild/oci/a.h:2: "imgbuild/store/store.h": oci '
           "(rank 1) may not include store (rank 3)")

    def test_same_rank_other_module(self):
        self.expect({
            "src/plan/a.h": '#  include "store/layout.h"\n',
        }, 'src/plan/a.h:1: "store/layout.h": plan (rank 3) may not include '
           "store (rank 3)")

    def test_unknown_module_and_bare_name(self):
        self.expect({
            "src/plan/a.h": '#include "b.h"\n#include "imgbuild/plam/c.h"\n',
            "src/plan/c.h": '#include "a.h"\n',
        }, 'src/plan/a.h:1: "b.h": there is no such file beside this one',
           'src/plan/a.h:2: "imgbuild/plam/c.h": there is no module plam')

    def test_third_party_in_a_header_or_a_foreign_module(self):
        self.expect({
            "src/oci/a.h": "#include <nlohmann/json.hpp>\n",
            "src/build/b.cc": '#include "curl/curl.h"\n',
            "src/build/CMakeLists.txt": "b.cc",
        }, "src/build/b.cc:1: <curl/curl.h> belongs to "
           "src/registry/curl_[a-z_]+.(cc|h)",
           "src/oci/a.h:1: <nlohmann/json.hpp> belongs to "
           "src/(cli/.*|lock/json_place|exec/yaml_reader).h|src/.*.cc")

    def test_source_or_test_that_is_not_built(self):
        self.expect({
            "src/oci/a.cc": "",
            "src/oci/CMakeLists.txt": "SOURCES aa.cc",
            "tests/oci/b_test.cc": "",
        }, "src/oci/a.cc:1: not listed in src/oci/CMakeLists.txt",
           "tests/oci/b_test.cc:1: not listed in tests/oci/CMakeLists.txt")

    def test_dead_link(self):
        self.expect({
            "README.md": "[a](src/oci/README.md#x) [b](https://x.example/)\n"
                         "[c](no/such.md)\n",
            "src/oci/README.md": "[up](../../README.md)\n",
        }, "README.md:2: the link leads nowhere: no/such.md")


if __name__ == "__main__":
    unittest.main()
