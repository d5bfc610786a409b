#!/bin/bash
# Formats every C++ file that git knows, or with --check only tells which ones
# are not formatted (exit status 1).
set -euo pipefail
cd "$(dirname "$0")/.."

mode=(-i)
case ${1:-} in
  '') ;;
  --check) mode=(--dry-run -Werror) ;;
  *)
    echo "usage: tools/format.sh [--check]" >&2
    exit 2
    ;;
esac
command -v clang-format >/dev/null || tools/setup dev
git ls-files -z '*.cc' '*.h' | xargs -0 clang-format "${mode[@]}"
