"""What TensorBoard is given, read back."""

import re
import sys
import types

import building
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from sklearn import metrics as of_sklearn
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

from adgm_tf.analysis import evaluator, grids
from adgm_tf.config import Config
from adgm_tf.host import errors
from adgm_tf.runs import board, loggers, pictures, projector, record
from adgm_tf.training import fit, loop

TERMS = ["labelled/bound", "classification", "labelled/reconstruction", "labelled/kl_z", "unlabelled/bound",
         "unlabelled/reconstruction", "unlabelled/kl_z", "unlabelled/kl_a", "unlabelled/entropy", "consistency",
         "my.term", "loss", "weight_prior", "gradient_norm", "learning_rate", "examples_per_second", "epoch", "seconds"]


def accumulated(folder):
    """Every tag of a folder of events, with all its steps."""
    found = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    found.Reload()
    return found


def tensors(folder):
    """{tag: [(step, array)]} of a folder of events."""
    found = accumulated(folder)
    return {tag: [(e.step, tf.make_ndarray(e.tensor_proto)) for e in found.Tensors(tag)]
            for tag in found.Tags()["tensors"]}


def summaries(folder):
    """Every summary value of a folder of events."""
    for path in folder.glob("events*"):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            yield from event.summary.value


def plugin_data(folder, plugin):
    """{tag: content} of the data of a plugin in a folder of events."""
    return {v.tag: v.metadata.plugin_data.content for v in summaries(folder)
            if v.metadata.plugin_data.plugin_name == plugin}


def scalars(folder):
    return {tag: {step: float(value) for step, value in points} for tag, points in tensors(folder).items()
            if "scalars" in [v.metadata.plugin_data.plugin_name for v in summaries(folder) if v.tag == tag]}


def write(folder, of):
    with tf.summary.create_file_writer(str(folder)).as_default(3):
        of()


def event(step, last=False, **terms):
    return loop.Event(step, step / 10, {"loss": 1.0, "learning_rate": 0.1, **terms}, 100.0, 1.0, last)


# The layout.


def test_the_layout_begins_with_the_error_and_names_every_term_once_or_with_its_like():
    charts = board.layout(["error_percent", *TERMS, "active_units/z"])
    assert [chart.group for chart in charts][:2] == [board.FIRST] * 2
    assert [chart.title for chart in charts][:2] == ["error, %", "loss J, nats"]
    for name in {*TERMS, "error_percent", "active_units/z"} - {"epoch", "seconds"}:
        assert any(re.fullmatch(chart.names, name) for chart in charts), name
    together = next(chart for chart in charts if chart.title == "terms of unlabelled examples")
    for name in ("reconstruction", "kl_z", "kl_a", "entropy"):
        assert re.fullmatch(together.names, f"unlabelled/{name}")
    assert {chart.title for chart in charts if chart.group == board.OTHERS} == {
        "classification", "consistency", "my.term", "weight prior"}


@pytest.mark.parametrize("names", [["loss"], ["loss", "classification"], TERMS, ["test_error_percent", "loss"]])
def test_no_chart_is_empty(names):
    for chart in board.layout(names):
        assert any(re.fullmatch(chart.names, name) for name in names), chart


def test_a_name_is_no_pattern():
    chart = next(chart for chart in board.layout(["my.term"]) if chart.group == board.OTHERS)
    assert re.fullmatch(chart.names, "my.term")
    assert not re.fullmatch(chart.names, "myxterm")


def test_the_layout_is_written_once_for_the_terms_and_errors_of_the_run(tmp_path):
    kept = record.Record(tmp_path, 0)
    record.describe_run(kept, Config(num_valid=10, run_dir="r"), [])
    for step in (10, 20):
        record.TermsWritten(kept)(event(step, **{"labelled/bound": -1.0, "labelled/kl_z": 0.5}))
    found = tensors(tmp_path / "train")["custom_scalars__config__"]
    assert len(found) == 1
    layout = layout_pb2.Layout.FromString(found[0][1].item())
    assert [c.title for c in layout.category] == [
        board.FIRST, board.BOUND, board.UNITS, board.OPTIMISER, board.SPEED]
    patterns = [tag for category in layout.category for chart in category.chart for tag in chart.multiline.tag]
    written = scalars(tmp_path / "train")
    for name in {*written, *map(board.tag, ("error_percent", "active_units/z"))} - {"6 speed/epoch", "6 speed/seconds"}:
        assert any(re.match(pattern, name) for pattern in patterns), name
    for pattern in patterns:
        assert not (re.match(pattern, board.tag("error_percent")) and re.match(pattern, board.tag("loss")))


