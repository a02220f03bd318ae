"""From a table with holes, categories and names for classes to a run, its page, answers and figures of merit."""

import json

import own
import pandas as pd
import process
import pytest

from adgm_tf import __main__

pytestmark = [pytest.mark.process, pytest.mark.slow]

FLAGS = ("--label_column=kind", "--id_column=key", "--hidden_units=16,16", "--auxiliary_dim=4", "--latent_dim=4",
         "--num_steps=60", "--steps_per_call=20", "--num_eval_samples=3", "--num_valid=30", "--consistency=none")


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Each command, one after another."""
    cwd = tmp_path_factory.mktemp("chain")
    own.write(cwd, count=300)
    own.write(cwd, "new.csv", count=40, seed=1)
    own.table(40, seed=1).dropna(subset="kind").to_parquet(cwd / "labelled.parquet")
    done = {"train": process.forked("train", "--dataset=csv:own.csv", *FLAGS, "--run_dir=run", cwd=cwd)}
    done["predict"] = process.forked("predict", "--run_dir=run", "--input=new.csv", "--output=answers.csv",
                                     "--target_accuracy=0.6", cwd=cwd)
    done["evaluate"] = process.forked("evaluate", "--run_dir=run", "--input=labelled.parquet", cwd=cwd)
    (cwd / "run" / "report.html").rename(cwd / "first.html")
    done["report"] = process.forked("report", "--page=run", cwd=cwd)
    return cwd, done


def test_every_command_ends_well(chain):
    _, done = chain
    assert {name: (end.code, end.err) for name, end in done.items()} == dict.fromkeys(done, (0, ""))
    assert "cannot be written" not in done["train"].out


def test_answers(chain):
    cwd, done = chain
    found, given = pd.read_csv(cwd / "answers.csv"), pd.read_csv(cwd / "new.csv")
    assert found["key"].tolist() == given["key"].tolist()
    assert set(found["class"]) <= set(own.CLASSES)
    assert [name for name in found if name.startswith("probability_")] == [f"probability_{n}" for n in own.CLASSES]
    assert found["novelty"].between(0, 1).all()
    assert "abstain: " in done["predict"].out
    assert done["predict"].out.endswith("answers.csv: 40 rows\n")


def test_figures_of_merit(chain):
    cwd, done = chain
    found = json.loads((cwd / "run" / "evaluation" / "labelled.parquet.json").read_text())
    labelled = pd.read_parquet(cwd / "labelled.parquet")
    assert found["num_labels"] == found["num_examples"] == len(labelled)
    counts = {true: sum(answers.values()) for true, answers in found["confusion"].items()}
    assert counts == labelled["kind"].value_counts().to_dict()
    right = sum(answers.get(true, 0) for true, answers in found["confusion"].items())
    assert found["error_percent"] == pytest.approx(100 * (1 - right / len(labelled)))
    assert found["error_low_percent"] <= found["error_percent"] <= found["error_high_percent"]
    by_class = [v for v in found["class_error_percent"].values() if v is not None]
    assert found["balanced_error_percent"] == pytest.approx(sum(by_class) / len(by_class))
    names = {f"{name}-labelled.parquet.png" for name in ("confusion_matrix", "reliability", "risk_coverage",
                                                         "kl_per_unit")}
    assert {path.name for path in (cwd / "run" / "figures").iterdir()} == names
    assert "95 % interval" in done["evaluate"].out


def test_answers_and_figures_agree(chain):
    """The labelled rows of the two files are the same."""
    cwd, _ = chain
    answers = pd.read_csv(cwd / "answers.csv").merge(pd.read_parquet(cwd / "labelled.parquet"), on="key")
    found = json.loads((cwd / "run" / "evaluation" / "labelled.parquet.json").read_text())
    assert 100 * (answers["class"] != answers["kind"]).mean() == pytest.approx(found["error_percent"])


def test_results_say_how_sure_the_error_is(chain):
    cwd, _ = chain
    found = json.loads((cwd / "run" / "results.json").read_text())
    assert found["test_error_low_percent"] <= found["test_error_percent"] <= found["test_error_high_percent"]
    for name in ("test_balanced_error_percent", "test_macro_f1", "test_log_loss_nats", "test_calibration_error",
                 "test_calibrated_log_loss_nats", "test_calibrated_calibration_error"):
        assert found[name] >= 0
    kept = json.loads((cwd / "run" / "answers.json").read_text())
    assert kept["num_labels"] == 30


def test_the_page_is_written_by_train_and_again_by_report(chain):
    cwd, done = chain
    first, again = ((cwd / path).read_text() for path in ("first.html", "run/report.html"))
    assert done["report"].out == "run/report.html\n"
    assert again == first
    for words in ("length", "colour", "mittel", "Most novel rows", "Most uncertain rows", "Typical rows", "Calibration",
                  "adgm_tf.predict --run_dir=run", "30 validation labels"):
        assert words in first


def test_the_page_does_without_the_data(chain):
    """Where the table has gone, the page says so and shows no rows; answers to new rows need it as little."""
    cwd, _ = chain
    (cwd / "own.csv").rename(cwd / "gone.csv")
    try:
        done = process.forked("report", "--page=run", cwd=cwd)
        assert done.code == 0, done
        assert "without rows of the data: dataset=csv:own.csv: there is no such file" in done.out
        page = (cwd / "run" / "report.html").read_text()
        assert "Most novel rows" not in page
        assert "Typical rows" in page
        done = process.forked("predict", "--run_dir=run", "--input=new.csv", "--output=again.csv",
                              "--target_accuracy=0.6", cwd=cwd)
        assert done.code == 0, done
        assert (cwd / "again.csv").read_text() == (cwd / "answers.csv").read_text()
    finally:
        (cwd / "gone.csv").rename(cwd / "own.csv")


ROWS = ["--run_dir=run", "--input=new.csv"]
WRONG = {
    "nothing given": ("predict", [], "run_dir: must be given, as --run_dir=..."),
    "no output": ("predict", ROWS, "output: must be given"),
    "no run": ("predict", ["--run_dir=no", *ROWS[1:], "--output=o.csv"], "run_dir=no: holds no run"),
    "ending": ("predict", [*ROWS, "--output=o.xls"], "output=o.xls: must end in"),
    "weights": ("predict", [*ROWS, "--output=o.csv", "--weights=bst"], "did you mean best"),
    "no labels": ("evaluate", ["--run_dir=run", "--input=blank.csv"], "input=blank.csv: has no label to measure by"),
    "other class": ("evaluate", ["--run_dir=run", "--input=other.csv"], "row 0 is riesig, and must be one of the 3"),
    "split of a file": ("evaluate", [*ROWS, "--split=valid"], "input=new.csv: takes the place of dataset and split"),
    "page of nothing": ("report", ["--page=no"], "run_dir=no: holds no run"),
    "page and table": ("report", ["--page=run", "--runs=runs/*"], "page=run: goes without runs")}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_line(chain, case):
    cwd, _ = chain
    own.table(9).assign(kind=None).to_csv(cwd / "blank.csv", index=False)
    own.table(9).assign(kind="riesig").to_csv(cwd / "other.csv", index=False)
    entry, flags, rule = WRONG[case]
    before = sorted(cwd.rglob("*"))
    done = process.forked(entry, *flags, cwd=cwd)
    assert process.is_one_error(done), done
    assert rule in done.err
    assert sorted(cwd.rglob("*")) == before


def test_the_command_is_listed():
    assert "predict" in __main__.COMMANDS
