#!/bin/bash
# Runs clang-tidy (.clang-tidy) over the sources.
#
#   tools/tidy.sh [FILE.cc]...    (default: every .cc file of src/)
#
# The two files that include ANTLR's runtime are left out: clang 14 cannot read
# its headers.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v clang-tidy >/dev/null || tools/setup dev
[ -e build/compile_commands.json ] || cmake --preset release
if [ $# -gt 0 ]; then
  files=("$@")
else
  mapfile -t files < <(git ls-files 'src/*.cc')
fi
mapfile -t files < <(
  for file in "${files[@]}"; do
    grep -q '^#include <antlr4-runtime.h>' "$file" || echo "$file"
  done
)
printf '%s\0' "${files[@]}" |
  xargs -0 -n 1 -P "$(nproc)" clang-tidy --quiet -p build
