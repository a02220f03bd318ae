import concurrent.futures
import json

import pandas as pd
import process
import pytest

from adgm_tf.experiments import curves, tables
from adgm_tf.host import errors, files

LIKELIHOOD = "evaluation/test-importance1000.json"


def finished(folder, cpu="a", **results):
    folder.mkdir(parents=True)
    circumstances = {"versions": {"tensorflow": "1"}, "hardware": {"cpu": cpu}, "seed": 0}
    (folder / "results.json").write_text(json.dumps({"steps": 10, "seconds": 2.0, **circumstances, **results}))


@pytest.fixture
def runs(tmp_path):
    finished(tmp_path / "adgm" / "0", split_seed=0, test_error_percent=1.0)
    finished(tmp_path / "adgm" / "1", split_seed=1, test_error_percent=3.0)
    finished(tmp_path / "m1" / "0", split_seed=0, test_bound_nats=-90.0)
    (tmp_path / "m2" / "0").mkdir(parents=True)
    return tmp_path


def test_a_row_is_the_mean_and_the_deviation_over_its_runs(runs):
    table = tables.markdown(tables.collect([f"{runs}/*/*"]))
    assert "| row | runs | steps | test error % | test bound, nats | seconds |" in table
    assert "| adgm | 2 | 10 | 2.00 ± 1.41 | - | 2.00 ± 0.00 |" in table
    assert "| m1 | 1 | 10 | - | -90.00 | 2.00 |" in table
    assert "m2" not in table


def test_what_others_published_stands_beside_a_row(runs, tmp_path):
    path = tmp_path / "published.csv"
    path.write_text("row,test_error_percent,source\nadgm,0.96 ± 0.02,a poster\nelsewhere,5,a paper\nm1,,none\n")
    table = tables.markdown(tables.collect([f"{runs}/*/*"]), tables.read_published(path))
    assert "| row | published % | runs |" in table
    assert "| adgm | 0.96 ± 0.02 | 2 | 10 | 2.00 ± 1.41 |" in table
    assert "| m1 | - | 1 |" in table
    assert "elsewhere" not in table


@pytest.mark.parametrize("content", [None, "", "row,error\nadgm,1\n"])
def test_a_file_of_published_errors_must_have_its_columns(tmp_path, content):
    path = tmp_path / "published.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(errors.UserError, match=r"published=.*columns row, test_error_percent, source"):
        tables.read_published(path)


def test_a_file_gives_back_the_same_table(runs, tmp_path):
    lines = tables.collect([f"{runs}/*/*"])
    path = tmp_path / "out" / "results.csv"
    tables.write(lines, path)
    assert tables.markdown(tables.read(path)) == tables.markdown(lines)
    assert list(pd.read_csv(path)["split_seed"]) == [0, 1, 0]
    assert json.loads((path.parent / "environment.json").read_text()) == [
        {"hardware": {"cpu": "a"}, "versions": {"tensorflow": "1"}}]


def test_runs_of_several_models_are_no_row(tmp_path):
    for model in ("adgm", "sdgm"):
        finished(tmp_path / "runs" / model, split_seed=0, model=model)
    with pytest.raises(errors.UserError, match=r"^runs=.*: row runs, the folder above the runs, has runs of adgm, sd"):
        tables.collect([f"{tmp_path}/runs/*"])


def test_no_finished_run_is_an_error(tmp_path):
    with pytest.raises(errors.UserError, match="no finished run"):
        tables.collect([f"{tmp_path}/*"])


def line(row, split, steps, error):
    return {"row": row, "split_seed": split, "seed": 0, "steps": steps, "test_error_percent": error}


def test_of_two_lines_of_a_run_the_longer_is_kept():
    stored = [line("a", 0, 100, 5.0), line("a", 1, 100, 6.0), line("gone", 0, 100, 7.0)]
    found = [line("a", 0, 50, 1.0), line("a", 1, 200, 2.0), line("new", 0, 10, 3.0)]
    kept = {(x["row"], x["split_seed"]): x["test_error_percent"] for x in tables.merged(stored, found)}
    assert kept == {("a", 0): 5.0, ("a", 1): 2.0, ("gone", 0): 7.0, ("new", 0): 3.0}
    again, = tables.merged([line("a", 0, 100, 5.0)], [line("a", 0, 100, 4.0)])
    assert again["test_error_percent"] == 4.0
    without, = tables.merged([line("a", 0, float("nan"), 5.0)], [line("a", 0, None, 4.0)])
    assert without["test_error_percent"] == 4.0


