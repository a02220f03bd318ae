#!/usr/bin/env bash
# Figure 3: the KL of each unit of a and z, sorted. Writes launch/figure3/kl_per_unit.png and, with its numbers,
# launch/figure3/evaluation.json.
# launch/figure3.sh [--run_dir=RUN] [FLAG of table1.sh ...]       RUN is table1's adgm_1mc if not given, trained if missing
set -euo pipefail
. "$(dirname "$0")/finished_run.sh"
"$PYTHON" -m adgm_tf.evaluate --run_dir="$run_dir"
mkdir -p "$launch/figure3"
cp "$run_dir/figures/kl_per_unit.png" "$run_dir/evaluation.json" "$launch/figure3/"
