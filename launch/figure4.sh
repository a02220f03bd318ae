#!/usr/bin/env bash
# Figure 4: test error against epochs. Trains the rows that are missing and draws launch/figure4/convergence.png from
# launch/figure4/curves.csv, where the curves of runs that are not here are kept.
# launch/figure4.sh --data_dir=FOLDER [--split=S ...] [FLAG of table1.sh ...]     splits 0, 1 and 2 if none is named
# launch/figure4.sh --redraw                                      draws what is stored
set -euo pipefail
[[ " $* " != *" --help "* ]] || exec sed -n '2,/^set/{s/^# \{0,1\}//p;}' "$0"
launch="$(cd "$(dirname "$0")" && pwd)"
. "$launch/arguments.sh"
only_same_rows "$@"
rows=(adgm_1mc adgm_10mc adgm_deterministic m2)
if [[ " $* " != *" --redraw "* ]]; then
  [[ " $* " = *" --split="* ]] || set -- --split=0 --split=1 --split=2 "$@"
  "$launch/table1.sh" "${rows[@]/#/--row=}" "$@"
fi
. "$launch/environment.sh"
order="$(IFS=,; echo "${rows[*]}")"
"$PYTHON" -m adgm_tf.report --runs="$(printf 'runs/table1/%s/*,' "${rows[@]}")" --order="$order" --merge \
  --curves="$launch/figure4/convergence.png" --curves_csv="$launch/figure4/curves.csv" --tensorboard=runs/figures
