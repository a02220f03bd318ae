#!/usr/bin/env bash
# Table 1's adgm_1mc with matrix products in float32 and in bfloat16, the same seeds; results.csv beside this script.
# Goes on where it stopped.
# launch/bfloat16/run.sh FOLDER [FLAG ...]      FOLDER holds prepared TFDS data sets; FLAGs go to train
set -euo pipefail
. "$(dirname "$0")/../environment.sh"
data_dir="${1:?name the folder of TFDS data sets}"
for dtype in float32 bfloat16; do
  run_dir="runs/bfloat16/$dtype/0"
  [ -f "$run_dir/results.json" ] ||
    "$PYTHON" -m adgm_tf.train --flagfile="$ROOT/launch/table1/flags.txt" --flagfile="$ROOT/launch/table1/adgm_1mc.txt" \
      --compute_dtype="$dtype" --data_dir="$data_dir" --run_dir="$run_dir" "${@:2}"
done
"$PYTHON" -m adgm_tf.report --runs='runs/bfloat16/*/*' --csv="$ROOT/launch/bfloat16/results.csv" --merge --order=float32,bfloat16