def test_error_and_loss_come_first_among_the_tags():
    tags = sorted(map(board.tag, [*TERMS, "error_percent", "active_units/z"]))
    assert tags[:2] == ["1 error and loss/error_percent", "1 error and loss/loss"]
    assert [name.partition("/")[2] for name in tags if name.startswith(board.SPEED)] == sorted(board.NOT_LEARNT)
    assert len(set(tags)) == len(TERMS) + 2
    assert max(tags) < min(board.ABOUT, board.HISTOGRAMS, board.PICTURES)


# Options and results.


def session(folder):
    content = plugin_data(folder, "hparams")["_hparams_/session_start_info"]
    return plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info


def values_of(start):
    return {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}


def test_hyperparameters_are_the_options_that_decide_a_result():
    one, other = Config(), Config(num_steps=7, hidden_units=(8, 4), num_labels="250", xla=True, class_sum="exact")
    here, there = board.hyperparameters(one), board.hyperparameters(other)
    different = {name for name in here if here[name] != there[name]}
    assert different == set(other.given())
    assert there["num_steps"] == 7
    assert there["hidden_units"] == "8,4"
    assert there["num_labels"] == 250
    assert not {"run_dir", "checkpoint_every", "strategy", "data_dir", "track_test"} & set(here) - {"data_dir"}
    assert "classification_weight" not in here  # there is none to show
    assert board.hyperparameters(Config(classification_weight=2.0))["classification_weight"] == 2.0


def test_options_and_results_are_one_trial_a_run(tmp_path):
    for name, learning_rate in (("a", 1e-3), ("b", 2e-3)):
        kept = record.Record(tmp_path / name, 0)
        config = Config(learning_rate=learning_rate, run_dir=f"runs/{name}")
        record.describe_run(kept, config, [])
        record.describe_results(kept, 5, {"test_error_percent": 3.5, "steps": 5, "seconds": 1.0, "run_dir": "x"})
        start = session(tmp_path / name / "final")
        assert values_of(start) == pytest.approx(board.hyperparameters(config))
        assert start.group_name == f"runs/{name} in ."
        end = plugin_data(tmp_path / name / "final", "hparams")["_hparams_/session_end_info"]
        assert plugin_data_pb2.HParamsPluginData.FromString(end).session_end_info.status == api_pb2.STATUS_SUCCESS
        assert scalars(tmp_path / name / "final") == {
            "test_error_percent": {5: 3.5}, "trained_seconds": {5: 1.0}}


def test_a_run_that_goes_on_has_its_new_options(tmp_path):
    for steps in (5, 9):
        record.describe_run(record.Record(tmp_path, 0), Config(num_steps=steps, run_dir="r"), [])
    assert len(list((tmp_path / "final").glob("events*"))) == 1
    assert values_of(session(tmp_path / "final"))["num_steps"] == 9


@pytest.mark.parametrize(("given", "watched"), [
    ({}, ()), ({"num_valid": 20}, ("error_percent",)), ({"num_labels": "0", "model": "m1", "num_valid": 5}, ()),
    ({"track_test": True}, ("test_error_percent", "transductive_error_percent"))])
def test_an_error_is_watched_only_where_labels_are_held_out_or_asked_for(tmp_path, capsys, given, watched):
    kept = record.Record(tmp_path, 0)
    record.describe_run(kept, Config(**given), ["a note"])
    assert kept.watched == watched
    says = bool(not watched and given.get("num_labels") != "0")
    assert (record.NOT_WATCHED in capsys.readouterr().out) == says
    text = tensors(tmp_path / "train")[f"{board.ABOUT}/data and plan"][0][1].item().decode()
    assert text.startswith("a note")
    assert (record.NOT_WATCHED in text) == says


def test_options_as_text_say_what_was_given_first_and_break_no_table():
    text = board.describe(Config(data_dir="a|b*c", num_steps=7))
    lines = text.splitlines()
    assert {line.split(" | ")[0] for line in lines[2:4]} == {"| data_dir", "| num_steps"}
    assert "| num_steps | 7 | 2400 |" in lines
    for line in lines:
        assert len(re.findall(r"(?<!\\)\|", line)) == 4, line


