#!/usr/bin/env bash
# What the order of the unlabelled images gives away: error on test images and on training images whose labels are hidden,
# against epochs, for the order of the authors' code and for a random one, with 1 sample of a and with 10. Trains the rows
# that are missing and draws launch/table1/class_sorted.png and class_sorted_10mc.png from the CSV files beside them, where
# the curves of runs that are not here are kept, and the log of the authors' code.
# launch/class_sorted.sh --data_dir=FOLDER [FLAG of table1.sh ...]
# launch/class_sorted.sh --redraw                                 draws what is stored
set -euo pipefail
launch="$(cd "$(dirname "$0")" && pwd)"
orders=(class_sorted shuffled)
if [ "${1:-}" != --redraw ]; then
  "$launch/table1.sh" "${orders[@]/#/--row=workshop2015_}" "${orders[@]/#/--row=workshop2015_10mc_}" "$@"
fi
. "$launch/environment.sh"

# draw PICTURE PREFIX_OF_THE_ROWS
draw() {
  local rows=("${orders[@]/#/$2_}")
  "$PYTHON" -m adgm_tf.report --runs="$(printf 'runs/table1/%s/*,' "${rows[@]}")" --merge --errors=test,hidden \
    --order="$(IFS=,; echo "${rows[*]}")" --curves="$launch/table1/$1.png" --curves_csv="$launch/table1/$1.csv" \
    --tensorboard=runs/figures
}
draw class_sorted workshop2015
draw class_sorted_10mc workshop2015_10mc