@pytest.mark.parametrize(("bound", "steps", "kept"), [(-90.0, 100, -85.0), (-91.0, 100, None), (-90.0, 200, None)])
def test_a_log_likelihood_stays_with_the_weights_that_it_was_estimated_of(bound, steps, kept):
    before = {**line("a", 0, 100, 5.0), "test_bound_nats": -90.0, "log_likelihood_nats": -85.0}
    after, = tables.merged([before], [{**line("a", 0, steps, 5.0), "test_bound_nats": bound}])
    assert after.get("log_likelihood_nats") == kept
    anew, = tables.merged([before], [{**before, "log_likelihood_nats": -84.0}])
    assert anew["log_likelihood_nats"] == -84.0


def test_a_second_table_in_a_folder_keeps_the_circumstances_of_the_first(tmp_path):
    for cpu, name in (("a", "results.csv"), ("b", "other.csv"), ("c", "other.csv")):
        finished(tmp_path / cpu / "sdgm" / "0", cpu=cpu, split_seed=0, test_error_percent=2.0)
        tables.write(tables.collect([f"{tmp_path}/{cpu}/*/*"]), tmp_path / "out" / name)
    cpus = [x["hardware"]["cpu"] for x in json.loads((tmp_path / "out" / "environment.json").read_text())]
    assert cpus == ["a", "b", "c"]


def test_results_of_other_machines_stay_in_the_file(tmp_path):
    path = tmp_path / "results.csv"
    finished(tmp_path / "there" / "sdgm" / "0", cpu="b", split_seed=0, test_error_percent=2.0)
    tables.merge_into(path, tables.collect([f"{tmp_path}/there/*/*"]), ["sdgm", "adgm"])
    finished(tmp_path / "here" / "adgm" / "0", split_seed=0, test_error_percent=1.0)
    lines = tables.merge_into(path, tables.collect([f"{tmp_path}/here/*/*"]), ["sdgm", "adgm"])
    assert tables.markdown(tables.read(path)) == tables.markdown(lines)
    assert [x["row"] for x in tables.read(path)] == ["sdgm", "adgm"]
    cpus = [entry["hardware"]["cpu"] for entry in json.loads((tmp_path / "environment.json").read_text())]
    assert cpus == ["a", "b"]
    assert path.read_text().startswith("row,split_seed,seed,test_error_percent,best_valid_test_error_percent,"
                                       "transductive_error_percent,steps,seconds,num_valid_labels,")


def test_many_at_once_lose_no_line(tmp_path):
    path = tmp_path / "results.csv"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: tables.merge_into(path, [line("a", i, 1, 1.0)]), range(24)))
    assert [x["split_seed"] for x in tables.read(path)] == list(range(24))


def test_the_table_keeps_the_order_of_its_lines():
    lines = tables.in_order([line("z", 0, 1, 1.0), line("b", 0, 1, 1.0), line("a", 1, 1, 1.0), line("a", 0, 1, 1.0)],
                               ["z", "a"])
    assert [(x["row"], x["split_seed"]) for x in lines] == [("z", 0), ("a", 0), ("a", 1), ("b", 0)]
    assert [text.split()[1] for text in tables.markdown(lines).splitlines()[2:]] == ["z", "a", "b"]


@pytest.mark.parametrize(("count", "steps", "median"), [(20, 50, 10.5), (40, 50, 30.5), (40, 30, 20.5), (19, 50, None)])
def test_the_median_is_that_of_the_last_twenty_recorded_up_to_the_result(tmp_path, count, steps, median):
    finished(tmp_path / "a" / "0", split_seed=0, test_error_percent=1.0, steps=steps)
    recorded = [{"step": i, "set": "valid", "test_error_percent": float(i)} for i in range(1, count + 1)]
    between = [{"step": i, "set": "train", "loss": 1.0} for i in range(1, count + 1)]
    text = "\n".join(json.dumps(m) for m in [*recorded, *between]) + '\n{"step": 99, "test_err'
    (tmp_path / "a" / "0" / "metrics.jsonl").write_text(text)
    found, = tables.collect([f"{tmp_path}/a/*"])
    assert found.get("median_of_last_20_test_error_percent") == median


@pytest.mark.parametrize(("changes", "taken"), [
    ({}, True), ({"split": "valid"}, False), ({"step": 5}, False), ({"num_importance_samples": 50}, False),
    ({"dataset": "tfds:fashion_mnist"}, False)])
