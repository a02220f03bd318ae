#!/usr/bin/env bash
# Figure 3: the KL of each unit of a and z, sorted. Writes to launch/figure3 a PNG and a JSON file
# of a trained run (kl_per_unit), of one whose q(a|x) is as it was drawn at the start (untrained), and of the runs of
# table1's workshop2015_trained that are here, which train q(a|x) from that start (workshop2015_trained_SPLIT).
# launch/figure3.sh [--run_dir=RUN] [--data_dir=FOLDER] [--num_steps=N] [--core=N]
# RUN is the longest of table1's adgm_1mc on split 0 if not given, trained if missing, with the other flags.
set -euo pipefail
[[ " $* " != *" --help "* ]] || exec sed -n '2,/^set/{s/^# \{0,1\}//p;}' "$0"
. "$(dirname "$0")/finished_run.sh"
mkdir -p "$launch/figure3"

# draw RUN NAME
draw() {
  "$PYTHON" -m adgm_tf.evaluate --run_dir="$1" ${data_dir[@]+"${data_dir[@]}"}
  cp "$1/figures/kl_per_unit.png" "$launch/figure3/$2.png"
  cp "$1/evaluation/test.json" "$launch/figure3/$2.json"
}

draw "$run_dir" kl_per_unit
untrained=runs/figure3/untrained
"$PYTHON" -m adgm_tf.train --flagfile="$launch/table1/flags.txt" --model=adgm --auxiliary_start=wide --freeze_auxiliary \
  --num_steps=1 --run_dir="$untrained" ${data_dir[@]+"${data_dir[@]}"}
draw "$untrained" untrained
for found in runs/table1/workshop2015_trained/*/results.json; do
  [ ! -f "$found" ] || draw "${found%/results.json}" "workshop2015_trained_$(basename "${found%/results.json}")"
done
