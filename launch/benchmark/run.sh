#!/usr/bin/env bash
# The benchmark as the README shows it; nothing else should run meanwhile. FLAGs go to benchmark, such as --rounds=5.
set -euo pipefail
. "$(dirname "$0")/../environment.sh"
"$PYTHON" -m adgm_tf.benchmark --json="$ROOT/launch/benchmark/benchmark.json" "$@"
