#!/usr/bin/env bash
# What the order of the unlabelled images gives away: error on test images and on training images whose labels are hidden,
# against epochs, for the order of the authors' code and for a random one. Trains the rows that are missing and draws
# launch/table1/class_sorted.png from launch/table1/class_sorted.csv, where the curves of runs that are not here are kept.
# launch/class_sorted.sh --data_dir=FOLDER [FLAG of table1.sh ...]
# launch/class_sorted.sh --redraw                                 draws what is stored
set -euo pipefail
launch="$(cd "$(dirname "$0")" && pwd)"
rows=(workshop2015_class_sorted workshop2015_shuffled)
if [ "${1:-}" != --redraw ]; then
  "$launch/table1.sh" "${rows[@]/#/--row=}" "$@"
fi
. "$launch/environment.sh"
"$PYTHON" -m adgm_tf.report --runs="$(printf 'runs/table1/%s/*,' "${rows[@]}")" --merge --errors=test,hidden \
  --curves="$launch/table1/class_sorted.png" --curves_csv="$launch/table1/class_sorted.csv" --tensorboard=runs/figures
