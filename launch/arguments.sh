# Sourced by the other scripts, whose arguments it checks: `same_experiment FLAG` tells whether a run with this flag of train
# is the same experiment. The others end a script with one line: `only_same_experiment FLAG ...` one that would put the results
# of another experiment among its own, `only_same_rows OPTION ...` the same for options of table1.sh,
# `whole_number --NAME=VALUE` one whose VALUE is none, `folder_named FOLDER` one whose first argument names no folder.

whole_number() {
  case "${1#*=}" in
    "" | *[!0-9]* | 0?*)
      echo "error: ${1#--}: must be a whole number" >&2
      exit 2 ;;
  esac
}

folder_named() {
  case "${1:-}" in
    "" | -*)
      echo "error: FOLDER=${1:-}: must be the folder of prepared TFDS data sets" >&2
      exit 2 ;;
  esac
}

same_experiment() {
  case "$1" in
    --data_dir=* | --steps_per_call=* | --eval_every=* | --checkpoint_every=* | --keep_checkpoints=* | --eval_batch_size=* | \
      --xla | --xla=* | --profile_steps=*) ;;
    *) return 1 ;;
  esac
}

only_same_experiment() {
  local argument
  for argument in "$@"; do
    if ! same_experiment "$argument"; then
      echo "error: $argument: makes another experiment, whose results do not belong among these; launch/table1.sh takes it" >&2
      exit 2
    fi
  done
}

# As only_same_experiment, for the options of table1.sh.
only_same_rows() {
  local argument
  for argument in "$@"; do
    case "$argument" in
      --redraw | --split=* | --seed=* | --num_steps=* | --core=*) ;;
      *) only_same_experiment "$argument" ;;
    esac
  done
}
