"""What is measured: training steps by name, and what each is compared with."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.data import source as source_lib
from adgm_tf.data import splits as splits_lib
from adgm_tf.experiments.speed import naive
from adgm_tf.training import plan as plan_lib
from adgm_tf.training import systems
from adgm_tf.training.step import Trainer

EXAMPLES = 4000


@dataclasses.dataclass(frozen=True)
class Case:
    """One kind of training step on synthetic images of 28 x 28; the fields not named here are those of `Config`."""

    model: str = "adgm"
    mode: str = "exact"
    batch_size: int = 100
    num_samples: int = 1
    share_latent: bool = False
    num_classes: int = 10
    normalization: str = "none"
    consistency: str = "none"
    compute_dtype: str = "float32"
    xla: bool = False
    entropy_weight: float = 0.0
    balance_weight: float = 0.0

    @property
    def name(self) -> str:
        """The case in words: what differs from the defaults."""
        parts = [self.model, self.mode, f"batch {self.batch_size}+{self.batch_size}"]
        if self.num_samples > 1:
            parts.append(f"{self.num_samples} samples" + (" with a common z" if self.share_latent else ""))
        if self.num_classes != 10:
            parts.append(f"{self.num_classes} classes")
        options = (self.normalization, self.consistency, self.compute_dtype)
        parts += [v for v in options if v not in ("none", "float32")]
        parts += [term for term in ("entropy", "balance") if getattr(self, f"{term}_weight")]
        return ", ".join([*parts, *(["xla"] if self.xla else [])])

    def config(self) -> Config:
        """Returns the configuration: the sizes of the poster."""
        return Config(
            model=self.model, class_sum="topk" if self.mode == "topk" else "exact", num_samples=self.num_samples,
            labelled_batch_size=self.batch_size, unlabelled_batch_size=self.batch_size, xla=self.xla,
            share_latent=self.share_latent, normalization=self.normalization, compute_dtype=self.compute_dtype,
            consistency=self.consistency, entropy_weight=self.entropy_weight, balance_weight=self.balance_weight,
            num_labels=str(max(100, self.num_classes)))

    def trainer(self, strategy: tf.distribute.Strategy | None = None) -> Trainer:
        """Builds what trains it."""
        config, splits = self.config(), synthetic(self.num_classes)
        splits = splits_lib.split(splits, config)
        system = systems.of(self.model)
        if self.mode == "naive":
            system = dataclasses.replace(system, build=naive.build)
        return Trainer(config, plan_lib.make(config, splits), splits, strategy or tf.distribute.get_strategy(),
                       system=system)


def synthetic(num_classes: int) -> source_lib.Source:
    """Returns noise in the shape of MNIST with any number of classes."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (EXAMPLES, 28, 28, 1), np.uint8)
    y = np.arange(EXAMPLES, dtype=np.int32) % num_classes
    return source_lib.Source("synthetic", x, y, x[:10], y[:10], tuple(map(str, range(num_classes))))


BASE = Case()
QUICK = {
    "exact": BASE,
    "naive": Case(mode="naive"),
    "topk": Case(mode="topk"),
    "exact_10_samples": Case(num_samples=10),
    "topk_10_samples": Case(mode="topk", num_samples=10),
    "topk_10_samples_shared": Case(mode="topk", num_samples=10, share_latent=True),
    "topk_1000_classes": Case(mode="topk", num_classes=1000),
    "exact_batch_500": Case(batch_size=500),
    "bfloat16_batch_100": Case(compute_dtype="bfloat16"),
    "bfloat16_batch_500": Case(batch_size=500, compute_dtype="bfloat16"),
    "exact_layer": Case(normalization="layer"),
    "exact_batch": Case(normalization="batch"),
    "exact_xla": Case(xla=True),
    "three_terms": Case("sdgm", "topk", normalization="batch", consistency="vat", entropy_weight=2.0,
                        balance_weight=1.0),
}
FULL = QUICK | {
    "defaults_topk": Case("sdgm", "topk", consistency="vat"),
    "defaults_exact": Case("sdgm", consistency="vat"),
    "topk_xla": Case(mode="topk", xla=True),
    "icml_exact": Case("adgm_icml"),
    "icml_naive": Case("adgm_icml", "naive"),
    "icml_topk": Case("adgm_icml", "topk"),
    "exact_100_classes": Case(num_classes=100),
    "topk_100_classes": Case(mode="topk", num_classes=100),
    "exact_1000_classes": Case(num_classes=1000),
    "topk_batch_500": Case(mode="topk", batch_size=500),
    "exact_batch_2000": Case(batch_size=2000),
    "topk_batch_2000": Case(mode="topk", batch_size=2000),
    "naive_10_samples": Case(mode="naive", num_samples=10),
    "icml_naive_10_samples": Case("adgm_icml", "naive", num_samples=10),
    "icml_exact_10_samples": Case("adgm_icml", num_samples=10),
    "icml_topk_10_samples": Case("adgm_icml", "topk", num_samples=10),
}
# Ratios of seconds a step: name -> (case above, case below).
RATIOS = {
    "exact_over_naive": ("naive", "exact"),
    "topk_over_exact": ("exact", "topk"),
    "topk_over_exact_10_samples": ("exact_10_samples", "topk_10_samples"),
    "shared_over_topk_10_samples": ("topk_10_samples", "topk_10_samples_shared"),
    "shared_10_over_1_samples": ("topk_10_samples_shared", "topk"),
    "topk_1000_over_10_classes": ("topk_1000_classes", "topk"),
    "exact_1000_over_10_classes": ("exact_1000_classes", "exact"),
    "bfloat16_over_float32_batch_100": ("exact", "bfloat16_batch_100"),
    "bfloat16_over_float32_batch_500": ("exact_batch_500", "bfloat16_batch_500"),
    "ten_over_one_samples": ("exact_10_samples", "exact"),
    "layer_normalization_over_none": ("exact_layer", "exact"),
    "batch_normalization_over_none": ("exact_batch", "exact"),
    "xla_over_plain": ("exact", "exact_xla"),
    "icml_exact_over_naive": ("icml_naive", "icml_exact"),
    "defaults_topk_over_exact": ("defaults_exact", "defaults_topk"),
    "icml_topk_over_exact": ("icml_exact", "icml_topk"),
}
# Ratios whose arithmetic is counted too, as <name>_counted.
COUNTED = ("exact_over_naive", "topk_over_exact", "topk_over_exact_10_samples", "icml_exact_over_naive",
           "icml_topk_over_exact")
