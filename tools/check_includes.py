#!/usr/bin/env python3
"""Checks what no compiler checks about the tree. A CTest runs it.

  1. Includes go to a module of a lower rank, or stay in the module.
  2. A third-party header is seen only where THIRD_PARTY allows it.
  3. Every source of src/ and every test file of tests/ stands in the
     CMakeLists.txt beside it: a test that is not run does not fail.
  4. Relative links in the README files lead to something.

Prints `FILE:LINE: what is wrong` for each finding; exit status 1 if any.
"""

import argparse
import pathlib
import re
import sys

RANK = {
    "util": 0,
    "oci": 1, "dockerfile": 1,
    "context": 2, "layer": 2, "registry": 2,
    "store": 3, "plan": 3, "lock": 3,
    "exec": 4, "transfer": 4,
    "build": 5, "container": 5,
    "cli": 6,
}

# (header, files that may include it). The first row that matches decides; a
# header that no row matches is the system's.
SOURCES_ONLY = r"src/.*\.cc"
THIRD_PARTY = [
    (r"antlr4-runtime.*|Dockerfile(Lexer|Parser)\.h",
     r"src/dockerfile/(syntax|parser|ast_builder)\.cc"),
    # Private to the module: its own header shares the types of libcurl.
    (r"curl/.*", r"src/registry/curl_[a-z_]+\.(cc|h)"),
    (r"archive(_entry)?\.h", r"src/layer/.*"),
    (r"(libdeflate|zstd|isa-l)(\.h|/.*)", r"src/layer/.*\.cc"),
    (r"openssl/.*", r"src/oci/.*\.cc"),
    (r"sqlite3\.h", r"src/store/sqlite[a-z_]*\.(cc|h)"),
    (r"CLI/.*", r"src/cli/args\.cc"),
    (r"toml\+\+/.*", r"src/(lock/[a-z_]+\.(cc|h)|registry/registries_conf\.cc)"),
    (r"seccomp\.h", r"src/exec/seccomp_compile\.cc"),
    (r"re2/.*", r"src/lock/policy_regexp\.cc"),
    # What --format and inspect show are JSON values.
    (r"nlohmann/.*", r"src/(cli/.*|lock/json_place|exec/yaml_reader)\.h|" + SOURCES_ONLY),
    (r"(fmt|spdlog)/.*", SOURCES_ONLY),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def read(path):
    return path.read_text(encoding="utf-8")


def module_of(relative):
    """src/M/…, include/imgbuild/M/… → M"""
    parts = relative.parts
    return parts[1] if parts[0] == "src" else parts[2]


def target_module(header):
    """imgbuild/M/x.h, M/x.h → M"""
    parts = header.split("/")
    return parts[1] if parts[0] == "imgbuild" else parts[0]


def check_rank(module, header):
    target = target_module(header)
    if target not in RANK:
        return f'"{header}": there is no module {target}'
    if target == module or RANK[target] < RANK[module]:
        return None
    return (f'"{header}": {module} (rank {RANK[module]}) may not include '
            f"{target} (rank {RANK[target]})")


def check_third_party(file, header):
    for pattern, allowed in THIRD_PARTY:
        if re.fullmatch(pattern, header):
            if re.fullmatch(allowed, file):
                return None
            return f"<{header}> belongs to {allowed.replace(chr(92), '')}"
    return None


def check_header(path, relative, module, quoted, angled):
    header = quoted or angled
    third_party = any(re.fullmatch(row[0], header) for row in THIRD_PARTY)
    if angled or third_party:
        return check_third_party(str(relative), header)
    if "/" in quoted:
        return check_rank(module, quoted)
    # A private header of the module itself.
    return (None if (path.parent / quoted).exists() else
            f'"{quoted}": there is no such file beside this one')


def check_includes(root):
    for top in ("src", "include/imgbuild"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".cc", ".h"):
                continue
            relative = path.relative_to(root)
            module = module_of(relative)
            if module not in RANK:
                yield f"{relative}:1: there is no module {module}"
                continue
            for number, line in enumerate(read(path).splitlines(), 1):
                match = INCLUDE.match(line)
                if not match:
                    continue
                wrong = check_header(path, relative, module, *match.groups())
                if wrong:
                    yield f"{relative}:{number}: {wrong}"


def check_listed(root):
    for pattern in ("src/*/*.cc", "tests/*/*_test.cc", "tests/*/*_test.py"):
        for path in sorted(root.glob(pattern)):
            lists = path.parent / "CMakeLists.txt"
            relative = path.relative_to(root)
            listed = read(lists) if lists.exists() else ""
            if not re.search(rf"(?<![\w.-]){re.escape(path.name)}(?![\w.-])",
                             listed):
                yield (f"{relative}:1: not listed in "
                       f"{lists.relative_to(root)}")


def check_links(root):
    for path in [root / "README.md", *sorted(root.glob("src/*/README.md"))]:
        if not path.exists():
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            for target in LINK.findall(line):
                if re.match(r"[a-z]+:|#", target):
                    continue
                if not (path.parent / target.split("#")[0]).exists():
                    yield (f"{path.relative_to(root)}:{number}: "
                           f"the link leads nowhere: {target}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--root", type=pathlib.Path,
        default=pathlib.Path(__file__).resolve().parent.parent)
    root = parser.parse_args().root
    findings = [*check_includes(root), *check_listed(root),
                *check_links(root)]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