# Curves of precision and recall.


def test_pr_curves_are_those_of_scikit_learn(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 400)
    probs = rng.dirichlet([1, 1, 1], 400)
    probs[np.arange(200), y[:200]] += 1
    probs /= probs.sum(1, keepdims=True)
    probs[5], y[7] = np.nan, -1
    write(tmp_path, lambda: board.write_pr_curves("validation", probs, y, ("a", "b b", "c")))
    found = tensors(tmp_path)
    assert set(found) == {f"validation/{name}/pr_curves" for name in ("a", "b b", "c")}
    kept = np.isfinite(probs).all(1) & (y >= 0)
    thresholds = np.arange(board.THRESHOLDS) / (board.THRESHOLDS - 1)
    for c, name in enumerate(("a", "b b", "c")):
        (step, curve), = found[f"validation/{name}/pr_curves"]
        assert step == 3
        precision, recall, at = of_sklearn.precision_recall_curve(y[kept] == c, probs[kept, c])
        for i, threshold in enumerate(thresholds):
            place = np.searchsorted(at, threshold)
            assert curve[5, i] == pytest.approx(recall[place], abs=1e-6)
            # Where nothing is above the threshold scikit-learn calls precision 1, TensorBoard 0.
            if place < len(at):
                assert curve[4, i] == pytest.approx(precision[place], abs=1e-6)
        assert np.all(curve[:4].sum(0) == kept.sum())


def test_pr_curves_of_many_classes_are_those_of_the_frequent_ones(tmp_path):
    y = np.repeat(np.arange(30), np.arange(30))
    probs = np.full((len(y), 30), 1 / 30)
    write(tmp_path, lambda: board.write_pr_curves("test", probs, y, [str(c) for c in range(30)]))
    assert set(tensors(tmp_path)) == {f"test/{c}/pr_curves" for c in range(10, 30)}


# The projector.


def test_the_projector_finds_its_files(tmp_path):
    from google.protobuf import text_format
    from PIL import Image
    from tensorboard.plugins.projector import projector_config_pb2, projector_plugin
    rng = np.random.default_rng(0)
    codes = {"z": rng.normal(size=(7, 3)), "a": rng.normal(size=(7, 2))}
    columns = {"class": ["one\ttab", "b", "c", "d", "e", "f", "Ä"], "part": ["labelled"] * 7}
    images = np.zeros((7, 8, 4, 1))
    images[4] = 1
    projector.write(tmp_path, codes, columns, images)
    text = (tmp_path / "projector_config.pbtxt").read_text()
    config = text_format.Parse(text, projector_config_pb2.ProjectorConfig())
    assert [e.tensor_name for e in config.embeddings] == ["z", "a"]
    for embedding in config.embeddings:
        stored = projector_plugin._read_tensor_tsv_file(str(tmp_path / embedding.tensor_path))
        np.testing.assert_allclose(stored, codes[embedding.tensor_name], rtol=1e-4)
        assert list(embedding.tensor_shape) == list(np.shape(stored))
        table = pd.read_csv(tmp_path / embedding.metadata_path, sep="\t")
        assert table["class"].tolist() == ["one tab", *columns["class"][1:]]
        sprite = np.asarray(Image.open(tmp_path / embedding.sprite.image_path).convert("L"))
        width, height = embedding.sprite.single_image_dim
        assert sprite.shape == (3 * height, 3 * width)
        assert np.all(sprite[height: 2 * height, width: 2 * width] == 255)
        assert sprite.sum() == 255 * width * height


def test_numbers_that_name_classes_are_no_numbers(tmp_path):
    projector.write(tmp_path, {"z": np.zeros((3, 2))}, {"class": ["3", "?", "07"], "part": ["x", "y", "z"]})
    assert (tmp_path / "metadata.tsv").read_text() == "class\tpart\nclass 3\tx\nclass ?\ty\nclass 07\tz\n"


def test_one_column_has_no_header(tmp_path):
    projector.write(tmp_path, {"z": np.zeros((2, 2))}, {"part": ["x", "y"]})
    assert (tmp_path / "metadata.tsv").read_text() == "x\ny\n"
    assert "sprite" not in (tmp_path / "projector_config.pbtxt").read_text()


