"""The arithmetic of a traced function: multiply-adds of its matrix products (no convolutions), off its graph."""

from __future__ import annotations

import collections
import math
from typing import NamedTuple

import tensorflow as tf


class Product(NamedTuple):
    """A matrix product [rows, inner] x [inner, columns], and which operands are stored transposed."""

    rows: int
    inner: int
    columns: int
    transpose_a: bool
    transpose_b: bool

    @property
    def multiply_adds(self) -> int:
        """rows * inner * columns."""
        return self.rows * self.inner * self.columns


def products(function: tf.types.experimental.ConcreteFunction) -> list[Product]:
    """Returns every matrix product that the outputs of `function` need, forward and backward."""
    return [_product(op) for op in _needed(function) if op.type in ("MatMul", "BatchMatMulV2")]


def multiply_adds(function: tf.types.experimental.ConcreteFunction) -> int:
    """Returns the multiply-adds of the matrix products that the outputs of `function` need."""
    return sum(p.multiply_adds for p in products(function))


def _needed(function: tf.types.experimental.ConcreteFunction) -> list[tf.Operation]:
    seen, queue = set(), collections.deque(t.op for t in tf.nest.flatten(function.graph.structured_outputs))
    while queue:
        op = queue.popleft()
        if op not in seen:
            seen.add(op)
            queue.extend([t.op for t in op.inputs] + list(op.control_inputs))
    return [op for op in function.graph.get_operations() if op in seen]


def _product(op: tf.Operation) -> Product:
    a, b = (t.shape.as_list() for t in op.inputs)
    names = ("transpose_a", "transpose_b") if op.type == "MatMul" else ("adj_x", "adj_y")
    transpose_a, transpose_b = (op.get_attr(n) for n in names)
    inner, rows = (a[-2], a[-1]) if transpose_a else (a[-1], a[-2])
    columns = b[-2] if transpose_b else b[-1]
    return Product(rows * math.prod(a[:-2]), inner, columns, transpose_a, transpose_b)
