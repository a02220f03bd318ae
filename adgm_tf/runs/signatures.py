"""What an export answers: every signature as a function of plain tensors, for any number of examples.

Inputs and outputs are named, the noise is a constant, so the same input gives the same output.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from adgm_tf.analysis import metrics
from adgm_tf.data.spec import DataSpec
from adgm_tf.model import seeds
from adgm_tf.objectives import estimates
from adgm_tf.objectives.estimates import AS_SEEN, Described
from adgm_tf.runs import pictures_graph
from adgm_tf.runs.answers import Answers
from adgm_tf.runs.columns_graph import ColumnsGraph
from adgm_tf.training.systems import Model

NOT_BYTES = "images: no pixel is above 1; images come as uint8 from 0 to 255, not as real numbers in [0, 1]"
DEFAULT, BYTES, CELLS, BOUND = "serving_default", "classify_bytes", "classify_cells", "bound"

Tensors = Mapping[str, tf.Tensor]


class Input(NamedTuple):
    """The tensors of a signature by name, and how they become what q sees and what p describes."""

    specs: dict[str, tf.TensorSpec]
    read: Callable[[Tensors], tuple[tf.Tensor, Described]]


class Signatures:
    """The signatures of a model as functions; one input is a tensor, several are a dictionary of tensors.

    Args:
      model: the model.
      spec: shapes, classes, and what was fitted on the data.
      answers: temperature of the probabilities, and the bounds by which novelty is measured.
      num_samples: samples of a that the classifier averages.
      seed: seed of the noise.
      classifier: a key of `estimates.CLASSIFY_BY`.
      portable: whether strings are left out, for runtimes that have none: then a table starts at what q sees.

    Attributes:
      columns: the operations of a table, whose look-up tables have to be saved; None where there are none.
      inputs: the input of each signature.
      functions: the functions.
    """

    def __init__(self, model: Model, spec: DataSpec, answers: Answers, *, num_samples: int, seed: int, classifier: str,
                 portable: bool = False):
        self._model, self._spec, self._answers, self._portable = model, spec, answers, portable
        self._num_samples, self._classifier = num_samples, estimates.CLASSIFY_BY[classifier]
        self._seed = seeds.fold(seeds.of_run(seed), seeds.Draw.EVALUATION)
        self.names_classes = model.has_classes and spec.has_labels
        self.columns = ColumnsGraph(spec.preprocess) if spec.is_table and not portable else None
        self._with_bound = self.columns is not None and model.is_generative
        self.inputs: dict[str, Input] = {}
        self.functions: dict[str, Callable] = {}
        plain, described = self._plain(), self._plain(described=True)
        if self.names_classes:
            self._add(DEFAULT, described if classifier == "bound" else plain, self._classify)
            if spec.is_image and spec.x_shape[2] in (1, 3) and not portable:
                self._add(BYTES, self._bytes(), self._classify)
            if self.columns is not None:
                self._add(CELLS, self._cells(), self._classify)
        if model.is_generative:
            for name, given, answer in (("encode", plain, self._encode), ("reconstruct", plain, self._reconstruct),
                                        (BOUND, described, self._bound)):
                self._add(name, given, answer)
            self._add_generator()
        if DEFAULT not in self.functions:
            self.inputs[DEFAULT], self.functions[DEFAULT] = self.inputs["encode"], self.functions["encode"]

    def module(self) -> tf.Module:
        """Returns what is saved: the functions as attributes, the weights and the look-up tables; no Keras layer."""
        module = tf.Module(name="adgm")
        module.weights = list(self._model.variables)
        module.tables = self.columns.tables if self.columns else []
        for name, function in self.functions.items():
            setattr(module, name, function)
        return module

    def concrete(self) -> dict[str, Callable]:
        """Returns the signatures as `tf.saved_model.save` takes them."""
        return {name: function.get_concrete_function() for name, function in self.functions.items()}

    def typical(self) -> dict[str, dict[str, np.ndarray]]:
        """Returns one example for each signature [1], made of what was fitted: no row of the data is in it."""
        found = {}
        for name, given in self.inputs.items():
            values = self.columns.typical() if self.columns and name != "generate" else {}
            found[name] = {key: self._example(key, spec, values) for key, spec in given.specs.items()}
        return found

    def _example(self, name: str, spec: tf.TensorSpec, row: Mapping[str, np.ndarray]) -> np.ndarray:
        if name in row:
            return np.array([str(v) for v in row[name]], object) if spec.dtype == tf.string else row[name]
        if spec.dtype == tf.string:
            white = tf.fill(self._spec.x_shape, tf.constant(255, tf.uint8))
            return np.array([tf.io.encode_png(white).numpy()], object)
        fill = 255 if spec.dtype == tf.uint8 else 0
        return np.full([1, *spec.shape[1:]], fill, spec.dtype.as_numpy_dtype)

    def _add(self, name: str, given: Input, answer: Callable[[tf.Tensor, Described], Tensors]) -> None:
        self.inputs[name] = given
        self.functions[name] = _function(given.specs, lambda tensors: answer(*given.read(tensors)))

    def _add_generator(self) -> None:
        specs = {"z": tf.TensorSpec([None, self._model.sizes.latent_dim], tf.float32, "z")}
        if self._model.has_classes:
            specs = {"label": tf.TensorSpec([None], tf.int32, "label"), **specs}
        self.inputs["generate"] = Input(specs, lambda tensors: (tensors["z"], AS_SEEN))
        self.functions["generate"] = _function(specs, lambda tensors: self._given(
            self._model.generate(self._class(tensors.get("label")), tensors["z"]), "generated"))

    def _class(self, label: tf.Tensor | None) -> tf.Tensor | None:
        """Labels [N], checked to be classes; None where the model has none."""
        if label is None:
            return None
        count = self._model.sizes.num_classes
        fits = tf.reduce_all((label >= 0) & (label < count))
        with tf.control_dependencies([tf.debugging.Assert(fits, [f"label: must be 0 to {count - 1}"])]):
            return tf.identity(label)

    def _plain(self, *, described: bool = False) -> Input:
        """Examples as the data source gives them; of a table its columns, or what NumPy has made of them."""
        spec = self._spec
        if self.columns is not None:
            return Input(self.columns.specs, lambda tensors: _with_described(self.columns.prepared(tensors)))
        if spec.is_table:
            widths = {"seen": spec.seen_dim} | ({"described": spec.x_dim, "observed": spec.x_dim} if described else {})
            return Input({name: tf.TensorSpec([None, width], tf.float32, name) for name, width in widths.items()},
                         lambda tensors: _with_described([tensors[name] for name in widths]))
        dtype, name = (spec.x_dtype, "images") if spec.is_image else (spec.preprocess.scaling.dtype, "vectors")
        return Input({name: tf.TensorSpec([None, *spec.x_shape], dtype, name)},
                     lambda tensors: (self._seen(_checked(tensors[name], spec.x_shape)), AS_SEEN))

    def _bytes(self) -> Input:
        def read(tensors: Tensors) -> tuple[tf.Tensor, Described]:
            pixels = pictures_graph.decoded(tensors["image_bytes"], self._spec.x_shape)
            as_given = pixels if self._spec.x_dtype == np.uint8 else tf.cast(pixels, tf.float32) / 255
            return self._seen(as_given), AS_SEEN

        return Input({"image_bytes": tf.TensorSpec([None], tf.string, "image_bytes")}, read)

    def _cells(self) -> Input:
        graph = self.columns
        return Input(graph.cell_specs, lambda tensors: _with_described(graph.prepared(graph.parsed(tensors))))

    def _seen(self, x: tf.Tensor) -> tf.Tensor:
        scaling = self._spec.preprocess.scaling
        offset, scale = (np.asarray(v, scaling.dtype) for v in (scaling.offset, scaling.scale))
        flat = tf.cast((tf.cast(x, scaling.dtype) - offset) * scale, tf.float32)
        return tf.reshape(flat, [-1, self._model.input_dim])

    def _given(self, x: tf.Tensor, name: str) -> Tensors:
        """Images in [0, 1], vectors in the units of the source, rows by column; or means of p for a runtime."""
        if self.columns is not None:
            return self.columns.inverse(x)
        if self._spec.is_table:
            return {name: x}
        shaped = tf.reshape(x, [-1, *self._spec.x_shape])
        if self._spec.is_image:
            return {name: shaped}
        scaling = self._spec.preprocess.scaling
        offset, scale = (np.asarray(v, scaling.dtype) for v in (scaling.offset, scaling.scale))
        return {name: tf.cast(shaped, scaling.dtype) / scale + offset}

    def _named(self, label: tf.Tensor) -> Tensors:
        found = {"label": label}
        return found if self._portable else found | {"class": tf.gather(tf.constant(self._spec.class_names), label)}

    def _classify(self, seen: tf.Tensor, described: Described) -> Tensors:
        probs = self._classifier(self._model, seen, self._num_samples, self._seed, described=described)
        if self._answers.temperature != 1:
            probs = tf.nn.softmax(tf.math.log(tf.maximum(probs, metrics.LEAST)) / self._answers.temperature)
        found = {"probs": probs} | self._named(tf.argmax(probs, -1, output_type=tf.int32))
        return found | self._bound(seen, described) if self._with_bound else found

    def _encode(self, seen: tf.Tensor, _: Described) -> Tensors:
        code = self._model.encode(seen)
        found = {"z": code.z} | ({} if self._model.row.q_a is None else {"a": code.a})
        return found | (self._named(code.y) if self.names_classes else {})

    def _reconstruct(self, seen: tf.Tensor, _: Described) -> Tensors:
        return self._given(self._model.reconstruct(seen), "reconstructed")

    def _bound(self, seen: tf.Tensor, described: Described) -> Tensors:
        bound = estimates.unlabelled_bound_of(self._model, seen, 1, self._seed, described=described,
                                              shared_noise=True)
        reference = np.asarray(self._answers.reference_bounds, np.float32)
        return {"bound_nats": bound} | ({"novelty": _novelty(bound, reference)} if len(reference) else {})


def _function(specs: dict[str, tf.TensorSpec], answer: Callable[[Tensors], Tensors]) -> Callable:
    """A compiled function of the tensor that `specs` names, or of a dictionary of them."""
    if len(specs) == 1:
        (name, spec), = specs.items()
        return tf.function(lambda tensor: answer({name: tensor}), input_signature=[spec], autograph=False)
    return tf.function(answer, input_signature=[specs], autograph=False)


def _with_described(prepared: tuple[tf.Tensor, ...] | list[tf.Tensor]) -> tuple[tf.Tensor, Described]:
    seen, *described = prepared
    return seen, Described(*described)


def _checked(x: tf.Tensor, shape: tuple[int, ...]) -> tf.Tensor:
    """Examples of that shape; images given as real numbers, which become 0 and 1 as bytes, are refused.

    Images that are black throughout look the same, and are refused where no other is beside them.
    """
    x = tf.ensure_shape(x, [None, *shape])
    if x.dtype != tf.uint8:
        return x
    given_as_bytes = (tf.reduce_max(tf.cast(x, tf.int32)) > 1) | (tf.shape(x)[0] == 0)
    with tf.control_dependencies([tf.debugging.Assert(given_as_bytes, [NOT_BYTES])]):
        return tf.identity(x)


def _novelty(bounds: tf.Tensor, reference: np.ndarray) -> tf.Tensor:
    """Shares of the reference [R], sorted, above the bounds [N], ties half: `analysis.uncertainty.novelty`."""
    bounds = tf.where(tf.math.is_nan(bounds), -np.inf, bounds)
    reference = np.where(np.isnan(reference), -np.inf, reference)
    below = functools.partial(_count, np.sort(reference), bounds)
    not_above = below(tf.less) + below(tf.less_equal)
    return tf.cast(2 * len(reference) - not_above, tf.float32) / (2 * len(reference))


def _count(reference: np.ndarray, bounds: tf.Tensor, before: Callable) -> tf.Tensor:
    """How many of the reference stand before each bound [N]: bisection in operations that every runtime has."""
    size = 1 << len(reference).bit_length()
    padded = tf.constant(np.append(reference, np.full(size - len(reference), np.inf)), tf.float32)
    count = tf.zeros_like(bounds, tf.int32)
    while size := size // 2:
        further = count + size
        inside = (further <= len(reference)) & before(tf.gather(padded, further - 1), bounds)
        count = tf.where(inside, further, count)
    return count
