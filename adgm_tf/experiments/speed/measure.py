"""Measures cases alternately in one process, and the machine's own rate of matrix products beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from adgm_tf.experiments.speed import cases, counting
from adgm_tf.model import seeds
from adgm_tf.model.contract import Batch
from adgm_tf.training.step import Trainer

PRODUCT = counting.Product(10_000, 500, 500, False, False)
SECONDS_A_TURN = 0.7
# Cases whose matrix products are also timed with nothing between them: what is left of a step is everything else.
ALSO_PRODUCTS_ALONE = ("exact", "topk")


class Timed:
    """Repeatable work: `run(n)` does it n times; a turn measures about `SECONDS_A_TURN` of it."""

    def __init__(self, run: Callable[[int], object]):
        start = time.perf_counter()
        run(1)
        self.first_seconds = time.perf_counter() - start
        start = time.perf_counter()
        run(2)
        self.run, self.repeats = run, max(1, round(2 * SECONDS_A_TURN / (time.perf_counter() - start)))
        self.seconds: list[float] = []

    def turn(self) -> None:
        """Measures the seconds of one repetition, once."""
        start = time.perf_counter()
        self.run(self.repeats)
        self.seconds.append((time.perf_counter() - start) / self.repeats)


def products_alone(products: Sequence[counting.Product], dtype: tf.DType = tf.float32) -> Timed:
    """Returns matrix products of given shapes, with nothing between them, as work."""
    def operands(p: counting.Product) -> tuple[tf.Tensor, tf.Tensor]:
        shapes = ([p.rows, p.inner][:: -1 if p.transpose_a else 1], [p.inner, p.columns][:: -1 if p.transpose_b else 1])
        return tuple(tf.cast(tf.random.stateless_normal(s, [0, 0]), dtype) for s in shapes)

    by_shape = {p: operands(p) for p in set(products)}

    def run(repeats: int) -> None:
        for _ in range(repeats):
            for p in products:
                tf.linalg.matmul(*by_shape[p], transpose_a=p.transpose_a, transpose_b=p.transpose_b)

    return Timed(run)


def counted(trainer: Trainer) -> list[counting.Product]:
    """Returns the matrix products of one step of `trainer`, forward and backward."""
    plan, dim = trainer.plan, trainer.model.sizes.x_dim
    x = tf.TensorSpec([plan.labelled_batch_size + plan.unlabelled_batch_size, dim])

    def step(x: tf.Tensor, y: tf.Tensor) -> Any:
        return trainer.loss_and_gradients(Batch(x, x, None, y), seeds.of_run(0))

    y = tf.TensorSpec([plan.labelled_batch_size], tf.int32)
    return counting.products(tf.function(step, autograph=False).get_concrete_function(x, y))


def measure(chosen: Mapping[str, cases.Case], rounds: int) -> dict[str, Any]:
    """Measures cases and the machine's product rates in turn, `rounds` times over.

    Returns:
      For each case its figures, for the machine its rates, and every ratio that both its cases were measured for.
    """
    trainers = {name: case.trainer() for name, case in chosen.items()}
    products = {name: counted(trainer) for name, trainer in trainers.items()}
    timed = {name: Timed(trainer.train) for name, trainer in trainers.items()}
    timed["products_float32"] = products_alone([PRODUCT])
    timed["products_bfloat16"] = products_alone([PRODUCT], tf.bfloat16)
    for name in ALSO_PRODUCTS_ALONE:
        if name in chosen:
            timed[f"products_of_{name}"] = products_alone(products[name])
    for _ in range(rounds):
        for work in timed.values():
            work.turn()
    rates = {d: _spread([2e-9 * PRODUCT.multiply_adds / s for s in timed[f"products_{d}"].seconds])
             for d in ("float32", "bfloat16")}
    figures = {name: _figures(case, products[name], timed[name], rates) for name, case in chosen.items()}
    return {"cases": figures, "product_gflops": rates, "ratios": _ratios(figures, timed)}


def _figures(case: cases.Case, products: Sequence[counting.Product], work: Timed, rates: Mapping[str, Any]) -> dict:
    multiply_adds = sum(p.multiply_adds for p in products)
    seconds = np.median(work.seconds)
    gflops = 2e-9 * multiply_adds / seconds
    return {"case": case.name, "milliseconds": _spread([1000 * s for s in work.seconds]),
            "steps_per_second": 1 / seconds, "examples_per_second": 2 * case.batch_size / seconds,
            "seconds_to_first_step": work.first_seconds, "gigaflop_per_step": 2e-9 * multiply_adds, "gflops": gflops,
            "of_product_rate": gflops / rates[case.compute_dtype]["median"]}


def _ratios(figures: Mapping[str, dict], timed: Mapping[str, Timed]) -> dict[str, Any]:
    def paired(above: str, below: str) -> dict[str, float]:
        return _spread([a / b for a, b in zip(timed[above].seconds, timed[below].seconds, strict=True)])

    measured = {name: (above, below) for name, (above, below) in cases.RATIOS.items()
                if above in figures and below in figures}
    spreads = {name: paired(*pair) for name, pair in measured.items()}
    for name in ALSO_PRODUCTS_ALONE:
        if f"products_of_{name}" in timed:
            spreads[f"products_of_{name}_over_{name}"] = paired(f"products_of_{name}", name)
    if all(f"products_of_{name}" in timed for name in ALSO_PRODUCTS_ALONE):
        spreads["topk_over_exact_products_alone"] = paired("products_of_exact", "products_of_topk")
    ratios = {name: spread["median"] for name, spread in spreads.items()}
    for name in cases.COUNTED:
        if name in measured:
            above, below = (figures[case]["gigaflop_per_step"] for case in measured[name])
            ratios[f"{name}_counted"] = above / below
    if "exact" in figures:
        ratios["exact_of_matmul_peak_float32"] = figures["exact"]["of_product_rate"]
        ratios["non_matmul_share_float32"] = 1 - ratios["products_of_exact_over_exact"]
    return {"ratios": ratios, "spreads": spreads}


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": float(np.median(values)), "min": float(np.min(values)), "max": float(np.max(values))}