def test_the_likelihood_is_that_of_the_last_weights_on_the_test_set(tmp_path, changes, taken):
    finished(tmp_path / "m1" / "0", split_seed=0, dataset="mnist")
    evaluated = {"dataset": "mnist", "split": "test", "step": 10, "num_importance_samples": 1000,
                 "log_likelihood_nats": -85.0, **changes}
    files.write_json(tmp_path / "m1" / "0" / LIKELIHOOD, evaluated)
    found, = tables.collect([f"{tmp_path}/m1/*"])
    assert found.get("log_likelihood_nats") == (-85.0 if taken else None)


def test_a_damaged_file_of_a_run_is_one_line(runs):
    for name in (LIKELIHOOD, "results.json"):
        path = runs / "adgm" / "0" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("{")
        with pytest.raises(errors.UserError, match=rf"^runs=.*adgm/0.*: {path.name} cannot be read \("):
            tables.collect([f"{runs}/*/*"])


WRONG = [None, True, "text", "", [], [1], {}, {"a": 1}, -1, 1e400, float("nan"), 10**400]


@pytest.mark.parametrize("name", ["results.json", "config.json", LIKELIHOOD, "metrics.jsonl"])
def test_an_edited_file_ends_in_one_line_or_is_read(tmp_path, name):
    """Every value of every file of a run, replaced by whatever a hand may put there: no other error than a line."""
    whole = {"results.json": {"test_error_percent": 1.0, "steps": 50, "seed": 0, "split_seed": 0, "model": "m2",
                              "seconds": 2.0, "dataset": "digits"},
             "config.json": {"model": "m2", "seed": 0, "split_seed": 0},
             LIKELIHOOD: {"dataset": "digits", "split": "test", "step": 50, "num_importance_samples": 1000,
                          "log_likelihood_nats": -5.0},
             "metrics.jsonl": {"step": 50, "set": "valid", "test_error_percent": 2.0, "epoch": 1.0, "seconds": 3.0}}
    for key in whole[name]:
        for number, value in enumerate(WRONG):
            folder = tmp_path / f"{key}-{number}" / "row" / "0"
            for other, values in whole.items():
                path = folder / other
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(values | ({key: value} if other == name else {})))
            for read in (lambda f=folder: tables.markdown(tables.merged([], tables.collect([str(f)]))),
                         lambda f=folder: curves.update(f / "curves.csv", curves.collect([str(f)]))):
                try:
                    read()
                except errors.UserError as error:
                    assert "\n" not in str(error)


def test_two_runs_of_one_row_split_and_seed_are_named(tmp_path, capsys):
    for number, steps in enumerate((5, 9)):
        finished(tmp_path / "adgm" / str(number), split_seed=0, steps=steps)
    found = tables.merged([], tables.collect([f"{tmp_path}/*/*"]))
    assert [line["steps"] for line in found] == [9]
    assert capsys.readouterr().out == (
        f"warning: {tmp_path}/adgm/0 and {tmp_path}/adgm/1 have one row, split and seed; the one with more steps "
        "counts, of equal ones the last\n")


@pytest.mark.parametrize(("changes", "named"), [({"steps": None}, "steps=None"), ({"split_seed": "a"}, "split_seed=a"),
                                                ({"steps": 1.5}, "steps=1.5"),
                                                ({"test_error_percent": "low"}, "test_error_percent=low")])
def test_a_result_that_is_no_number_is_one_line(tmp_path, changes, named):
    finished(tmp_path / "adgm" / "0", **{"split_seed": 0, **changes})
    with pytest.raises(errors.UserError, match=f"^runs=.*adgm/0: results.json has {named}, which must be a "):
        tables.collect([f"{tmp_path}/*/*"])


def test_a_row_has_its_name_wherever_the_pattern_starts(runs, monkeypatch):
    monkeypatch.chdir(runs / "adgm")
    assert {found["row"] for found in tables.collect(["*"])} == {"adgm"}


@pytest.mark.parametrize("content", ["", "row,error\nadgm,1\n", "row,split_seed,seed,steps\n<<<<<<< HEAD\na,0,0,9\n",
                                     "row,split_seed,seed,steps\na,0,0,many\n",
                                     "row,split_seed,seed,steps\na,0,0,1.5\n",
                                     "row,split_seed,seed,step,steps\na,0,0,1,1\n"])
