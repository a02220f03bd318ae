#!/usr/bin/env bash
# Figure 3: the KL of each unit of a and z, sorted, of a trained run, and of one whose q(a|x) is as it was drawn at the
# start. Writes to launch/figure3: kl_per_unit.png and evaluation.json, untrained.png and untrained.json.
# launch/figure3.sh [--run_dir=RUN] [--data_dir=FOLDER] [--num_steps=N] [--core=N]
# RUN is the longest of table1's adgm_1mc if not given, trained if missing, with the other flags.
set -euo pipefail
. "$(dirname "$0")/finished_run.sh"
mkdir -p "$launch/figure3"
"$PYTHON" -m adgm_tf.evaluate --run_dir="$run_dir"
cp "$run_dir/figures/kl_per_unit.png" "$run_dir/evaluation.json" "$launch/figure3/"
untrained=runs/figure3/untrained
"$PYTHON" -m adgm_tf.train --flagfile="$launch/table1/flags.txt" --model=adgm --auxiliary_start=wide --freeze_auxiliary \
  --num_steps=1 --run_dir="$untrained" ${data_dir[@]+"${data_dir[@]}"}
"$PYTHON" -m adgm_tf.evaluate --run_dir="$untrained"
cp "$untrained/figures/kl_per_unit.png" "$launch/figure3/untrained.png"
cp "$untrained/evaluation.json" "$launch/figure3/untrained.json"
