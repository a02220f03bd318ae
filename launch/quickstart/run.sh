#!/usr/bin/env bash
# The quickstart's training on three splits: results.csv, comparison.txt and samples.png beside this script.
# Goes on where it stopped.
set -euo pipefail
[[ " $* " != *" --help "* ]] || exec sed -n '2,/^set/{s/^# \{0,1\}//p;}' "$0"
. "$(dirname "$0")/../environment.sh"
here="$ROOT/launch/quickstart"
comparison=""
for split in 0 1 2; do
  run_dir="runs/quickstart/defaults/$split"
  [ -f "$run_dir/results.json" ] || "$PYTHON" -m adgm_tf.train --split_seed="$split" --run_dir="$run_dir"
  line="$("$PYTHON" -m adgm_tf.evaluate --run_dir="$run_dir" --label_spreading | tail -n 1)"
  comparison+="split $split: $line"$'\n'
done
printf '%s' "$comparison" | tee "$here/comparison.txt"
"$PYTHON" -m adgm_tf.sample --run_dir=runs/quickstart/defaults/0
cp runs/quickstart/defaults/0/figures/samples.png "$here/samples.png"
"$PYTHON" -m adgm_tf.report --runs='runs/quickstart/defaults/*' --csv="$here/results.csv"
