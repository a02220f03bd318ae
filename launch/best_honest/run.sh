#!/usr/bin/env bash
# The best recipe, launch/table1/best_honest.txt, on ten splits: results.csv, curves.csv, curves.png, minutes.csv and
# minutes.png beside this script, the minutes to 5, 3 and 2 % test error, and samples.png and analogies.png of split 0.
# Goes on where it stopped; runs that are not here keep their lines.
# launch/best_honest/run.sh --data_dir=FOLDER [--split=S ...] [FLAG of table1.sh ...]
# launch/best_honest/run.sh --redraw                              collects and draws what has been run
set -euo pipefail
[[ " $* " != *" --help "* ]] || exec sed -n '2,/^set/{s/^# \{0,1\}//p;}' "$0"
here="$(cd "$(dirname "$0")" && pwd)"
. "$here/../arguments.sh"
only_same_rows "$@"
splits=(--split={0..9})
[[ " $* " != *" --split="* ]] || splits=()
if [[ " $* " != *" --redraw "* ]]; then
  "$here/../table1.sh" --row=best_honest ${splits[@]+"${splits[@]}"} "$@"
fi
. "$here/../environment.sh"
"$PYTHON" -m adgm_tf.report --runs='runs/table1/best_honest/*' --csv="$here/results.csv" --merge
"$PYTHON" -m adgm_tf.report --runs='runs/table1/best_honest/*' --merge --errors=test,hidden --reached=5,3,2 \
  --curves="$here/curves.png" --curves_csv="$here/curves.csv"
# Beside the same with convolutional layers and the poster's model, where they have been run.
compared=best_honest_conv_long,best_honest,adgm_10mc,adgm_1mc
"$PYTHON" -m adgm_tf.report --runs="$(printf 'runs/table1/%s/*,' ${compared//,/ })" --merge --against=minutes --order="$compared" \
  --curves="$here/minutes.png"
if [ -f runs/table1/best_honest/0/results.json ]; then
  "$PYTHON" -m adgm_tf.sample --run_dir=runs/table1/best_honest/0
  cp runs/table1/best_honest/0/figures/{samples,analogies}.png "$here/"
fi