def test_a_file_of_something_else_is_one_line_and_stays(tmp_path, content):
    path = tmp_path / "results.csv"
    path.write_text(content)
    with pytest.raises(errors.UserError, match=r"^csv=.*results.csv: must be a CSV file with row, split_seed, seed"):
        tables.merge_into(path, [line("a", 0, 1, 1.0)])
    assert path.read_text() == content


@pytest.mark.parametrize("content", ["[", "3", '{"a": 1}'])
def test_damaged_circumstances_are_one_line_and_nothing_is_lost(tmp_path, content):
    path = tmp_path / "results.csv"
    tables.merge_into(path, [line("a", 0, 1, 1.0)])
    stored = path.read_bytes()
    (tmp_path / "environment.json").write_text(content)
    with pytest.raises(errors.UserError, match=r"^csv=.*results.csv: environment.json beside it cannot be read \("):
        tables.merge_into(path, [line("a", 1, 1, 1.0)])
    assert path.read_bytes() == stored


def test_rows_may_be_named_by_numbers(tmp_path):
    path = tmp_path / "results.csv"
    for _ in range(2):
        lines = tables.merge_into(path, [line("100", 0, 1, 1.0), line("20", 0, 1, 1.0), line("nan", 0, 1, 1.0)])
    assert [x["row"] for x in lines] == ["100", "20", "nan"]


def test_a_line_says_what_it_was_made_with(tmp_path):
    versions = {"versions": {"adgm_tf": "0.10.0"}}
    finished(tmp_path / "a" / "0", split_seed=0, **versions, cpu="a  cpu")
    finished(tmp_path / "a" / "1", split_seed=1, **versions, hardware={"cpu": "c", "gpus": ["a GPU", "a GPU"]})
    finished(tmp_path / "a" / "2", split_seed=2, **versions, hardware=None)
    (tmp_path / "a" / "1" / "config.json").write_text('{"compute_dtype": "bfloat16"}')
    lines = tables.collect([f"{tmp_path}/a/*"])
    assert [line.get("machine") for line in lines] == ["a cpu", "a GPU", None]
    assert [line.get("compute_dtype") for line in lines] == [None, "bfloat16", None]
    tables.write(lines, tmp_path / "results.csv")
    assert {line["version"] for line in tables.read(tmp_path / "results.csv")} == {"0.10.0"}


@pytest.mark.parametrize(("version", "steps", "marked"), [
    ("0.1.0", 9, True), ("0.1.9", 9, True), ("0.2.0", 9, False), ("0.10.0", 9, False), ("1.0", 9, False),
    ("0.1.0", 0, False), (None, 9, False)])
def test_a_row_of_before_the_order_was_mended_is_marked(tmp_path, version, steps, marked):
    lines = [{**line("old", 0, steps, 5.0), "version": version}, {**line("new", 0, 9, 5.0), "version": "0.2.0"}]
    table = tables.markdown(lines).splitlines()
    assert [text.split(" | ")[0] for text in table[2:4]] == ["| old †" if marked else "| old", "| new"]
    assert table[4:] == (["", tables.MARKED] if marked else [])


def test_lines_of_before_there_were_versions_stay_readable(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("row,split_seed,seed,steps,test_error_percent\na,0,0,9,5.0\n")
    lines = tables.merge_into(path, [{**line("a", 1, 9, 6.0), "version": "0.2.0", "machine": "x, y"}])
    assert [x["split_seed"] for x in lines] == [0, 1]
    assert path.read_text().splitlines()[1:] == ["a,0,0,5.0000,,,9,,,,,,,,,", 'a,1,0,6.0000,,,9,,,,,,,0.2.0,"x, y",']
    assert tables.MARK not in tables.markdown(tables.read(path))


@pytest.mark.process
def test_the_entry_point_sets_what_was_published_beside_the_rows(runs):
    (runs / "published.csv").write_text("row,test_error_percent,source\nadgm,0.96,a poster\n")
    asked = (f"--runs={runs}/*/*", "--csv=results.csv", "--order=m1,adgm")
    done = process.forked("report", *asked, "--published=published.csv", cwd=runs)
    assert (done.code, done.err) == (0, "")
    assert [text.split(" | ")[:2] for text in done.out.splitlines()[2:]] == [["| m1", "-"], ["| adgm", "0.96"]]
    stored = (runs / "results.csv").read_text()
    (runs / "results.csv").write_text("<<<<<<< HEAD\n" + stored)
    done = process.forked("report", *asked, "--merge", cwd=runs)
    assert process.is_one_error(done), done
    assert done.err.startswith("error: csv=results.csv: must be a CSV file with row, split_seed, seed, steps in every ")
