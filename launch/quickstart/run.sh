#!/usr/bin/env bash
# The quickstart's training on three splits; results.csv beside this script. Goes on where it stopped.
set -euo pipefail
. "$(dirname "$0")/../environment.sh"
for split in 0 1 2; do
  run_dir="runs/quickstart/defaults/$split"
  [ -f "$run_dir/results.json" ] || "$PYTHON" -m adgm_tf.train --split_seed="$split" --run_dir="$run_dir"
  "$PYTHON" -m adgm_tf.evaluate --run_dir="$run_dir" --label_spreading | tail -n 1
done
"$PYTHON" -m adgm_tf.report --runs='runs/quickstart/defaults/*' --csv="$ROOT/launch/quickstart/results.csv"