@pytest.mark.parametrize("shape", [(5, 3, 1), (8, 8, 3), (200, 90, 3), (64, 64, 1), (33, 33, 2)])
def test_a_sprite_has_every_image_in_its_place(shape):
    images = np.stack([np.full(shape, i / 10) for i in range(10)])
    picture, (width, height) = grids.sprite(images, 64)
    assert 32 <= max(width, height) <= 64
    assert picture.shape == (4 * height, 4 * width, 3)
    for i in range(10):
        row, column = divmod(i, 4)
        tile = picture[row * height: (row + 1) * height, column * width: (column + 1) * width, 0]
        assert np.all(tile == np.round(255 * i / 10))


# Images.


def test_half_the_size_keeps_what_is_written():
    picture = np.zeros((7, 10, 3), np.uint8)
    picture[0, 0] = 200
    picture[2:4, 2:4] = 90
    half = grids.halved(picture)
    assert half.shape == (3, 5, 3)
    assert half[0, 0].tolist() == [50] * 3
    assert half[1, 1].tolist() == [90] * 3
    assert half.sum() == 3 * (50 + 90)


def test_small_images_are_enlarged_and_named():
    images = np.zeros((2, 3, 8, 8, 1))
    images[1, 2] = 1
    picture = grids.named(images, ["given", "long name " * 9], ["a", "b", "c"])
    scale = grids.SIDE // 8
    assert picture.shape[0] >= 2 * 8 * scale and picture.shape[1] >= 3 * 8 * scale + 50
    # The last image is white, the one before it black, both as large as they should be.
    assert np.all(picture[-2 - 8 * scale: -2, -2 - 8 * scale: -2] == 255)
    assert np.all(picture[-2 - 8 * scale: -2, -4 - 16 * scale: -4 - 8 * scale] == 0)
    # Names are dark on white, left of the images and above them.
    above = grids.LETTERS + 2 * grids.MARGIN
    left = picture.shape[1] - 3 * (8 * scale + 2) - 2
    assert picture[above:, : left].min() < 100
    assert picture[:above, left:].min() < 100
    assert picture[:above, : left - 20].min() == 255


# Pictures of a run.


def shown(tmp_path, source=None, steps=(2, 4, 6, 8), **options):
    """The folder of a small model that is shown at some steps; no training takes place."""
    defaults = dict(hidden_units=(6,), auxiliary_dim=3, latent_dim=4, num_labels="6", eval_every=2, num_steps=8,
                    labelled_batch_size=6, unlabelled_batch_size=6, num_eval_samples=2, run_dir="r")
    config = Config(**(defaults | options))
    splits = building.split(config, source or building.images())
    trainer = fit.prepare(config, splits)
    kept = record.Record(tmp_path, 0)
    answers = evaluator.of(trainer.model, splits.prepared, config)
    seen = pictures.Pictures(kept, trainer, answers, splits)
    for step in steps:
        seen(event(step, last=step == 8))
    record.describe_results(kept, steps[-1], {})
    return tmp_path, splits, answers


def steps_of(folder):
    return {tag: [step for step, _ in points] for tag, points in tensors(folder).items()}


def test_pictures_are_drawn_at_a_few_evaluations_and_figures_at_all(tmp_path):
    folder, _, _ = shown(tmp_path, steps=(2, 4, 6, 8, 10, 12))
    found = steps_of(folder / "train")
    for name in (board.tag("active_units/z"), f"{board.HISTOGRAMS}/KL of each unit of z"):
        assert found[name] == [2, 4, 6, 8, 10, 12]
    for name in ("samples by class", "reconstructions", "analogies", "KL of each unit"):
        # The first, second and fourth evaluation, and the last, once.
        assert found[f"{board.PICTURES}/{name}"] == [2, 4, 8, 12], name
    assert found[f"{board.HISTOGRAMS}/confidence"] == [2, 4, 8, 12]


def test_nothing_is_shown_of_labels_that_are_hidden(tmp_path):
    folder, splits, _ = shown(tmp_path)
    assert not tensors(folder / "valid")
    table = pd.read_csv(folder / "final" / "metadata.tsv", sep="\t", dtype=str)
    hidden = table[table["part"] == "unlabelled"]
    assert len(hidden) == len(splits.hidden)
    assert set(hidden["class"]) == {pictures.UNKNOWN_CLASS}
    labelled = table[table["part"] == "labelled"]
    assert sorted(labelled["class"]) == sorted(splits.class_names[y] for y in splits.labelled.y)
    assert set(table["answer"]) <= set(splits.class_names)


