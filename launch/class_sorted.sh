#!/usr/bin/env bash
# What the order of the unlabelled images gives away: error on test images and on training images whose labels are hidden,
# against epochs, for the order of the authors' code and for a random one, with 1 sample of a and with 10; and with 1, what
# leaving q(a|x) untrained does. Trains the rows that are missing and draws class_sorted.png and class_sorted_10mc.png of
# launch/table1 from the CSV files beside them, where the curves of runs that are not here are kept.
# launch/class_sorted.sh --data_dir=FOLDER [--split=S ...] [FLAG of table1.sh ...]     splits 0, 1 and 2 if none is named
# launch/class_sorted.sh --redraw                                 draws what is stored
set -euo pipefail
[[ " $* " != *" --help "* ]] || exec sed -n '2,/^set/{s/^# \{0,1\}//p;}' "$0"
launch="$(cd "$(dirname "$0")" && pwd)"
. "$launch/arguments.sh"
only_same_rows "$@"
one_sample=(workshop2015_{class_sorted,shuffled,trained})
ten_samples=(workshop2015_10mc_{class_sorted,shuffled})
if [[ " $* " != *" --redraw "* ]]; then
  [[ " $* " = *" --split="* ]] || set -- --split=0 --split=1 --split=2 "$@"
  "$launch/table1.sh" "${one_sample[@]/#/--row=}" "${ten_samples[@]/#/--row=}" "$@"
fi
. "$launch/environment.sh"

# draw PICTURE ROW ...
draw() {
  "$PYTHON" -m adgm_tf.report --runs="$(printf 'runs/table1/%s/*,' "${@:2}")" --merge --errors=test,hidden \
    --order="$(IFS=,; echo "${*:2}")" --curves="$launch/table1/$1.png" --curves_csv="$launch/table1/$1.csv" \
    --tensorboard=runs/figures
}
draw class_sorted "${one_sample[@]}"
draw class_sorted_10mc "${ten_samples[@]}"
