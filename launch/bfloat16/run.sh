#!/usr/bin/env bash
# 6,000 steps of the poster's model with matrix products in float32 and in bfloat16, the same seeds, three splits;
# results.csv beside this script. Goes on where it stopped; runs that are not here keep their lines.
# launch/bfloat16/run.sh FOLDER [FLAG ...]      FOLDER holds prepared TFDS data sets; FLAGs go to train
set -euo pipefail
[[ " $* " != *" --help "* ]] || exec sed -n '2,/^set/{s/^# \{0,1\}//p;}' "$0"
. "$(dirname "$0")/../arguments.sh"
folder_named "${1:-}"
data_dir="$1"
only_same_experiment "${@:2}"
. "$(dirname "$0")/../environment.sh"
for split in 0 1 2; do
  for dtype in float32 bfloat16; do
    run_dir="runs/bfloat16/$dtype/$split"
    [ -f "$run_dir/results.json" ] ||
      "$PYTHON" -m adgm_tf.train --flagfile="$ROOT/launch/table1/flags.txt" --model=adgm \
        --compute_dtype="$dtype" --split_seed="$split" --data_dir="$data_dir" --run_dir="$run_dir" "${@:2}"
  done
done
"$PYTHON" -m adgm_tf.report --runs='runs/bfloat16/*/*' --csv="$ROOT/launch/bfloat16/results.csv" --merge --order=float32,bfloat16
