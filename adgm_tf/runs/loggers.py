"""Loggers of others, by name: what goes to TensorBoard as numbers goes to them too."""

from __future__ import annotations

import importlib
import pathlib
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from adgm_tf.config import Config
from adgm_tf.host import errors, files
from adgm_tf.runs import board
from adgm_tf.training import strategy

PROJECT = "adgm_tf"


@runtime_checkable
class Logger(Protocol):
    """Takes the numbers of a run."""

    def scalars(self, step: int, found: Mapping[str, float]) -> None:
        """Takes what was measured at one step, by name."""

    def end(self, step: int, found: Mapping[str, float]) -> None:
        """Takes the final figures; the run is over."""


class MLflow:
    """Writes to MLflow, where MLFLOW_TRACKING_URI says; a run that goes on goes on there."""

    def __init__(self, module: Any, config: Config, folder: pathlib.Path):
        self.module, path = module, folder / "mlflow_run_id.txt"
        known = path.read_text().strip() if path.is_file() else None
        run = module.start_run(run_id=known, run_name=None if known else config.run_dir)
        if not known:
            files.write_text(path, run.info.run_id + "\n")
            module.log_params(board.hyperparameters(config))

    def scalars(self, step: int, found: Mapping[str, float]) -> None:
        """Takes what was measured at one step."""
        self.module.log_metrics(dict(found), step=step)

    def end(self, step: int, found: Mapping[str, float]) -> None:
        """Takes the final figures."""
        self.scalars(step, {f"final/{name}": value for name, value in found.items()})
        self.module.end_run()


class Wandb:
    """Writes to Weights & Biases, or with WANDB_MODE=offline to the run directory; a run that goes on goes on there."""

    def __init__(self, module: Any, config: Config, folder: pathlib.Path):
        path = folder.resolve()
        self.run = module.init(project=PROJECT, name=config.run_dir, dir=str(path), resume="allow",
                               id=f"{zlib.crc32(str(path).encode()):08x}", config=board.hyperparameters(config))

    def scalars(self, step: int, found: Mapping[str, float]) -> None:
        """Takes what was measured at one step."""
        self.run.log(dict(found), step=step)

    def end(self, step: int, found: Mapping[str, float]) -> None:
        """Takes the final figures."""
        self.scalars(step, {f"final/{name}": value for name, value in found.items()})
        self.run.finish()


# Name, module, and what makes a logger of it.
LOGGERS: dict[str, tuple[str, Callable[[Any, Config, pathlib.Path], Logger]]] = {
    "mlflow": ("mlflow", MLflow), "wandb": ("wandb", Wandb)}


class Forgiving:
    """A logger whose first failure is a line and its last word: no training ends for it."""

    def __init__(self, name: str, logger: Logger):
        self.name = name
        self.logger: Logger | None = logger

    def scalars(self, step: int, found: Mapping[str, float]) -> None:
        """Takes what was measured at one step."""
        self._try("scalars", step, found)

    def end(self, step: int, found: Mapping[str, float]) -> None:
        """Takes the final figures."""
        self._try("end", step, found)

    def _try(self, what: str, step: int, found: Mapping[str, float]) -> None:
        if self.logger is None:
            return
        try:
            getattr(self.logger, what)(step, found)
        except Exception as error:  # noqa: BLE001  (a logger is worth no training)
            print(f"{self.name} gets nothing more ({type(error).__name__}: {error})", flush=True)
            self.logger = None


def opened(config: Config, folder: pathlib.Path) -> list[Logger]:
    """Returns the loggers that `config.loggers` names, of the first worker alone.

    Raises:
      UserError: there is no such logger, its package is not installed, or it cannot begin.
    """
    found: list[Logger] = []
    for name in config.loggers if strategy.leads(config.strategy) else ():
        module, make = errors.lookup(LOGGERS, "loggers", name)
        try:
            found.append(Forgiving(name, make(importlib.import_module(module), config, folder)))
        except ImportError as error:
            raise errors.UserError(f"loggers={name}: needs the package {module} ({error})") from None
        except Exception as error:  # noqa: BLE001  (whatever a package of others may raise)
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise errors.UserError(f"loggers={name}: cannot begin ({said})") from None
    return found
