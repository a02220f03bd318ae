import json

import pandas as pd
import pytest

from adgm_tf import errors, reporting


def finished(folder, **results):
    folder.mkdir(parents=True)
    circumstances = {"versions": {"tensorflow": "1"}, "hardware": {"cpu": "a"}, "seed": 0}
    (folder / "results.json").write_text(json.dumps({"steps": 10, "seconds": 2.0, **circumstances, **results}))


@pytest.fixture
def runs(tmp_path):
    finished(tmp_path / "adgm" / "0", split_seed=0, test_error_percent=1.0)
    finished(tmp_path / "adgm" / "1", split_seed=1, test_error_percent=3.0)
    finished(tmp_path / "m1" / "0", split_seed=0, test_bound_nats=-90.0)
    (tmp_path / "m2" / "0").mkdir(parents=True)
    return tmp_path


def test_a_row_is_the_mean_and_the_deviation_over_its_runs(runs):
    table = reporting.markdown(reporting.collect([f"{runs}/*/*"]))
    assert "| adgm | 2 | 10 | 2.00 ± 1.41 | - | - | - | 2.00 ± 0.00 |" in table
    assert "| m1 | 1 | 10 | - | - | - | -90.00 | 2.00 |" in table
    assert "m2" not in table


def test_a_file_gives_back_the_same_table(runs, tmp_path):
    lines = reporting.collect([f"{runs}/*/*"])
    path = tmp_path / "out" / "results.csv"
    reporting.write(lines, path)
    assert reporting.markdown(reporting.read(path)) == reporting.markdown(lines)
    assert list(pd.read_csv(path)["split_seed"]) == [0, 1, 0]
    assert json.loads((path.parent / "environment.json").read_text()) == [
        {"hardware": {"cpu": "a"}, "versions": {"tensorflow": "1"}}]


def test_no_finished_run_is_an_error(tmp_path):
    with pytest.raises(errors.UserError, match="no finished run"):
        reporting.collect([f"{tmp_path}/*"])
