#!/usr/bin/env bash
# Steps to 5 and to 3 % test error on MNIST with 100 labels, topk against exact, the same seeds, three splits, and the time
# of a step of each, measured in turn when the runs are over. Goes on where it stopped; runs that are not here keep their points.
# launch/minutes_to_error/run.sh FOLDER [FLAG ...]      FOLDER holds prepared TFDS data sets; FLAGs go to train;
# SPLITS="1 2" before it names some splits
set -euo pipefail
[[ " $* " != *" --help "* ]] || exec sed -n '2,/^set/{s/^# \{0,1\}//p;}' "$0"
. "$(dirname "$0")/../arguments.sh"
folder_named "${1:-}"
data_dir="$1"
only_same_experiment "${@:2}"
. "$(dirname "$0")/../environment.sh"
here="$ROOT/launch/minutes_to_error"
for split in ${SPLITS:-0 1 2}; do
  for class_sum in topk exact; do
    run_dir="runs/minutes_to_error/$class_sum/$split"
    [ -f "$run_dir/results.json" ] ||
      "$PYTHON" -m adgm_tf.train --flagfile="$here/flags.txt" --class_sum="$class_sum" --split_seed="$split" \
        --data_dir="$data_dir" --run_dir="$run_dir" "${@:2}"
  done
done
"$PYTHON" -m adgm_tf.benchmark --only=defaults_topk,defaults_exact --rounds=9 --json="$here/step_seconds.json"
"$PYTHON" -m adgm_tf.report --runs='runs/minutes_to_error/*/*' --curves="$here/curves.png" --merge --order=topk,exact --reached=5,3
