"""What is added from outside the package: the snippets of docs/extending.md, run as they stand there."""

import json
import re
import subprocess
import sys

import numpy as np
import process
import pytest

import adgm_tf as adgm
from adgm_tf import config as config_lib
from adgm_tf.host.errors import UserError
from adgm_tf.model import family
from adgm_tf.training import systems

TEXT = (process.ROOT / "docs" / "extending.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.DOTALL)
MODULES = {m.group(1): code for kind, code in BLOCKS if kind == "python" and (m := re.match(r"# (\w+)\.py\n", code))}
COMMAND = next(code for kind, code in BLOCKS if kind == "sh")
LAST = BLOCKS[-1][1]
SMALL = ("--hidden_units=12", "--auxiliary_dim=3", "--latent_dim=2", "--num_steps=150", "--consistency=none")


def test_every_kind_of_addition_is_shown_and_short():
    assert list(MODULES) == ["my_row", "my_trunk", "my_density", "my_source", "my_term"]
    assert all(code.count("\n") <= 30 for code in MODULES.values())
    registered = {name for code in MODULES.values() for name in re.findall(r"adgm\.(register_\w+)", code)}
    assert registered == {name for name in adgm.__all__ if name.startswith("register_")}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The command of the document, in a folder with its modules."""
    folder = tmp_path_factory.mktemp("extending")
    for name, code in MODULES.items():
        (folder / f"{name}.py").write_text(code)
    words = COMMAND.replace("\\\n", " ").split()
    assert words[:3] == ["python", "-m", "adgm_tf.train"]
    done = process.run("train", *words[3:], *SMALL, cwd=folder)
    assert done.code == 0, done.err
    return folder / "runs/bars"


@pytest.mark.process
def test_the_five_work_together_from_the_command_line(run):
    stored, results = json.loads((run / "config.json").read_text()), json.loads((run / "results.json").read_text())
    assert (stored["model"], stored["trunk"], stored["likelihood"]) == ("two_looks", "pooled", "laplace")
    assert stored["parents"] == ["q_a=x", "q_y=ax", "q_z=xy", "p_a=yz", "p_x=az"]
    assert results["test_error_percent"] < 20
    assert all(np.isfinite(line["sparse_a"]) for line in process.lines(run) if "sparse_a" in line)
    assert any("sparse_a" in json.dumps(line) for line in process.lines(run))


@pytest.mark.slow
@pytest.mark.process
def test_they_are_found_again_by_load_and_the_rest_of_the_document_runs(run):
    """In a process that has not imported them; then the last block, on rows of the same source."""
    code = f"""
import numpy as np
import adgm_tf as adgm
run = adgm.load("runs/bars")
assert type(run.model.conditionals["p_x"].density).__name__ == "DistributionLambda"
import my_source
source = my_source.bars("bars", "")
right = np.mean(run.predict(source.test_x) == np.array(source.class_names)[source.test_y])
X, y = source.train_x.reshape(500, -1), source.train_y
few = dict(num_steps=3, hidden_units=(8,))
fit, classifier = adgm.fit, adgm.SemiSupervisedClassifier
adgm.fit = lambda *given, **options: fit(*given, **few, **options)
adgm.SemiSupervisedClassifier = lambda **given: classifier(**few, **given)
{LAST}
print(right, run.sample("lies", 2).shape, estimator.predict(X[:2]).shape)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=run.parent.parent, env=process.environment(),
                          capture_output=True, text=True, timeout=process.TIMEOUT)
    assert done.returncode == 0, done.stderr[-2000:]
    right, shapes = done.stdout.splitlines()[-1].split(" ", 1)
    assert float(right) > 0.8 and shapes == "(2, 8, 8, 1) (2,)"


@pytest.fixture
def notebook(monkeypatch):
    """A family that forgets."""
    monkeypatch.setattr(family, "FAMILY", known := dict(family.FAMILY))
    for module in (systems,):
        monkeypatch.setattr(module, "FAMILY", known)
    from adgm_tf.model import construction
    monkeypatch.setattr(construction, "FAMILY", known)
    return known


def test_a_row_that_no_module_registers_is_loaded_from_its_run(notebook, tmp_path):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), np.arange(40) % 2
    adgm.register_model("of_a_notebook", adgm.Row(None, "x", "xy", None, "z"))
    trained = adgm.fit(X, y, model="of_a_notebook", num_steps=2, hidden_units=(5,), latent_dim=2)
    trained.save(tmp_path / "run")
    bounds = trained.bound(X)
    del notebook["of_a_notebook"]
    np.testing.assert_array_equal(adgm.load(tmp_path / "run").bound(X), bounds)
    assert notebook["of_a_notebook"] == adgm.Row(None, "x", "xy", None, "z")


def test_another_row_of_the_same_name_is_refused(notebook):
    config = config_lib.Config(model="mine", parents=("q_y=x", "q_z=xy", "p_x=yz"))
    systems.check(config)
    systems.check(config)
    assert systems.with_row(config_lib.Config(model="mine")) == config
    assert systems.with_row(config_lib.Config(model="sdgm")).parents == ()
    with pytest.raises(UserError, match="model=mine: is taken"):
        systems.check(config_lib.Config(model="mine", parents=("q_y=x", "q_z=xy", "p_x=z")))


@pytest.mark.parametrize(("parents", "line"), [
    (("q_y=x", "q_z=xy"), "parents=q_y=x,q_z=xy: must say what q_z and p_x look at"),
    (("q_w=x",), "parents=q_w: did you mean"),
    (("q_z",), "must say what q_z and p_x look at"),
    (("q_y=z", "q_z=xy", "p_x=yz"), r"q_y=z: q\(y\|.\) cannot look at z"),
])
def test_a_row_that_cannot_be_is_one_line(notebook, parents, line):
    with pytest.raises(UserError, match=line):
        systems.check(config_lib.Config(model="mine", parents=parents))
