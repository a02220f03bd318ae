#!/usr/bin/env bash
# The search for the best recipe, in the small: changes to the skip model with a virtual adversarial term, on split 0 of
# MNIST with 100 labels unless others are named, 3,000 steps, compared on 1,000 validation images. Goes on where it stopped.
# launch/search/run.sh --data_dir=FOLDER [--core=N] [--variant=NAME ...] [--split=S ...] [FLAG ...]
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
. "$here/../arguments.sh"
# What grey_batch_linear_2e-3 and the changes to it share; of a flag that is given twice, the last counts.
recipe="--binarization=none --entropy_weight=1 --normalization=batch --learning_rate=2e-3 --learning_rate_schedule=linear --compute_dtype=bfloat16"
shares_8="$recipe --unlabelled_batch_size=200 --consistency_weight=8 --entropy_weight=2 --balance_weight=8"
# Name and flags of each.
variants=(
  "base"
  "entropy_1 --entropy_weight=1"
  "beta_0.1 --classification_beta=0.1"
  "weight_40 --consistency_weight=40"
  "frozen --auxiliary_start=wide --freeze_auxiliary"
  "adgm_frozen --model=adgm --auxiliary_start=wide --freeze_auxiliary"
  "grey_entropy_1 --binarization=none --entropy_weight=1"
  "grey_entropy_1_batch --binarization=none --entropy_weight=1 --normalization=batch"
  "grey_batch_linear_2e-3 $recipe"
  "grey_batch_linear_2e-3_float32 $recipe --compute_dtype=float32"
  "grey_layer_linear_2e-3 $recipe --normalization=layer"
  "grey_batch_linear_2e-3_icml $recipe --model=adgm_icml"
  "grey_batch_linear_2e-3_adgm $recipe --model=adgm"
  "grey_batch_linear_2e-3_bound $recipe --classifier=bound --eval_every=3000"
  "grey_batch_linear_2e-3_ema $recipe --ema_decay=0.999"
  "grey_batch_linear_2e-3_kl_warmup $recipe --kl_warmup_steps=1000"
  "grey_batch_linear_2e-3_importance_5 $recipe --num_importance_samples=5 --class_sum=exact"
  "grey_batch_linear_2e-3_labelled_50 $recipe --labelled_batch_size=50"
  "grey_batch_linear_2e-3_unlabelled_200 $recipe --unlabelled_batch_size=200"
  "grey_batch_linear_2e-3_unlabelled_200_shares $recipe --unlabelled_batch_size=200 --balance_weight=4"
  "grey_batch_linear_2e-3_unlabelled_200_shares_8 $shares_8"
  "grey_batch_linear_2e-3_unlabelled_200_shares_16 $recipe --unlabelled_batch_size=200 --consistency_weight=16 --entropy_weight=4 --balance_weight=16"
  "grey_batch_linear_2e-3_unlabelled_200_shares_8_noise_0.3 $shares_8 --input_noise=0.3"
  "grey_batch_linear_2e-3_labelled_20_unlabelled_200 $recipe --labelled_batch_size=20 --unlabelled_batch_size=200"
  "grey_batch_linear_2e-3_labelled_50_unlabelled_200 $recipe --labelled_batch_size=50 --unlabelled_batch_size=200"
  "grey_batch_linear_2e-3_samples_5 $recipe --num_samples=5"
  "grey_batch_balanced --binarization=none --normalization=batch --classification_beta=0.1 --consistency_weight=60 --entropy_weight=60 --compute_dtype=bfloat16"
  "grey_batch_balanced_linear_2e-3 $recipe --classification_beta=0.1 --consistency_weight=60 --entropy_weight=60"
  "grey_batch_shares_linear_2e-3 $recipe --classification_beta=0.1 --consistency_weight=60 --entropy_weight=60 --balance_weight=60"
  "grey_batch_shares_light_linear_2e-3 $recipe --classification_beta=0.02 --consistency_weight=12 --entropy_weight=12 --balance_weight=12"
  "grey_batch_warmup_linear_2e-3 $recipe --consistency_weight=60 --entropy_weight=60 --consistency_warmup_steps=2000"
  "grey_batch_warmup_shares_linear_2e-3 $recipe --consistency_weight=60 --entropy_weight=60 --balance_weight=60 --consistency_warmup_steps=2000"
  "shares_8_units_1000 $shares_8 --hidden_units=1000,1000"
  "shares_8_steps_6000 $shares_8 --num_steps=6000"
  "shares_8_steps_6000_radius_3 $shares_8 --num_steps=6000 --consistency_radius=3"
  "grey_batch_balanced_light --binarization=none --normalization=batch --classification_beta=0.02 --consistency_weight=12 --entropy_weight=12 --compute_dtype=bfloat16"
)
names=("${variants[@]%% *}")

chosen=() splits=() flags=() core=""
for argument in "$@"; do
  value="${argument#*=}"
  case "$argument" in
    --help | -h) sed -n '2,/^set/{s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
    --variant=*)
      if [[ " ${names[*]} " != *" $value "* ]]; then
        echo "error: variant=$value: known: ${names[*]}" >&2
        exit 2
      fi
      chosen+=("$value") ;;
    --split=*) whole_number "$argument"; splits+=("$value") ;;
    --core=*) whole_number "$argument"; core="$value" ;;
    --*)
      only_same_experiment "$argument"
      flags+=("$argument") ;;
    *)
      echo "error: $argument: every option is a flag, --name=value" >&2
      exit 2 ;;
  esac
done
[ ${#chosen[@]} -gt 0 ] || chosen=("${names[@]}")
[ ${#splits[@]} -gt 0 ] || splits=(0)
. "$here/../environment.sh"
[ -z "$core" ] || keep_to_core "$core"
for split in "${splits[@]}"; do
  for variant in "${variants[@]}"; do
    read -r -a given <<<"$variant"
    run_dir="runs/search/${given[0]}/$split"
    [[ " ${chosen[*]} " = *" ${given[0]} "* ]] && [ ! -f "$run_dir/results.json" ] || continue
    if ! claimed "runs/search/${given[0]}/.$split.lock"; then
      echo "$run_dir: another process is at it"
      continue
    fi
    "$PYTHON" -m adgm_tf.train --flagfile="$here/flags.txt" --split_seed="$split" --run_dir="$run_dir" \
      ${given[@]+"${given[@]:1}"} ${flags[@]+"${flags[@]}"}
  done
done
"$PYTHON" -m adgm_tf.report --runs='runs/search/*/*' --csv="$here/results.csv" --merge --order="$(IFS=,; echo "${names[*]}")"
