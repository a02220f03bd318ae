import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import process
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from adgm_tf.analysis import plots
from adgm_tf.experiments import curves
from adgm_tf.host import errors


def recorded(folder, split, tests, hidden=None, steps_per_epoch=50):
    """A run directory that tracked its errors every 100 steps."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"split_seed": split, "seed": 0}))
    lines = []
    for i, error in enumerate(tests):
        step = 100 * (i + 1)
        also = {} if hidden is None else {"transductive_error_percent": hidden[i]}
        lines += [{"step": step, "set": "valid", "test_error_percent": error, **also},
                  {"step": step, "set": "train", "epoch": step / steps_per_epoch, "seconds": 0.6 * step}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))


@pytest.fixture
def runs(tmp_path):
    recorded(tmp_path / "b" / "0", 0, [8.0, 4.0, 2.0], [6.0, 3.0, 1.0])
    recorded(tmp_path / "b" / "1", 1, [10.0, 6.0], [8.0, 5.0])
    recorded(tmp_path / "a" / "0", 0, [9.0, 9.0])
    (tmp_path / "a" / "1").mkdir()
    return tmp_path


def test_a_curve_is_the_runs_of_a_row_where_all_of_them_recorded(runs):
    a, b = curves.curves(curves.collect([f"{runs}/*/*"]), ["test"])
    assert (a.name, b.name) == ("a", "b")
    np.testing.assert_allclose(a.values, [[9, 9]])
    np.testing.assert_allclose(b.x, [2, 4])
    np.testing.assert_allclose(b.values, [[8, 4], [10, 6]])


def test_a_threshold_is_reached_at_the_first_evaluation_below_it(runs):
    lines = curves.reached(curves.collect([f"{runs}/b/*"]), [5.0, 2.0]).splitlines()[2:]
    assert lines == ["| b | 0 | 5 | 200 | 2.0 |", "| b | 0 | 2 | 300 | 3.0 |", "| b | 1 | 5 | not reached | - |",
                     "| b | 1 | 2 | not reached | - |"]


def test_of_two_runs_of_one_split_the_longer_one_has_the_curve(runs):
    recorded(runs / "b" / "0-steps200", 0, [9.0, 9.0])
    recorded(runs / "b" / "1-steps300", 1, [7.0, 7.0, 7.0])
    _, b = curves.curves(curves.collect([f"{runs}/*/*"]), ["test"])
    np.testing.assert_allclose(b.values, [[8, 4, 2], [7, 7, 7]])


def test_an_unfinished_run_has_no_say_in_a_row_with_finished_ones(runs):
    (runs / "b" / "0" / "results.json").write_text("{}")
    recorded(runs / "b" / "0-steps900", 0, [9.0, 9.0, 9.0, 9.0])
    a, b = curves.curves(curves.collect([f"{runs}/*/*"]), ["test"])
    np.testing.assert_allclose(b.values, [[8, 4, 2]])
    np.testing.assert_allclose(a.values, [[9, 9]])


def test_curves_of_several_models_are_no_row(runs):
    for split, model in enumerate(("adgm", "sdgm")):
        config = {"split_seed": split, "seed": 0, "model": model}
        (runs / "b" / str(split) / "config.json").write_text(json.dumps(config))
    with pytest.raises(errors.UserError, match=r"^runs=.*: row b, the folder above the runs, has runs of adgm, sdgm"):
        curves.collect([f"{runs}/*/*"])


@pytest.mark.parametrize("keep", [True, False])
def test_points_take_the_place_of_no_other_table(runs, keep):
    table = runs / "results.csv"
    table.write_text("row,split_seed,seed,steps,test_error_percent\nb,0,0,300,2.0\n")
    before = table.read_text()
    with pytest.raises(errors.UserError, match=r"results\.csv: must be a CSV file with row, split_seed, seed, step "):
        curves.update(table, curves.collect([f"{runs}/*/*"]), keep=keep)
    assert table.read_text() == before


def test_minutes_are_the_mean_of_the_runs(runs):
    folder = runs / "b" / "2"
    recorded(folder, 2, [5.0, 5.0])
    text = (folder / "metrics.jsonl").read_text()
    (folder / "metrics.jsonl").write_text(text.replace('"seconds": 60.0', '"seconds": 120.0'))
    _, b = curves.curves(curves.collect([f"{runs}/*/*"]), ["test"], "minutes")
    np.testing.assert_allclose(b.x, [(1 + 1 + 2) / 3, 2])


def test_a_configuration_without_seeds_is_one_line(runs):
    (runs / "b" / "0" / "config.json").write_text("{}")
    with pytest.raises(errors.UserError, match=r"^runs=.*b/0: config.json has split_seed=None, which must be a whole"):
        curves.collect([f"{runs}/*/*"])


def test_both_errors_of_a_row_share_its_colour(runs):
    drawn = curves.curves(curves.collect([f"{runs}/b/*"]), ["test", "hidden"])
    assert [(c.colour, c.style) for c in drawn] == [(0, 0), (0, 1)]
    np.testing.assert_allclose(drawn[1].values, [[6, 3], [8, 5]])


def test_stored_curves_stay_and_longer_ones_replace_shorter(runs, tmp_path):
    path = tmp_path / "curves.csv"
    curves.update(path, curves.collect([f"{runs}/*/*"]), ["b"])
    recorded(tmp_path / "later" / "b" / "0", 0, [1.0, 1.0])
    recorded(tmp_path / "later" / "b" / "1", 1, [3.0, 3.0, 3.0])
    points = curves.update(path, curves.collect([f"{tmp_path}/later/*/*"]), ["b"])
    assert list(points["row"].unique()) == ["b", "a"]
    b, _ = curves.curves(points, ["test"])
    np.testing.assert_allclose(b.values, [[8, 4, 2], [3, 3, 3]])
    pd.testing.assert_frame_equal(pd.read_csv(path), points)
    only = curves.update(path, curves.collect([f"{tmp_path}/later/*/*"]), keep=False)
    assert set(only["row"]) == {"b"}


def test_the_figure_goes_to_a_file_and_to_tensorboard(runs, tmp_path):
    points = curves.collect([f"{runs}/*/*"])
    curves.draw(points, ["test"], tmp_path / "errors.png", str(tmp_path / "logs"))
    events = EventAccumulator(str(tmp_path / "logs"), size_guidance={"tensors": 0}).Reload()
    (event,) = events.Tensors("errors")
    assert event.step == 300
    size = plt.imread(tmp_path / "errors.png").shape
    assert [int(v) for v in event.tensor_proto.string_val[:2]] == [size[1], size[0]]


def test_points_are_written_with_four_decimals(tmp_path):
    recorded(tmp_path / "a" / "0", 0, [100 / 3], steps_per_epoch=59)
    curves.update(tmp_path / "curves.csv", curves.collect([f"{tmp_path}/a/*"]))
    assert (tmp_path / "curves.csv").read_text().splitlines()[1] == "a,0,0,100,1.6949,60.0000,33.3333,"


def test_nothing_recorded_is_an_error(tmp_path):
    with pytest.raises(errors.UserError, match="track_test"):
        curves.update(tmp_path / "curves.csv", curves.collect([f"{tmp_path}/*/*"]))
    assert not (tmp_path / "curves.csv").exists()


def test_the_figure_shows_mean_and_range(runs, monkeypatch):
    drawn, as_usual = [], plots.drawn
    monkeypatch.setattr(plots, "drawn", lambda figure: drawn.append(figure) or as_usual(figure))
    plots.curves(curves.curves(curves.collect([f"{runs}/*/*"]), ["test"]), "epochs", "error, %")
    axes, = drawn[0].axes
    shown = {line.get_label(): line.get_xydata() for line in axes.get_lines()}
    np.testing.assert_allclose(shown["b (2 runs)"], [[2, 9], [4, 5]])
    band = axes.collections[1].get_paths()[0].vertices
    assert {tuple(v) for v in band} >= {(2, 8), (2, 10), (4, 4), (4, 6)}
    assert (axes.get_yscale(), axes.get_xlabel(), axes.get_ylabel()) == ("log", "epochs", "error, %")


@pytest.mark.process
def test_the_entry_point_draws_and_says_when_an_error_was_reached(runs):
    asked = (f"--runs={runs}/*/*", "--curves=errors.png", "--order=b")
    done = process.forked("report", *asked, "--errors=test,hidden,test", "--reached=5,2", cwd=runs)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert "| b | 0 | 2 | 300 | 3.0 |" in lines
    assert lines[-1] == "errors.png"
    assert (runs / "errors.png").is_file()
    assert list(pd.read_csv(runs / "errors.csv")["row"].unique()) == ["b", "a"]


@pytest.mark.process
@pytest.mark.parametrize(("flag", "said"), [
    ("--errors=tset", "errors=tset: did you mean test"), ("--errors=", "errors: names nothing to draw"),
    ("--reached=five", "reached=five: must be numbers"),
    ("--reached=5,nan", "reached=5,nan: must be numbers"), ("--against=hours", "against=hours: "),
    ("--runs=nowhere", "runs: none of them recorded a test error")])
def test_the_entry_point_refuses_in_one_line(runs, flag, said):
    before = sorted(runs.rglob("*"))
    done = process.forked("report", f"--runs={runs}/*/*", "--curves=errors.png", flag, cwd=runs)
    assert process.is_one_error(done), done
    assert said in done.err
    assert sorted(runs.rglob("*")) == before
