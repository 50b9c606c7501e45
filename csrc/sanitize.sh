#!/bin/sh
# Builds the native library with AddressSanitizer and UndefinedBehaviorSanitizer, and runs under them first the kernels
# over arrays of exact size, then the tests of the engines. Usage: csrc/sanitize.sh [PYTHON [TEST...]]
set -eu
cd "$(dirname "$0")/.."
python=${1:-python3}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- tests/engines tests/layers/test_directions.py tests/layers/test_stepper.py \
  tests/layers/test_linear.py tests/layers/test_rows.py
build=build/sanitize
mkdir -p "$build"
cmake -S . -B "$build" -DRECURRA_SANITIZE=ON -DCMAKE_BUILD_TYPE=Release >"$build.log" 2>&1 ||
  { cat "$build.log" >&2; exit 1; }
cmake --build "$build" --parallel 2

export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
"$build/check"

# Python and torch are not built with the sanitizer: it has to be loaded before them, and their leaks are not ours. What is
# freed is held back for a while, but not for so long that tests see memory grow.
compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
LD_PRELOAD="$("$compiler" -print-file-name=libasan.so) $("$compiler" -print-file-name=libstdc++.so)" \
ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=8 RECURRA_LIBRARY="$build/librecurra.so" \
"$python" -m pytest -p no:cacheprovider "$@"
