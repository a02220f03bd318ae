"""A run as a SavedModel: `serving_default`, `encode`, `generate`, `reconstruct` and `bound` on plain tensors.

Inputs and outputs have names of their own and the noise is a constant, so that every signature converts to ONNX and
LiteRT.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.data.spec import DataSpec
from adgm_tf.host import files, interrupts
from adgm_tf.model import seeds
from adgm_tf.objectives import estimates
from adgm_tf.runs.stored import Run
from adgm_tf.training.systems import Model

NOT_BYTES = "images: every pixel is 0 or 1; images come as uint8 from 0 to 255, not as real numbers in [0, 1]"


class Exported:
    """The functions of an export, on examples as the data source gives them; any batch size.

    What is saved are these functions and the weights they use, and no Keras layer: a SavedModel would trace each.

    Args:
      model: the model.
      spec: shapes, scaling and type of the examples.
      num_samples: samples of a that the classifier averages.
      seed: seed of the noise, fixed: the same input gives the same output.
      classifier: a key of `estimates.CLASSIFY_BY`.
    """

    def __init__(self, model: Model, spec: DataSpec, *, num_samples: int, seed: int, classifier: str):
        self._model, self._spec, self._num_samples = model, spec, num_samples
        self._names_classes = model.has_classes and spec.has_labels
        self._classifier = estimates.CLASSIFY_BY[classifier]
        self._seed = seeds.fold(seeds.of_run(seed), seeds.Draw.EVALUATION)
        dtype, name = (spec.x_dtype, "images") if spec.is_image else (spec.preprocess.scaling.dtype, "vectors")
        x = tf.TensorSpec([None, *spec.x_shape], dtype, name)
        self.functions = {"classify": _function(self._classify, x)} if self._names_classes else {}
        if model.is_generative:
            self.functions |= {"encode": _function(self._encode, x), "reconstruct": _function(self._reconstruct, x),
                               "bound": _function(self._bound, x), "generate": self._generator()}

    def module(self) -> tf.Module:
        """Returns what is saved: the functions as attributes, and the weights."""
        module = tf.Module(name="adgm")
        module.weights = list(self._model.variables)
        for name, function in self.functions.items():
            setattr(module, name, function)
        return module

    def signatures(self) -> dict[str, Callable]:
        """Returns the signatures by name: `serving_default` is `classify`, or `encode` where no label was learnt."""
        names = {name: "serving_default" if name == "classify" else name for name in self.functions}
        found = {names[name]: f.get_concrete_function() for name, f in self.functions.items()}
        return found if "serving_default" in found else {"serving_default": found["encode"], **found}

    def _generator(self) -> Callable:
        z = tf.TensorSpec([None, self._model.sizes.latent_dim], tf.float32, "z")
        if not self._model.has_classes:
            return _function(self._generate_without_class, z)
        return _function(self._generate, tf.TensorSpec([None], tf.int32, "label"), z)

    def _seen(self, x: tf.Tensor) -> tf.Tensor:
        """What the model sees of examples; those of another shape, and images given as real numbers, are refused."""
        x = tf.ensure_shape(x, [None, *self._spec.x_shape])
        if x.dtype == tf.uint8:
            given_as_bytes = (tf.reduce_max(tf.cast(x, tf.int32)) > 1) | (tf.shape(x)[0] == 0)
            with tf.control_dependencies([tf.debugging.Assert(given_as_bytes, [NOT_BYTES])]):
                x = tf.identity(x)
        scaling = self._spec.preprocess.scaling
        offset, scale = (np.asarray(v, scaling.dtype) for v in (scaling.offset, scaling.scale))
        flat = tf.cast((tf.cast(x, scaling.dtype) - offset) * scale, tf.float32)
        return tf.reshape(flat, [-1, self._model.input_dim])

    def _given(self, x: tf.Tensor) -> tf.Tensor:
        """Returns images in [0, 1], vectors in the units of the source."""
        shaped = tf.reshape(x, [-1, *self._spec.x_shape])
        if self._spec.is_image:
            return shaped
        scaling = self._spec.preprocess.scaling
        offset, scale = (np.asarray(v, scaling.dtype) for v in (scaling.offset, scaling.scale))
        return tf.cast(shaped, scaling.dtype) / scale + offset

    def _classify(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        probs = self._classifier(self._model, self._seen(x), self._num_samples, self._seed)
        return {"probs": probs, "label": tf.argmax(probs, -1, output_type=tf.int32)}

    def _encode(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        code = self._model.encode(self._seen(x))
        named = {"z": code.z}
        if self._model.row.q_a is not None:
            named["a"] = code.a
        return named | ({"label": code.y} if self._names_classes else {})

    def _generate(self, label: tf.Tensor, z: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"generated": self._given(self._model.generate(label, z))}

    def _generate_without_class(self, z: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"generated": self._given(self._model.generate(None, z))}

    def _reconstruct(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"reconstructed": self._given(self._model.reconstruct(self._seen(x)))}

    def _bound(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"bound_nats": estimates.unlabelled_bound_of(self._model, self._seen(x), self._num_samples, self._seed,
                                                             shared_noise=True)}


def _function(function: Callable, *specs: tf.TensorSpec) -> Callable:
    return tf.function(function, input_signature=specs, autograph=False)


def write(run: Run, num_samples: int | None = None) -> pathlib.Path:
    """Writes `export/<version>/` under the run, the version one above the last; returns the folder."""
    return write_version(run.path / "export", run.model, run.spec, run.config, num_samples)


def write_version(folder: pathlib.Path, model: Model, spec: DataSpec, config: Config,
                  num_samples: int | None = None) -> pathlib.Path:
    """Writes `folder`/<version>/, the version one above the last; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    exported = Exported(model, spec, num_samples=num_samples or config.num_eval_samples, seed=config.seed,
                        classifier=config.classifier)
    versions = [int(p.name) for p in folder.iterdir() if p.name.isdecimal()]
    target = folder / str(max(versions, default=0) + 1)
    with _folder_replacing(target) as temporary, interrupts.put_off():
        tf.saved_model.save(exported.module(), str(temporary), exported.signatures())
        if "classify" in exported.functions:
            (temporary / "classes.txt").write_text("".join(f"{name}\n" for name in spec.class_names))
    return target


@contextlib.contextmanager
def _folder_replacing(target: pathlib.Path):
    """Yields a temporary folder that becomes `target` if the block succeeds and vanishes if it does not."""
    for left in target.parent.glob(f"{files.TEMPORARY}*"):
        shutil.rmtree(left, ignore_errors=True)
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=files.TEMPORARY, dir=target.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
