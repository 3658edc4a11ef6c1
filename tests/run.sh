#!/usr/bin/env bash
# The tests. Sets itself up like launch/quickstart.sh; needs Python 3.11+ and nothing else.
#
#     bash tests/run.sh [pytest arguments]     everything, on what is installed or the newest versions
#     bash tests/run.sh --style                what ruff and mypy say
#     bash tests/run.sh --oldest [...]         the quick ones, on the oldest jax and flax supported (Colab's TPU image)
set -euo pipefail
source "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/../launch/environment.sh"
if [ "${1:-}" = "--oldest" ]; then
    shift
    set_up jax==0.7.2 flax==0.11.2
    set -- -m "not slow" "$@"
else
    set_up
fi
cd "$root"
if [ "${1:-}" = "--style" ]; then
    "$python" -m ruff format --check .
    "$python" -m ruff check .
    exec "$python" -m mypy
fi
"$python" -c 'import sys, jax, flax; print(f"Python {sys.version.split()[0]}, jax {jax.__version__}, flax {flax.__version__}")'
# Two at a time: most tests keep little more than one core busy. A file's tests share what they made.
exec "$python" -m pytest --numprocesses=2 --dist=loadfile --durations=10 "$@"
