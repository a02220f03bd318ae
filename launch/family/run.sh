#!/usr/bin/env bash
# 3,000 steps of every row of the family on MNIST, three splits; results.csv beside this script. Goes on where it stopped;
# runs that are not here keep their lines, and of two of these commands at once each takes what the other has not.
# launch/family/run.sh FOLDER [ROW ...]      FOLDER holds prepared TFDS data sets; SPLITS="1 2" before it names some splits
set -euo pipefail
[[ " $* " != *" --help "* ]] || exec sed -n '2,/^set/{s/^# \{0,1\}//p;}' "$0"
. "$(dirname "$0")/../arguments.sh"
folder_named "${1:-}"
data_dir="$1"
known=(adgm adgm_deterministic adgm_icml sdgm m2 m1 avae)
rows=("${@:2}")
[ ${#rows[@]} -gt 0 ] || rows=("${known[@]}")
for row in "${rows[@]}"; do
  if [[ " ${known[*]} " != *" $row "* ]]; then
    echo "error: row=$row: known: ${known[*]}" >&2
    exit 2
  fi
done
. "$(dirname "$0")/../environment.sh"
for split in ${SPLITS:-0 1 2}; do
  for row in "${rows[@]}"; do
    run_dir="runs/family/$row/$split"
    claimed "runs/family/$row/.$split.lock" && [ ! -f "$run_dir/results.json" ] || continue
    "$PYTHON" -m adgm_tf.train --flagfile="$ROOT/launch/family/flags.txt" --model="$row" --split_seed="$split" \
      --data_dir="$data_dir" --run_dir="$run_dir"
  done
done
"$PYTHON" -m adgm_tf.report --runs='runs/family/*/*' --csv="$ROOT/launch/family/results.csv" --merge --order="$(IFS=,; echo "${known[*]}")"
