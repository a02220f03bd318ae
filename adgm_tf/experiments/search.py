"""The search for the best recipe, in the small: changes to the skip model with a virtual adversarial term."""

from __future__ import annotations

from adgm_tf.experiments.definitions import Experiment, TableRow
from adgm_tf.experiments.outputs import Results

# What grey_batch_linear_2e-3 and the changes to it share; of a flag that is given twice, the last counts.
RECIPE = ("--binarization=none --entropy_weight=1 --normalization=batch --learning_rate=2e-3 "
          "--learning_rate_schedule=linear --compute_dtype=bfloat16")
SHARES_8 = f"{RECIPE} --unlabelled_batch_size=200 --consistency_weight=8 --entropy_weight=2 --balance_weight=8"
SHARES_16 = f"{RECIPE} --unlabelled_batch_size=200 --consistency_weight=16 --entropy_weight=4 --balance_weight=16"
VARIANTS = {
    "base": "",
    "entropy_1": "--entropy_weight=1",
    "beta_0.1": "--classification_beta=0.1",
    "weight_40": "--consistency_weight=40",
    "frozen": "--auxiliary_start=wide --freeze_auxiliary",
    "adgm_frozen": "--model=adgm --auxiliary_start=wide --freeze_auxiliary",
    "grey_entropy_1": "--binarization=none --entropy_weight=1",
    "grey_entropy_1_batch": "--binarization=none --entropy_weight=1 --normalization=batch",
    "grey_batch_linear_2e-3": RECIPE,
    "grey_batch_linear_2e-3_float32": f"{RECIPE} --compute_dtype=float32",
    "grey_layer_linear_2e-3": f"{RECIPE} --normalization=layer",
    "grey_batch_linear_2e-3_icml": f"{RECIPE} --model=adgm_icml",
    "grey_batch_linear_2e-3_adgm": f"{RECIPE} --model=adgm",
    "grey_batch_linear_2e-3_bound": f"{RECIPE} --classifier=bound --eval_every=3000",
    "grey_batch_linear_2e-3_ema": f"{RECIPE} --ema_decay=0.999",
    "grey_batch_linear_2e-3_kl_warmup": f"{RECIPE} --kl_warmup_steps=1000",
    "grey_batch_linear_2e-3_importance_5": f"{RECIPE} --num_importance_samples=5 --class_sum=exact",
    "grey_batch_linear_2e-3_labelled_50": f"{RECIPE} --labelled_batch_size=50",
    "grey_batch_linear_2e-3_unlabelled_200": f"{RECIPE} --unlabelled_batch_size=200",
    "grey_batch_linear_2e-3_unlabelled_200_shares": f"{RECIPE} --unlabelled_batch_size=200 --balance_weight=4",
    "grey_batch_linear_2e-3_unlabelled_200_shares_8": SHARES_8,
    "grey_batch_linear_2e-3_unlabelled_200_shares_16": SHARES_16,
    "grey_batch_linear_2e-3_unlabelled_200_shares_8_noise_0.3": f"{SHARES_8} --input_noise=0.3",
    "grey_batch_linear_2e-3_labelled_20_unlabelled_200":
        f"{RECIPE} --labelled_batch_size=20 --unlabelled_batch_size=200",
    "grey_batch_linear_2e-3_labelled_50_unlabelled_200":
        f"{RECIPE} --labelled_batch_size=50 --unlabelled_batch_size=200",
    "grey_batch_linear_2e-3_samples_5": f"{RECIPE} --num_samples=5",
    "grey_batch_balanced": "--binarization=none --normalization=batch --classification_beta=0.1 "
                           "--consistency_weight=60 --entropy_weight=60 --compute_dtype=bfloat16",
    "grey_batch_balanced_linear_2e-3":
        f"{RECIPE} --classification_beta=0.1 --consistency_weight=60 --entropy_weight=60",
    "grey_batch_shares_linear_2e-3":
        f"{RECIPE} --classification_beta=0.1 --consistency_weight=60 --entropy_weight=60 --balance_weight=60",
    "grey_batch_shares_light_linear_2e-3":
        f"{RECIPE} --classification_beta=0.02 --consistency_weight=12 --entropy_weight=12 --balance_weight=12",
    "grey_batch_warmup_linear_2e-3":
        f"{RECIPE} --consistency_weight=60 --entropy_weight=60 --consistency_warmup_steps=2000",
    "grey_batch_warmup_shares_linear_2e-3":
        f"{RECIPE} --consistency_weight=60 --entropy_weight=60 --balance_weight=60 --consistency_warmup_steps=2000",
    "shares_8_units_1000": f"{SHARES_8} --hidden_units=1000,1000",
    "shares_8_steps_6000": f"{SHARES_8} --num_steps=6000",
    "shares_8_steps_6000_radius_3": f"{SHARES_8} --num_steps=6000 --consistency_radius=3",
    "grey_batch_balanced_light": "--binarization=none --normalization=batch --classification_beta=0.02 "
                                 "--consistency_weight=12 --entropy_weight=12 --compute_dtype=bfloat16",
}

EXPERIMENT = Experiment(
    "search", "The search for the best recipe: 3,000 steps a variant, compared on 1,000 validation images.",
    tuple(TableRow(name, "search", ("search/flags.txt",), tuple(flags.split())) for name, flags in VARIANTS.items()),
    outputs=(Results("search/results.csv", "search", tuple(VARIANTS)),))
