#!/usr/bin/env bash
# Figure 4: test error against epochs. Trains the rows that are missing and draws launch/figure4/convergence.png from
# launch/figure4/curves.csv, where the curves of runs that are not here are kept.
# launch/figure4.sh --data_dir=FOLDER [FLAG of table1.sh ...]
# launch/figure4.sh --redraw                                      draws what is stored
set -euo pipefail
launch="$(cd "$(dirname "$0")" && pwd)"
rows=(adgm_1mc adgm_10mc adgm_deterministic m2)
if [ "${1:-}" != --redraw ]; then
  "$launch/table1.sh" "${rows[@]/#/--row=}" "$@"
fi
. "$launch/environment.sh"
order="$(IFS=,; echo "${rows[*]}")"
"$PYTHON" -m adgm_tf.report --runs="$(printf 'runs/table1/%s/*,' "${rows[@]}")" --order="$order" --merge \
  --curves="$launch/figure4/convergence.png" --curves_csv="$launch/figure4/curves.csv" --tensorboard=runs/figures
