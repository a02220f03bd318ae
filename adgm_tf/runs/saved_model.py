"""A run as a SavedModel in the layout of TensorFlow Serving: a folder a version, loadable without this package."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

import tensorflow as tf

from adgm_tf.config import Config
from adgm_tf.data.spec import DataSpec
from adgm_tf.host import files, interrupts
from adgm_tf.runs import answers as answers_lib
from adgm_tf.runs import model_card, warmup
from adgm_tf.runs.answers import Answers
from adgm_tf.runs.signatures import DEFAULT, Signatures
from adgm_tf.runs.stored import Run
from adgm_tf.training.systems import Model

MODEL_NAME = "adgm"
CLASSES, COLUMNS, CARD = "classes.txt", "columns.json", "MODEL_CARD.md"
_CONFIG = """# tensorflow_model_server --model_config_file=model.config, with the folder above this one mounted there.
model_config_list {{
  config {{
    name: "{name}"
    base_path: "/models/{name}"
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: {version} }} }}
  }}
}}
"""


@dataclasses.dataclass(frozen=True)
class Exportable:
    """What goes into an export.

    Attributes:
      config: options of the run.
      spec: shapes, classes and what was fitted on the data.
      model: the model.
      answers: temperature and the bounds by which novelty is measured.
      measured: what is known of its errors and data, for the model card.
    """

    config: Config
    spec: DataSpec
    model: Model
    answers: Answers
    measured: model_card.Measured

    def signatures(self, num_samples: int | None = None, *, portable: bool = False) -> Signatures:
        """Returns the functions of an export; `num_samples` samples of a are those of the run if not given."""
        return Signatures(self.model, self.spec, self.answers, num_samples=num_samples or self.config.num_eval_samples,
                          seed=self.config.seed, classifier=self.config.classifier, portable=portable)


def of_run(run: Run) -> Exportable:
    """Returns what is exported of a run."""
    return Exportable(run.config, run.spec, run.model, answers_lib.read(run.path), model_card.of_run(run))


def write(run: Run, num_samples: int | None = None) -> pathlib.Path:
    """Writes `export/<version>/` under the run, the version one above the last; returns the folder."""
    return write_version(run.path / "export", of_run(run), num_samples)


def write_version(folder: pathlib.Path, given: Exportable, num_samples: int | None = None) -> pathlib.Path:
    """Writes `folder`/<version>/, the version one above the last; returns it."""
    signatures = given.signatures(num_samples)
    with new_version(folder) as (temporary, version):
        tf.saved_model.save(signatures.module(), str(temporary), signatures.concrete())
        warmup.write(temporary, MODEL_NAME, signatures.typical())
        (temporary / "model.config").write_text(_CONFIG.format(name=MODEL_NAME, version=version))
        if signatures.columns:
            _write_columns(signatures, given.spec, temporary)
        write_beside(given, temporary, f"a SavedModel for TensorFlow Serving, version {version}")
    return folder / str(version)


def write_beside(given: Exportable, folder: pathlib.Path, what: str) -> None:
    """Writes the names of the classes and the model card to the folder of an export."""
    if given.model.has_classes and given.spec.has_labels:
        (folder / CLASSES).write_text("".join(f"{name}\n" for name in given.spec.class_names), encoding="utf-8")
    text = model_card.text(given.config, given.spec, given.answers, given.measured, what=what)
    (folder / CARD).write_text(text, encoding="utf-8")


@contextlib.contextmanager
def new_version(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, int]]:
    """Yields a temporary folder and the number, one above the last, under which it stands in `folder` in the end."""
    folder.mkdir(parents=True, exist_ok=True)
    version = max((int(p.name) for p in folder.iterdir() if p.name.isdecimal()), default=0) + 1
    with _folder_replacing(folder / str(version)) as temporary, interrupts.put_off():
        yield temporary, version


def _write_columns(signatures: Signatures, spec: DataSpec, folder: pathlib.Path) -> None:
    """Writes which input stands for which column, in the order of the table."""
    kinds = {column.name: column.kind for column in spec.preprocess.columns}
    specs = signatures.columns.specs
    files.write_json(folder / "assets.extra" / COLUMNS, {"signature": DEFAULT, "columns": [
        {"input": name, "column": column, "kind": kinds[column], "dtype": specs[name].dtype.name,
         "missing": "NaN" if specs[name].dtype == tf.float64 else ""}
        for column, name in signatures.columns.names.items()]})


@contextlib.contextmanager
def _folder_replacing(target: pathlib.Path) -> Iterator[pathlib.Path]:
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
