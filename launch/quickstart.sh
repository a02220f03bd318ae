#!/usr/bin/env bash
# Trains with 100 labels of the embedded MNIST images, evaluates, draws, exports. Flags are passed through to train.
set -euo pipefail
. "$(dirname "$0")/environment.sh"

run_dir="runs/quickstart-$(date +%Y%m%d-%H%M%S)"
flags=()
while [ $# -gt 0 ]; do
  case "$1" in
    --run_dir=* | -run_dir=*) run_dir="${1#*=}" ;;
    --run_dir | -run_dir) run_dir="${2:?--run_dir needs a folder}"; shift ;;
    --help | --helpfull | --helpshort) exec "$PYTHON" -m adgm_tf.train "$1" ;;
    *) flags+=("$1") ;;
  esac
  shift
done

"$PYTHON" -m adgm_tf.train --run_dir="$run_dir" --track_test ${flags[@]+"${flags[@]}"}
if [ ! -d "$run_dir/checkpoints" ]; then
  echo "Result:       $run_dir/results.json, of a baseline that keeps no weights"
  exit 0
fi
evaluation="$("$PYTHON" -m adgm_tf.evaluate --run_dir="$run_dir" --label_spreading)"
# A model without a bound is a classifier, and draws nothing.
! grep -q "^bound_nats" <<<"$evaluation" || "$PYTHON" -m adgm_tf.sample --run_dir="$run_dir" >/dev/null
exported="$("$PYTHON" -m adgm_tf.export --run_dir="$run_dir" | tail -n 1)"

printf '\n%s\n\n' "$evaluation"
echo "Result:       $(tail -n 1 <<<"$evaluation")"
echo "Figures:      $run_dir/figures"
echo "SavedModel:   $exported"
echo "TensorBoard:  $VENV/bin/tensorboard --logdir $run_dir"
echo "Full MNIST:   $PYTHON -m adgm_tf.train --dataset=mnist --data_dir=FOLDER"
echo "              FOLDER is one of TensorFlow Datasets; what is missing there is downloaded."
