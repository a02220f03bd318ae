"""The arrows between the modules, read from their source."""

import ast
import pathlib
import subprocess
import sys

import pytest
from adgm_tf.baselines.fitted import FITTED

import adgm_tf
from adgm_tf.config import Config
from adgm_tf.model import densities, family
from adgm_tf.objectives import class_sums
from adgm_tf.training import schedules, systems

PACKAGE = pathlib.Path(adgm_tf.__file__).parent
# From the bottom up: a room imports those before it, and itself.
ROOMS = ("__init__", "__main__", "host", "config", "data", "model", "objectives", "baselines", "analysis", "training",
         "runs", "experiments")
# Rooms that stand beside one another, for all that they stand in a row.
BESIDE = {"model": {"data"}, "objectives": {"data"}}
WITHOUT_TENSORFLOW = ("host.errors", "host.interrupts", "host.files", "host.cli", "config", "model.family", "data",
                      "analysis.metrics", "analysis.calibration", "analysis.uncertainty", "analysis.plots",
                      "analysis.run_plots", "analysis.page", "analysis.page_content", "analysis.page_sections")


def parse(path):
    return ast.parse(path.read_text())


SOURCES = {path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "."): parse(path)
           for path in sorted(PACKAGE.rglob("*.py"))}
ENTRY_POINTS = [name for name, tree in SOURCES.items() if any(
    isinstance(node, ast.Call) and ast.unparse(node.func) == "cli.run" for node in ast.walk(tree))]
LIBRARY = [name for name in SOURCES if name not in ENTRY_POINTS]


def room_of(name):
    return name.split(".")[0]


def rank(name):
    return ROOMS.index(room_of(name))


def imports(tree):
    """Modules that a file imports anywhere in it, with the names taken out of them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_modules(name):
    """Modules of the package that the module `name` imports."""
    known = {f"adgm_tf.{other}": other for other in SOURCES}
    for full in imports(SOURCES[name]):
        found = known.get(full) or known.get(full.rpartition(".")[0]) or known.get(f"{full}.__init__")
        if found:
            yield found
        elif full.partition(".")[0] == "adgm_tf":
            yield "__init__"


def test_every_module_has_its_place():
    assert {room_of(name) for name in LIBRARY} == set(ROOMS)


def test_entry_points_are_found():
    assert {"train", "evaluate", "sample", "export"} <= set(ENTRY_POINTS)


@pytest.mark.parametrize("name", LIBRARY)
def test_imports_point_one_way(name):
    for other in imported_modules(name):
        assert other not in ENTRY_POINTS, f"{name} imports the entry point {other}"
        assert rank(other) <= rank(name), f"{name} imports {other}"
        assert room_of(other) not in BESIDE.get(room_of(name), ()), f"{name} imports {other}"


def test_modules_of_a_package_import_one_another_without_a_circle():
    arrows = {name: set(imported_modules(name)) - {name} for name in LIBRARY}
    while arrows:
        free = [name for name, others in arrows.items() if not others & set(arrows)]
        assert free, f"a circle among {sorted(arrows)}"
        arrows = {name: others for name, others in arrows.items() if name not in free}


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_no_entry_point_imports_another(name):
    assert not set(imported_modules(name)) & set(ENTRY_POINTS)


@pytest.mark.parametrize("name", [name for name in LIBRARY if room_of(name) == "objectives"])
def test_objectives_see_the_contract_and_no_network(name):
    assert {other for other in imported_modules(name) if room_of(other) == "model"} <= {
        "model.contract", "model.engine", "model.seeds", "model.__init__"}


@pytest.mark.parametrize("name", LIBRARY)
def test_flags_are_read_by_entry_points_alone(name):
    reads = [node for node in ast.walk(SOURCES[name]) if (isinstance(node, ast.Attribute) and node.attr == "FLAGS")
             or (isinstance(node, ast.Name) and node.id == "FLAGS")]
    assert not reads or name == "host.cli"


@pytest.mark.parametrize("name", SOURCES)
def test_keras_is_tf_keras(name):
    tree = SOURCES[name]
    assert not any(full.split(".")[0] == "keras" or full.startswith("tensorflow.keras") for full in imports(tree))
    assert not any(isinstance(node, ast.Attribute) and ast.unparse(node) == "tf.keras" for node in ast.walk(tree))


@pytest.mark.parametrize(("field", "table"), [
    ("class_sum", class_sums.CLASS_SUMS), ("normalization", trunks.NORMALIZATIONS),
    ("learning_rate_schedule", schedules.SCHEDULES), ("model", family.MODELS)])
def test_choices_are_the_keys_of_their_table(field, table):
    assert list(Config.__dataclass_fields__[field].metadata["choices"]) == list(table)


def test_every_fitted_system_can_be_fitted():
    assert list(family.FITTED) == list(FITTED)


def test_every_model_that_the_loop_trains_is_a_system():
    assert list(systems.SYSTEMS) == [*family.FAMILY, *family.CLASSIFIERS]


def test_likelihoods_are_densities():
    assert set(Config.__dataclass_fields__["likelihood"].metadata["choices"]) - {"auto"} <= set(densities.DENSITIES)


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True).stdout


def test_entry_points_answer_before_tensorflow_is_there():
    modules = ", ".join(f"adgm_tf.{name}" for name in (*ENTRY_POINTS, *WITHOUT_TENSORFLOW))
    found = run(f"import sys, {modules}\n"
                "print([m for m in ('tensorflow', 'tf_keras', 'tensorflow_probability') if m in sys.modules])")
    assert found.strip() == "[]"


@pytest.mark.parametrize("name", LIBRARY)
def test_an_import_defines_no_flag(name):
    outside = [node for node in SOURCES[name].body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    calls = (ast.unparse(n.func) for node in outside for n in ast.walk(node) if isinstance(n, ast.Call))
    assert not any(call.startswith("flags.DEFINE") for call in calls)


def test_every_entry_point_is_a_command():
    from adgm_tf import __main__
    assert sorted(__main__.COMMANDS) == sorted(ENTRY_POINTS)
    shown = run("import sys; sys.argv = ['adgm']\nfrom adgm_tf import __main__\n__main__.main()\n"
                "print([m for m in ('tensorflow', 'absl') if m in sys.modules])").splitlines()
    assert [line.split()[0] for line in shown[2:-1]] == list(__main__.COMMANDS)
    assert shown[-1] == "[]"


STATE = """
import logging, os, signal, sys
import matplotlib as mpl, sklearn, tensorflow as tf, tensorflow_datasets, tensorflow_probability, tf_keras
def state():
    return {
        'environment': dict(os.environ), 'backend': dict.get(mpl.rcParams, 'backend'), 'stdout': sys.stdout,
        'signals': {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)},
        'tf32': tf.config.experimental.tensor_float_32_execution_enabled(), 'hook': sys.excepthook,
        'logging': logging.getLogger('tensorflow').level}
before = state()
import MODULES
after = state()
print([k for k in before if before[k] is not after[k] and before[k] != after[k]])
"""


def test_an_import_changes_nothing_outside_the_package():
    modules = ", ".join(f"adgm_tf.{name}" for name in SOURCES if not name.endswith("__"))
    assert run(STATE.replace("MODULES", modules)).splitlines()[-1] == "[]"
