#!/usr/bin/env bash
# Figure 5: ten samples of z by ten classes, and the style of test images in every class. Writes launch/figure5/samples.png and
# analogies.png, and beside them the results.json of their run.
# launch/figure5.sh [--run_dir=RUN] [--data_dir=FOLDER] [--num_steps=N] [--core=N]
# RUN is the longest of table1's adgm_1mc if not given, trained if missing, with the other flags.
set -euo pipefail
[[ " $* " != *" --help "* ]] || exec sed -n '2,/^set/{s/^# \{0,1\}//p;}' "$0"
. "$(dirname "$0")/finished_run.sh"
"$PYTHON" -m adgm_tf.sample --run_dir="$run_dir" ${data_dir[@]+"${data_dir[@]}"}
mkdir -p "$launch/figure5"
cp "$run_dir/figures/samples.png" "$run_dir/figures/analogies.png" "$run_dir/results.json" "$launch/figure5/"