@pytest.mark.parametrize(("options", "of"), [({"num_valid": 12}, "validation"), ({"track_test": True}, "test")])
def test_answers_to_labels_that_may_be_seen(tmp_path, options, of):
    folder, splits, answers = shown(tmp_path, **options)
    part = splits.valid if of == "validation" else splits.test
    found = tensors(folder / "valid")
    curves = {f"{of}/{c}/pr_curves" for c in "abc"}
    assert set(found) == {f"pictures/confusion, {of}", f"pictures/reliability, {of}"} | curves
    probs = answers.probs(part)
    curve = found[f"{of}/b/pr_curves"][-1][1]
    place = 60
    above = np.floor(probs[:, 1] * (board.THRESHOLDS - 1)) >= place
    assert curve[0, place] == np.sum(above & (part.y == 1))
    assert curve[1, place] == np.sum(above & (part.y != 1))
    table = pd.read_csv(folder / "final" / "metadata.tsv", sep="\t", dtype=str)
    assert (pictures.UNKNOWN_CLASS in set(table["class"])) == (of == "validation")


def test_the_projector_shows_what_the_model_encodes(tmp_path):
    folder, splits, answers = shown(tmp_path)
    z = np.loadtxt(folder / "final" / "z.tsv")
    first = splits.labelled.drawn(pictures.PROJECTED["labelled"])
    np.testing.assert_allclose(z[:len(first)], answers.latent_means(first), rtol=1e-3, atol=1e-4)
    assert np.loadtxt(folder / "final" / "a.tsv").shape == (len(z), 3)
    assert (folder / "final" / "sprite.png").is_file()


def test_an_image_can_be_read(tmp_path):
    folder, _, _ = shown(tmp_path, steps=(8,))
    for tag, points in tensors(folder / "train").items():
        if tag.startswith(board.PICTURES):
            picture = tf.io.decode_png(points[-1][1][2]).numpy()
            assert min(picture.shape[:2]) > 100, tag
            assert picture.std() > 0


@pytest.mark.parametrize(("options", "source"), [
    ({"model": "m1", "num_labels": "0"}, building.images()), ({"model": "m2"}, building.vectors()),
    ({"model": "adgm_deterministic"}, building.vectors(dim=2)), ({"model": "vat", "num_valid": 6}, building.images())])
def test_every_kind_of_model_is_shown_without_a_complaint(tmp_path, capsys, options, source):
    folder, _, _ = shown(tmp_path, source, steps=(2, 8), **options)
    assert "cannot be drawn" not in capsys.readouterr().out
    if options["model"] == "vat":
        assert not (folder / "final" / "z.tsv").exists()
        assert "pictures/confusion, validation" in tensors(folder / "valid")
    else:
        assert (folder / "final" / "z.tsv").is_file()
        assert (folder / "final" / "a.tsv").is_file() == (options["model"] == "adgm_deterministic")


def test_no_picture_ends_a_run(tmp_path, capsys, monkeypatch):
    def fail(*given, **named):
        raise MemoryError("no room")

    for where, name in ((pictures.grids, "named"), (pictures.projector, "write"), (pictures.board, "write_pr_curves"),
                        (evaluator.Evaluator, "kl_per_unit")):
        monkeypatch.setattr(where, name, fail)
    folder, _, _ = shown(tmp_path, num_valid=6)
    said = capsys.readouterr().out
    for name in ("samples by class", "projector", "validation", "KL"):
        assert f"picture {name} cannot be drawn (MemoryError: no room)" in said
    assert f"{board.HISTOGRAMS}/confidence" in tensors(folder / "train")
    assert plugin_data(folder / "final", "hparams")["_hparams_/session_end_info"] is not None


def test_rows_as_text_stay_rows():
    index = pd.Index(["one", "two"], name="class")
    rows = pd.DataFrame({"a|b": [1.23456789, 2], "c": ["x|y", "new\nline"]}, index=index)
    lines = board.rows_as_text(rows).splitlines()
    assert len(lines) == 4
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 4 for line in lines)
    assert "1.235" in lines[2]


