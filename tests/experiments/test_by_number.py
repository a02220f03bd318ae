"""Errors against a number: the table and the curves."""

import pathlib

import numpy as np
import pandas as pd
import pytest

from adgm_tf.analysis import plots
from adgm_tf.experiments import by_number, outputs, tables
from adgm_tf.experiments.listing import EXPERIMENTS

ERRORS = {("one", 20): (4.0, 6.0), ("one", 1000): (1.0, 2.0), ("other", 20): (8.0,)}


@pytest.fixture
def lines():
    found = [{"row": f"{system}-{number}", "split_seed": split, "seed": 0, by_number.ERROR: error, "steps": 10}
             for (system, number), values in ERRORS.items() for split, error in enumerate(values)]
    return by_number.of_numbers(pd.DataFrame(found))


def test_a_row_a_system_and_a_column_a_number(lines):
    assert by_number.markdown(lines, ["one", "other"], [20, 1000], "labels").splitlines() == [
        "| test error, %, with | 20 labels | 1,000 labels |", "| --- | --- | --- |",
        f"| one | 5.00 ± {np.std([4, 6], ddof=1):.2f} | 1.50 ± {np.std([1, 2], ddof=1):.2f} |", "| other | 8.00 | - |"]


def test_a_curve_is_of_the_runs_of_a_system(lines):
    one, other = by_number.curves(lines, ["one", "other", "none"])
    np.testing.assert_array_equal(one.x, [20, 1000])
    np.testing.assert_array_equal(one.values, [[4, 1], [6, 2]])
    np.testing.assert_array_equal(other.values, [[8]])
    assert (one.colour, other.colour) == (0, 1)
    short = by_number.curves(lines.iloc[:-2], ["one"])[0]
    np.testing.assert_array_equal(short.values, [[4, 1], [6, np.nan]])
    assert plots.curves([short], "labels", "error, %", xscale="log").shape[2] == 3


def test_the_picture_and_the_tables_are_made_of_the_file(tmp_path):
    output = next(o for o in EXPERIMENTS["labels"].outputs if isinstance(o, by_number.ByNumber))
    found = [{"row": row, "split_seed": 0, "seed": 0, by_number.ERROR: 100 / int(row.split("-")[1]) ** 0.5, "steps": 10}
             for row in output.rows]
    readme = (tmp_path / output.csv).with_name("README.md")
    readme.parent.mkdir()
    readme.write_text("<!-- table by_number -->\n<!-- end -->\n")
    where = outputs.Places(tmp_path, pathlib.Path("runs"))
    assert output.redraw(where) == []
    tables.write(found, tmp_path / output.csv)
    output.redraw(where)
    assert (tmp_path / output.png).is_file()
    assert "| recipe | 22.36 | 14.14 | 10.00 | 3.16 | 1.83 |" in readme.read_text()


def test_every_row_of_labels_is_of_a_system_and_a_number():
    experiment = EXPERIMENTS["labels"]
    output = experiment.outputs[0]
    assert {row.name for row in experiment.rows} == {f"{s}-{n}" for s in output.systems for n in output.numbers}


@pytest.mark.parametrize("name", ["labels", "few_labels"])
def test_rows_of_a_sweep_have_a_table_of_their_own(name, tmp_path):
    output = EXPERIMENTS[name].outputs[0]
    row = f"{output.rows[0]}-seed_of=1"
    (tmp_path / output.csv).parent.mkdir()
    tables.write([{"row": row, "split_seed": 0, "seed": 0, by_number.ERROR: 5.0, "steps": 10}], tmp_path / output.csv)
    shown = output.redraw(outputs.Places(tmp_path, pathlib.Path("runs"), ("-seed_of=1",)))
    assert f"| {row} | 1 | 10 | 5.00 |" in shown[0]
