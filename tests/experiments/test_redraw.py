"""Tables and pictures from the stored files alone."""

import pathlib
import re
import shutil

import numpy as np
import process
import pytest
from PIL import Image

from adgm_tf.experiments import conducting
from adgm_tf.experiments.by_number import ByNumber
from adgm_tf.experiments.listing import EXPERIMENTS
from adgm_tf.experiments.outputs import Curves, Results, Units
from adgm_tf.experiments.planning import Selection
from adgm_tf.host import errors

LAUNCH = process.ROOT / "launch"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pictures_of(experiment):
    for output in experiment.outputs:
        if isinstance(output, Curves | ByNumber):
            yield LAUNCH / output.png
        if isinstance(output, Units):
            yield from (path.with_suffix(".png") for path in (LAUNCH / output.folder).glob("*.json"))


PUBLISHED = {name: experiment for name, experiment in EXPERIMENTS.items() if experiment.published}


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"), np.int32)


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_stored_makes_the_tables_and_pictures_again(name, here, capsys):
    """Numbers of every table scrambled and every picture away: redrawing brings them back, and touches nothing else."""
    experiment = EXPERIMENTS[name]
    shutil.copytree(LAUNCH, here / "launch")
    stored = {path: path.read_bytes() for path in pathlib.Path("launch").rglob("*") if path.is_file()}
    drawn = [pathlib.Path("launch") / path.relative_to(LAUNCH) for path in pictures_of(experiment)]
    for path in drawn:
        path.unlink()
    folders = {pathlib.Path("launch", vars(output).get("csv") or vars(output).get("json")).parent
               for output in experiment.outputs if "csv" in vars(output) or "json" in vars(output)}
    for readme in [folder / "README.md" for folder in folders]:
        readme.write_text(re.sub(r"(<!-- table \w+ -->\n).*?(<!-- end -->)", r"\1gone\n\2", readme.read_text(),
                                 flags=re.DOTALL))
    conducting.redraw(experiment, Selection(pathlib.Path("launch")))
    after = {path: path.read_bytes() for path in pathlib.Path("launch").rglob("*") if path.is_file()}
    assert stored.keys() == after.keys()
    assert [path for path in stored if stored[path] != after[path] and path not in drawn] == []
    for path in drawn:
        one, other = pixels(path), pixels(process.ROOT / path)
        assert one.shape == other.shape
        assert (abs(one - other).max(-1) > 16).mean() < 0.01, path


def test_every_table_with_a_mark_is_made():
    marks = {(path.parent.name, name) for path in LAUNCH.glob("*/README.md")
             for name in re.findall(r"<!-- table (\w+) -->", path.read_text())}
    made = set()
    for output in (output for experiment in PUBLISHED.values() for output in experiment.outputs):
        if isinstance(output, Results):
            made |= {(output.csv.split("/")[0], name) for name, there in (
                ("results", True), ("comparisons", output.comparisons), ("earlier", output.earlier),
                ("beside", output.beside), ("by_number", isinstance(output, ByNumber))) if there}
        if isinstance(output, Curves) and output.reached:
            made.add((output.csv.split("/")[0], "reached"))
        if getattr(output, "table", False):
            made.add((output.json.split("/")[0], output.table))
    assert marks == made


def test_a_table_without_a_mark_is_shown(here, capsys):
    (here / "launch/family").mkdir(parents=True)
    shutil.copy(LAUNCH / "family/results.csv", "launch/family")
    conducting.redraw(EXPERIMENTS["family"], Selection(pathlib.Path("launch")))
    assert capsys.readouterr().out.startswith("\n| row | runs |")
    (here / "launch/family/README.md").write_text("<!-- table results -->\nno end")
    with pytest.raises(errors.UserError, match=r"README\.md: has <!-- table results --> without <!-- end --> behind"):
        conducting.redraw(EXPERIMENTS["family"], Selection(pathlib.Path("launch")))
