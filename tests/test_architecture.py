"""The arrows between the modules, read from their source."""

import ast
import collections
import pathlib
import re
import subprocess
import sys

import pytest

import adgm_tf
from adgm_tf.config import Config
from adgm_tf.model import densities, family, trunks
from adgm_tf.objectives import class_sums
from adgm_tf.training import schedules, systems

PACKAGE = pathlib.Path(adgm_tf.__file__).parent
# From the bottom up: a room imports those before it, and itself.
ROOMS = ("__init__", "__main__", "host", "options", "config", "data", "model", "objectives", "baselines", "analysis",
         "training", "runs", "registering", "estimator", "experiments")
# Rooms that stand beside one another, for all that they stand in a row.
BESIDE = {"model": {"data"}, "objectives": {"data"}}
WITHOUT_TENSORFLOW = ("host.errors", "host.interrupts", "host.files", "host.cli", "options", "config", "model.family",
                      "data", "analysis.metrics", "analysis.calibration", "analysis.uncertainty", "analysis.plots",
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
        "model.contract", "model.engine", "model.phase", "model.seeds", "model.statistics", "model.__init__"}


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
    ("learning_rate_schedule", schedules.SCHEDULES)])
def test_choices_are_the_keys_of_their_table(field, table):
    assert list(Config.__dataclass_fields__[field].metadata["choices"]) == list(table)


@pytest.mark.parametrize(("field", "table"), [
    ("model", family.BUILT_IN | set(systems.CLASSIFIERS) | set(systems.FITTED)), ("trunk", trunks.BUILT_IN),
    ("likelihood", {"bernoulli", "gaussian"})])
def test_what_can_be_added_to_is_named_by_the_help(field, table):
    words = set(re.findall(r"\w+", Config.__dataclass_fields__[field].metadata["text"]))
    assert not Config.__dataclass_fields__[field].metadata["choices"]
    assert set(table) <= words


def test_every_model_has_one_name():
    assert list(systems.names()) == [*family.FAMILY, *systems.CLASSIFIERS, *systems.FITTED]
    assert len(set(systems.names())) == len(systems.names())


@pytest.mark.parametrize("name", [*family.FAMILY, *systems.CLASSIFIERS])
def test_every_model_that_the_loop_trains_is_a_system(name):
    system = systems.of(name)
    assert system.row is family.FAMILY.get(name)
    kinds = {kind for f in Config.__dataclass_fields__.values() for kind in f.metadata["used_by"]}
    assert system.kind in kinds
    assert kinds == {"family", "fitted", *systems.CLASSIFIERS}


def test_a_likelihood_of_the_options_is_a_density():
    assert {"bernoulli", "gaussian"} <= set(densities.DENSITIES) == densities.BUILT_IN


def functions(tree, of=None):
    """Every function of a file, with the class that it is a method of."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node, of
        yield from functions(node, node if isinstance(node, ast.ClassDef) else None)


def positional(function, of):
    """Positional parameters of a function, without the object or the class that it belongs to."""
    found = [*function.args.posonlyargs, *function.args.args]
    bound = of is not None and "staticmethod" not in map(ast.unparse, function.decorator_list)
    return found[1:] if bound else found


@pytest.mark.parametrize("name", SOURCES)
def test_a_function_has_at_most_five_positional_arguments(name):
    too_many = {f.name: len(positional(f, of)) for f, of in functions(SOURCES[name]) if len(positional(f, of)) > 5}
    assert too_many == {}


@pytest.mark.parametrize("name", SOURCES)
def test_no_boolean_is_positional(name):
    found = set()
    for function, of in functions(SOURCES[name]):
        arguments = positional(function, of)
        defaults = dict(zip(reversed(arguments), reversed(function.args.defaults), strict=False))
        found |= {f"{function.name}({a.arg})" for a in arguments if (
            a.annotation is not None and "bool" in ast.unparse(a.annotation).split(" | "))
            or isinstance(getattr(defaults.get(a), "value", None), bool)}
    # Keras gives a layer what training it is, by that name; a vote and a wish are the one thing that is handed over.
    assert found <= {"call(training)", "astype(copy)", "__array__(copy)", "any_worker(flag)", "of_all_replicas(wanted)"}


# What modules of one kind have under one name: what is registered, built, run or written is said by the module.
PROTOCOL = {"of", "build", "terms", "load", "write", "read", "main", "define_flags", "register", "draw", "fit", "run",
            "check", "make", "BUILT_IN", "HIDDEN_UNITS", "tfd", "T"}


def module_names(tree):
    """Names that a file gives to functions, classes and tables."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name))


def test_a_class_of_one_name_is_one_thing():
    where = collections.defaultdict(list)
    for name, tree in SOURCES.items():
        for found in set(module_names(tree)):
            if found[0].isupper() and not found.isupper() and found not in PROTOCOL:
                where[found].append(name)
    assert {found: names for found, names in where.items() if len(names) > 1} == {}


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True).stdout


def test_entry_points_answer_before_tensorflow_is_there():
    modules = ", ".join(f"adgm_tf.{name}" for name in (*ENTRY_POINTS, *WITHOUT_TENSORFLOW))
    found = run(f"import sys, {modules}\n"
                "print([m for m in ('tensorflow', 'tf_keras', 'tensorflow_probability') if m in sys.modules])")
    assert found.strip() == "[]"


@pytest.mark.process
def test_training_starts_without_what_it_needs_later():
    found = run("import os, sys\nos.environ['TF_USE_LEGACY_KERAS'] = '1'\nimport adgm_tf.runs.job\n"
                "print([m for m in ('keras', 'matplotlib', 'sklearn', 'scipy.stats') if m in sys.modules])")
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
