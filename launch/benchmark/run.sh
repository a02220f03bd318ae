#!/usr/bin/env bash
# The benchmark as the README beside it shows it; nothing else should run meanwhile. FLAGs go to benchmark, such as --rounds=5.
set -euo pipefail
[[ " $* " != *" --help "* ]] || exec sed -n '2,/^set/{s/^# \{0,1\}//p;}' "$0"
. "$(dirname "$0")/../environment.sh"
"$PYTHON" -m adgm_tf.benchmark --json="$ROOT/launch/benchmark/benchmark.json" "$@"