def test_a_table_with_more_columns_than_rows_stands_on_its_side():
    names = [f"column {i}" for i in range(12)]
    rows = pd.DataFrame(np.arange(24.0).reshape(2, 12), index=pd.Index(["one", "two"], name="class"), columns=names)
    lines = board.rows_as_text(rows).splitlines()
    assert lines[:3] == ["| class | one | two |", "| --- | --- | --- |", "| column 0 | 0 | 12 |"]
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {name}" for name in names]


# Loggers of others.


class Fake:
    """Stands in for the modules of MLflow and of Weights & Biases."""

    def __init__(self, fails=False):
        self.calls, self.fails = [], fails

    def __getattr__(self, name):
        def call(*given, **named):
            if self.fails and name in ("log_metrics", "log"):
                raise ConnectionError("no network")
            self.calls.append((name, given, named))
            return types.SimpleNamespace(info=types.SimpleNamespace(run_id="id7"), log=self.log, finish=self.finish) \
                if name in ("start_run", "init") else None
        return call


@pytest.fixture
def fake(monkeypatch):
    def use(**given):
        module = Fake(**given)
        for name, _ in loggers.LOGGERS.values():
            monkeypatch.setitem(sys.modules, name, module)
        return module

    return use


def logged(tmp_path, *names):
    kept = record.Record(tmp_path, 0)
    config = Config(loggers=names, num_steps=7, run_dir="runs/a")
    record.describe_run(kept, config, [])
    record.TermsWritten(kept)(event(10))
    kept.add("valid", 10, {"error_percent": 5.0})
    record.describe_results(kept, 10, {"test_error_percent": 4.0})
    return board.hyperparameters(config)


def test_mlflow_gets_what_tensorboard_gets(tmp_path, fake):
    module = fake()
    options = logged(tmp_path, "mlflow")
    names = [name for name, _, _ in module.calls]
    assert names == ["start_run", "log_params", "log_metrics", "log_metrics", "log_metrics", "end_run"]
    assert module.calls[1][1] == (options,)
    assert module.calls[2][1][0]["train/loss"] == 1.0
    assert module.calls[2][2] == {"step": 10}
    assert module.calls[3][1][0] == {"valid/error_percent": 5.0}
    assert module.calls[4][1][0] == {"final/test_error_percent": 4.0}
    logged(tmp_path, "mlflow")
    assert module.calls[6][2] == {"run_id": "id7", "run_name": None}


def test_wandb_gets_what_tensorboard_gets(tmp_path, fake):
    module = fake()
    options = logged(tmp_path, "wandb")
    assert [name for name, _, _ in module.calls] == ["init", "log", "log", "log", "finish"]
    assert module.calls[0][2]["config"] == options
    assert module.calls[2][1:] == (({"valid/error_percent": 5.0},), {"step": 10})
    logged(tmp_path, "wandb")
    assert module.calls[5][2]["id"] == module.calls[0][2]["id"]


@pytest.mark.parametrize("name", loggers.LOGGERS)
def test_a_logger_that_fails_is_a_line_and_silent_from_then_on(tmp_path, fake, capsys, name):
    fake(fails=True)
    logged(tmp_path, name)
    assert capsys.readouterr().out.count(f"{name} gets nothing more (ConnectionError: no network)\n") == 1
    assert scalars(tmp_path / "valid") == {board.tag("error_percent"): {10: 5.0}}


def test_a_logger_that_is_not_there_is_an_error(tmp_path, monkeypatch):
    with pytest.raises(errors.UserError, match=r"^loggers=mlfow: .*mlflow"):
        loggers.opened(Config(loggers=("mlfow",)), tmp_path)
    monkeypatch.setitem(loggers.LOGGERS, "none", ("no_such_module_here", loggers.MLflow))
    with pytest.raises(errors.UserError, match=r"^loggers=none: needs the package no_such_module_here"):
        loggers.opened(Config(loggers=("none",)), tmp_path)


def test_only_the_first_worker_logs(tmp_path, fake, monkeypatch):
    module = fake()
    monkeypatch.setattr(loggers.strategy, "leads", lambda kind: False)
    assert loggers.opened(Config(loggers=("mlflow",)), tmp_path) == []
    assert module.calls == []
