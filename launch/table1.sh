#!/usr/bin/env bash
# Trains rows of Table 1 on MNIST with 100 labels and prints the table. Goes on where it stopped.
#
# launch/table1.sh --data_dir=FOLDER [--row=NAME ...] [--split=S ...] [--seed=S] [--num_steps=N] [--core=N] [FLAG ...]
#
# A NAME that is no row stands for the rows that begin with it; without one, every row is trained.
# --split chooses the labelled images (0 if not given), --seed the weights and the noise.
# --num_steps=N trains a run of another length; the table has the longest of each (row, split, seed).
# --core=N keeps to one core. Several of these commands at once share the rows: each takes what no other has taken.
# Other FLAGs go to train. Those that make the row another experiment put its runs and its table under runs/varied-*,
# the others under runs/ and launch/table1, and launch/unsupervised for the rows without a classifier.
set -euo pipefail
launch="$(cd "$(dirname "$0")" && pwd)"
. "$launch/arguments.sh"
table1=(adgm_1mc adgm_10mc adgm_deterministic m2 m1m2 adgm_icml sdgm adgm_iw sdgm_iw supervised_100 supervised_all vat
  ladder atlas_rbf label_spreading self_training workshop2015_class_sorted workshop2015_shuffled workshop2015_trained
  workshop2015_10mc_class_sorted workshop2015_10mc_shuffled best_honest best_honest_long best_honest_conv
  best_honest_conv_long)
unsupervised=(avae m1)
known=("${table1[@]}" "${unsupervised[@]}")

# The row of that name, or those that begin with it.
rows_named() {
  local row begin=""
  for row in "${known[@]}"; do
    if [ "$row" = "$1" ]; then
      echo "$row"
      return
    fi
    [[ "$row" != "$1"* ]] || begin+="$row "
  done
  echo "$begin"
}

rows=() splits=() flags=() other=() core="" suffix=""
for argument in "$@"; do
  value="${argument#*=}"
  case "$argument" in
    --help | -h) sed -n '2,/^set/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
    --row=*)
      meant="$(rows_named "$value")"
      if [ -z "$value" ] || [ -z "$meant" ]; then
        echo "error: row=$value: known: ${known[*]}" >&2
        exit 2
      fi
      rows+=($meant) ;;
    --split=*) whole_number "$argument"; splits+=("$value") ;;
    --run_dir=* | --split_seed=*)
      echo "error: ${argument#--}: this script names the run directories, and --split the labels" >&2
      exit 2 ;;
    --seed=*) whole_number "$argument"; flags+=("$argument"); suffix+="-seed$value" ;;
    --num_steps=*) flags+=("$argument"); suffix+="-steps$value" ;;
    --core=*) whole_number "$argument"; core="$value" ;;
    --*)
      flags+=("$argument")
      same_experiment "$argument" || other+=("$argument") ;;
    *)
      echo "error: $argument: every option is a flag, --name=value" >&2
      exit 2 ;;
  esac
done
[ ${#rows[@]} -gt 0 ] || rows=("${known[@]}")
[ ${#splits[@]} -gt 0 ] || splits=(0)
runs=runs results="$launch"
if [ ${#other[@]} -gt 0 ]; then
  runs="runs/varied-$(printf '%s\n' "${other[@]}" | cksum | cut -d ' ' -f 1)"
  results="$runs"
fi

. "$launch/environment.sh"
[ -z "$core" ] || keep_to_core "$core"

entry() { "$PYTHON" -m "adgm_tf.$1" "${@:2}"; }

# train_run RUN_DIR FLAGFILE [FLAG ...]
train_run() {
  [ ! -f "$1/results.json" ] || return 0
  entry train --flagfile="$launch/table1/flags.txt" --flagfile="$2" --split_seed="$split" --run_dir="$1" "${@:3}" \
    ${flags[@]+"${flags[@]}"}
}

# Whether the log-likelihood of the test images has been estimated with the last weights of the run.
evaluated() {
  local step
  step="$(sed -n 's/^  "steps": \([0-9]*\),$/"step": \1,/p' "$1/results.json")"
  grep -qsF -- "$step" "$1/evaluation/test-importance1000.json"
}

collect() {
  local published="$results/$1/published.csv" beside=()
  [ ! -f "$published" ] || beside=(--published="$published")
  entry report --runs="$runs/$1/*/*" --csv="$results/$1/results.csv" --merge --order="$(IFS=,; echo "${known[*]}")" \
    ${beside[@]+"${beside[@]}"}
}

# run ROW: both of its stages, if it has two, and what is measured beyond training.
run() {
  local row="$1" run_dir="$runs/$section/$1/$name" features=()
  if [ -f "$run_dir/results.json" ] && [ "$section" = table1 ]; then
    echo "$run_dir: finished before"
    return
  fi
  if [ -f "$launch/table1/features/$row.txt" ]; then
    train_run "$runs/features/$row/$name" "$launch/table1/features/$row.txt" || return
    features=(--features_run="$runs/features/$row/$name")
  fi
  train_run "$run_dir" "$launch/$section/$row.txt" ${features[@]+"${features[@]}"} || return
  if [ "$section" = unsupervised ] && ! evaluated "$run_dir"; then
    entry evaluate --run_dir="$run_dir" --num_importance_samples=1000 || return
  fi
  collect "$section" >/dev/null
}

sections=() failed=()
for split in "${splits[@]}"; do
  for row in "${rows[@]}"; do
    section=table1 name="$split$suffix"
    [ ! -f "$launch/unsupervised/$row.txt" ] || section=unsupervised
    [[ " ${sections[*]-} " = *" $section "* ]] || sections+=("$section")
    if ! claimed "$runs/$section/$row/.$name.lock"; then
      echo "$runs/$section/$row/$name: another process is at it"
      continue
    fi
    status=0
    run "$row" || status=$?
    [ $status -lt 128 ] || exit $status
    [ $status -eq 0 ] || failed+=("$runs/$section/$row/$name")
  done
done
for section in "${sections[@]}"; do
  echo
  collect "$section" || failed+=("$section")
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "error: not finished: ${failed[*]}" >&2
  exit 2
fi
