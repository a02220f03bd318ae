"""The table of few labels: which splits it is over, which of the others is held against ours, and ranks."""

import pandas as pd

from adgm_tf.experiments.few_labels_table import markdown, short

SETS, SYSTEMS, OTHERS = ("one", "two"), ("ours", "vat", "tree", "line"), ("tree", "line")


def lines_of(errors):
    return pd.DataFrame([{"row": f"{name}-{system}", "split_seed": split, "test_error_percent": error, "seconds": 2.0}
                         for (name, system), found in errors.items() for split, error in enumerate(found)])


def table(errors):
    """The cells of each line of the table for {(set, system): errors by split}."""
    text = markdown(lines_of(errors), SETS, SYSTEMS, OTHERS)
    return {cells[0]: cells[1:] for line in text.splitlines() if line.startswith("| ")
            for cells in [line.strip("| ").split(" | ")]}


MEASURED = {("one", "ours"): [1.0, 3.0], ("one", "tree"): [4.0, 4.0], ("one", "line"): [2.0, 9.0],
            ("two", "ours"): [9.0, 9.0], ("two", "tree"): [5.0, 5.0], ("two", "line"): [6.0, 6.0]}


def test_ours_stands_beside_the_best_mean_of_the_others():
    found = table(MEASURED)
    assert found["one"][4:6] == ["tree", "-2.0"]
    assert found["two"][4:6] == ["tree", "+4.0"]
    assert (found["ours"], found["tree"], found["line"]) == (["2.0"], ["1.5"], ["2.5"])


def test_a_set_is_measured_on_the_splits_that_all_have():
    more = table(MEASURED | {("one", "ours"): [1.0, 3.0, 80.0]})
    assert more == table(MEASURED)
    fewer = table(MEASURED | {("one", "line"): [2.0]})
    assert fewer["one"][0] == "1"
    assert fewer["one"][4:6] == ["line", "-1.0"]


def test_fewer_splits_are_said():
    found = table(MEASURED | {("one", "vat"): [0.0], ("two", "vat"): [1.0, 3.0]})
    assert (found["one"][2], found["two"][2]) == ("0.0 (1)", "2.0 ± 1.4")
    assert "vat" not in found
    assert found["ours"] == table(MEASURED)["ours"]


def test_a_system_that_lacks_a_set_has_no_rank_and_takes_none():
    found = table(MEASURED | {("one", "vat"): [0.0, 0.0]})
    assert found["one"][2] == "0.0 ± 0.0"
    assert "vat" not in found
    assert found["ours"] == ["2.0"]


def test_the_short_table_has_the_figures_of_the_whole_one():
    whole = table(MEASURED)
    lines = short(lines_of(MEASURED), SETS, SYSTEMS, OTHERS).splitlines()
    assert lines[2:] == [f"| {name} | {whole[name][1]} | {whole[name][3]}, {whole[name][4]} |" for name in SETS]
