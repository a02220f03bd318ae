#!/usr/bin/env bash
# 3,000 steps of every row of the family on MNIST; results.csv beside this script. Goes on where it stopped.
# launch/family/run.sh FOLDER [ROW ...]      FOLDER holds prepared TFDS data sets
set -euo pipefail
. "$(dirname "$0")/../environment.sh"
data_dir="${1:?name the folder of TFDS data sets}"
shift
rows=("$@")
[ ${#rows[@]} -gt 0 ] || rows=(adgm adgm_deterministic adgm_icml sdgm m2 m1 avae)
for row in "${rows[@]}"; do
  run_dir="runs/family/$row/0"
  [ -f "$run_dir/results.json" ] ||
    "$PYTHON" -m adgm_tf.train --flagfile="$ROOT/launch/family/flags.txt" --model="$row" --data_dir="$data_dir" --run_dir="$run_dir"
done
"$PYTHON" -m adgm_tf.report --runs='runs/family/*/*' --csv="$ROOT/launch/family/results.csv"
