import dataclasses
import json
import os
import pathlib
import shutil

import pytest

from adgm_tf import config as config_lib
from adgm_tf.config import Config
from adgm_tf.host import errors

OLD = pathlib.Path(__file__).parent / "old"
FIELDS = dataclasses.fields(Config)
OTHER = {"str": "other", "int": 7, "float": 0.25, "float | None": 0.25, "tuple[int, ...]": (3, 5),
         "tuple[float, ...]": (0.25, 0.75), "tuple[str, ...]": ("CPU:0", "CPU:1")}


def other_value(field):
    """A valid value of the field that is not its default."""
    if field.metadata["choices"]:
        return next(c for c in field.metadata["choices"] if c != field.default)
    if field.name in ("num_labels", "num_unlabelled"):
        return {"num_labels": "all", "num_unlabelled": "12"}[field.name]
    if field.type == "bool":
        return not field.default
    return OTHER[field.type]


OTHERS = {f.name: other_value(f) for f in FIELDS}
BY_NAME = pytest.mark.parametrize("field", FIELDS, ids=lambda f: f.name)


def as_text(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def line(**given):
    """The one line with which a configuration is refused."""
    with pytest.raises(errors.UserError) as caught:
        Config(**given)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def beyond(field, bound, by):
    value = type(bound)(bound + by) if field.type.startswith("float") else bound + by
    return (value,) if field.type.startswith("tuple") else value


def test_the_defaults_are_a_configuration():
    assert Config() == Config()


@pytest.mark.parametrize("name, value", [("features_run", "RUN"), ("classifier", "bound"), ("input_noise", 0.3)])
@pytest.mark.parametrize("model", ["vat", "ladder", "atlas_rbf"])
def test_what_only_the_family_has_is_wrong_for_a_classifier_and_in_vain_for_what_is_fitted(model, name, value):
    config = Config(model=model, **{name: value})
    if model == "atlas_rbf":
        assert config.in_vain("fitted") == [name]
        return
    with pytest.raises(errors.UserError) as caught:
        config.in_vain(model)
    assert str(caught.value) == f"{name}={value}: does not apply to {model}; leave it out"


KINDS = ("family", "vat", "ladder", "fitted")


@pytest.mark.parametrize("kind", KINDS)
@BY_NAME
def test_an_option_is_used_or_in_vain(field, kind):
    """Given by itself it is said to be in vain by those that do not use it, or it is refused; never by the others."""
    config = Config(**{field.name: OTHERS[field.name]})
    used, strict = kind in field.metadata["used_by"], field.metadata["in_vain"] == config_lib.ERROR
    assert set(field.metadata["used_by"]) <= set(KINDS)
    if not used and strict and kind != "fitted":
        with pytest.raises(errors.UserError) as caught:
            config.in_vain(kind)
        shown = as_text(OTHERS[field.name])
        assert str(caught.value) == f"{field.name}={shown}: does not apply to {config.model}; leave it out"
    else:
        assert config.in_vain(kind) == ([] if used else [field.name])


def test_the_defaults_are_in_vain_nowhere():
    assert Config().given() == {}
    for kind in KINDS:
        assert Config().in_vain(kind) == []


@BY_NAME
def test_every_field_says_what_it_is(field):
    assert field.metadata["text"].endswith(".")


@BY_NAME
def test_every_field_has_another_valid_value(field):
    assert OTHERS[field.name] != field.default
    Config(**{field.name: OTHERS[field.name]})


@pytest.mark.parametrize("field", [f for f in FIELDS if f.metadata["minimum"] is not None], ids=lambda f: f.name)
def test_a_value_below_its_minimum_is_refused(field):
    value = beyond(field, field.metadata["minimum"], -1)
    expected = f"{field.name}={as_text(value)}: must be at least {field.metadata['minimum']}"
    assert line(**{field.name: value}) == expected


@pytest.mark.parametrize("field", [f for f in FIELDS if f.metadata["maximum"] is not None], ids=lambda f: f.name)
def test_a_value_above_its_maximum_is_refused(field):
    value = beyond(field, field.metadata["maximum"], 1)
    expected = f"{field.name}={as_text(value)}: must be at most {field.metadata['maximum']}"
    assert line(**{field.name: value}) == expected


@pytest.mark.parametrize("field", [f for f in FIELDS if f.metadata["choices"]], ids=lambda f: f.name)
def test_a_value_outside_the_choices_names_the_nearest_and_all_of_them(field):
    choice = field.metadata["choices"][-1]
    found = line(**{field.name: choice + "x"})
    assert found.startswith(f"{field.name}={choice}x: did you mean ")
    assert choice in found.partition("?")[0]
    assert found.endswith(f"known: {', '.join(field.metadata['choices'])}")


@pytest.mark.parametrize("field", [f for f in FIELDS if "float" in f.type], ids=lambda f: f.name)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite_is_refused(field, value):
    given = (value,) if field.type.startswith("tuple") else value
    assert line(**{field.name: given}) == f"{field.name}={value}: must be finite"


@pytest.mark.parametrize(("given", "expected"), [
    (dict(num_labels="many"), "num_labels=many: must be a whole number of at least 0, or all, given or auto"),
    (dict(num_labels="-3"), "num_labels=-3: must be a whole number of at least 0, or all, given or auto"),
    (dict(num_labels=""), "num_labels=: must be a whole number of at least 0, or all, given or auto"),
    (dict(num_labels="1.5"), "num_labels=1.5: must be a whole number of at least 0, or all, given or auto"),
    (dict(hidden_units=()), "hidden_units=: must name at least one layer"),
    (dict(hidden_units=(5, 0)), "hidden_units=5,0: must be at least 1"),
    (dict(num_unlabelled="given"), "num_unlabelled=given: must be a whole number of at least 0, or all"),
    (dict(num_unlabelled="auto"), "num_unlabelled=auto: must be a whole number of at least 0, or all"),
    (dict(image_size=(8,)), "image_size=8: must be a height and a width"),
    (dict(ema_decay=1.0), "ema_decay=1.0: must be below 1, or the averages never move"),
    (dict(learning_rate=0.0), "learning_rate=0.0: must be above 0"),
    (dict(learning_rate_schedule="staircase", staircase_epochs=0.0), "staircase_epochs=0.0: must be above 0"),
    (dict(trunk="convolutional", filters=()), "filters=: must name at least one for trunk=convolutional"),
])
def test_a_rule_of_its_own_is_kept(given, expected):
    assert line(**given) == expected


@pytest.mark.parametrize("given", [
    dict(ema_decay=0.999), dict(num_labels="given"), dict(num_labels="auto"), dict(staircase_epochs=0.0),
    dict(clip_norm=0.0), dict(num_labels="0"), dict(classification_weight=None), dict(auxiliary_dim=0)])
def test_a_value_at_the_edge_of_its_rule_is_taken(given):
    config = Config(**given)
    assert {name: getattr(config, name) for name in given} == given


@pytest.mark.parametrize(("value", "total", "expected"), [("all", 17, 17), ("0", 17, 0), ("12", 17, 12)])
def test_all_labels_stand_for_the_total(value, total, expected):
    assert Config(num_labels=value).label_count(total) == expected


def test_without_flags_nothing_is_given(parse):
    assert parse() == {}


@BY_NAME
def test_a_flag_gives_its_field(parse, field):
    value = OTHERS[field.name]
    assert parse(f"--{field.name}={as_text(value)}") == {field.name: value}


def test_all_flags_give_all_fields(parse):
    assert Config(**parse(*(f"--{k}={as_text(v)}" for k, v in OTHERS.items()))) == Config(**OTHERS)


@BY_NAME
def test_a_default_survives_its_flag(parse, field):
    if field.default is not None:
        assert parse(f"--{field.name}={as_text(field.default)}") == {field.name: field.default}


def test_an_empty_list_is_no_entries(parse):
    assert parse("--filters=", "--devices=") == {"filters": (), "devices": ()}


@pytest.mark.parametrize(("argument", "expected"), [
    ("--hidden_units=500,many", "hidden_units=500,many: must be whole numbers with commas between"),
    ("--hidden_units=2.5", "hidden_units=2.5: must be whole numbers with commas between")])
def test_a_list_of_something_else_is_one_line(parse, argument, expected):
    with pytest.raises(errors.UserError) as caught:
        parse(argument)
    assert str(caught.value) == expected


def test_a_flagfile_gives_its_fields(parse, tmp_path):
    (tmp_path / "flags.txt").write_text("--model=m2\n--hidden_units=3,4\n")
    assert parse(f"--flagfile={tmp_path}/flags.txt") == {"model": "m2", "hidden_units": (3, 4)}


@pytest.mark.parametrize("given", [{}, OTHERS, dict(classification_weight=None)])
def test_what_is_written_is_read_back(tmp_path, given):
    config = Config(**given)
    config_lib.write(config, tmp_path)
    assert config_lib.read(tmp_path) == config


def test_a_folder_without_a_run_is_one_line(tmp_path):
    with pytest.raises(errors.UserError, match=r"holds no run \(there is no config.json in it\)"):
        config_lib.read(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"modell": "m2"}', '{"seed": "one"}', '{"seed": -1}',
                                  '{"model": null}', "\x00\xff"])
def test_a_damaged_configuration_cannot_be_read(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(errors.UserError, match=r"^run_dir=.*: config.json cannot be read \("):
        config_lib.read(tmp_path)


def test_a_configuration_is_written_as_plain_json(tmp_path):
    config_lib.write(Config(), tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text())
    assert set(stored) == {f.name for f in FIELDS} | {"format"}
    assert stored["hidden_units"] == list(Config().hidden_units)


def affecting(*kinds):
    return [f for f in FIELDS if f.metadata["affects"] in kinds]


def test_every_option_says_what_it_affects():
    assert affecting(config_lib.RESULT, config_lib.MEASUREMENT, config_lib.NOTHING) == list(FIELDS)
    assert {f.name for f in affecting(config_lib.MEASUREMENT)} == {
        "num_eval_samples", "classifier", "eval_batch_size", "calibration_folds"}
    for name in ("xla", "compute_dtype", "tf32", "num_steps", "num_epochs", "seed", "split_seed", "eval_every",
                 "patience"):
        assert name in {f.name for f in affecting(config_lib.RESULT)}
    for name in ("data_dir", "run_dir", "strategy", "devices", "track_test"):
        assert name in {f.name for f in affecting(config_lib.NOTHING)}


@pytest.mark.parametrize("field", FIELDS, ids=lambda f: f.name)
def test_an_option_makes_another_experiment_by_what_it_affects(field):
    one, other = Config(), dataclasses.replace(Config(), **{field.name: OTHERS[field.name]})
    for kind in (config_lib.RESULT, config_lib.MEASUREMENT, config_lib.NOTHING):
        assert config_lib.same(one, other, kind) is (field.metadata["affects"] != kind)


@pytest.mark.parametrize("field", affecting(config_lib.MEASUREMENT, config_lib.NOTHING), ids=lambda f: f.name)
def test_a_resumed_run_may_change_what_affects_no_result(field):
    stored = Config()
    resumed = config_lib.resume(stored, {field.name: OTHERS[field.name]})
    assert resumed == dataclasses.replace(stored, **{field.name: OTHERS[field.name]})


@pytest.mark.parametrize("field", affecting(config_lib.RESULT), ids=lambda f: f.name)
def test_a_resumed_run_may_not_become_another(field):
    value = OTHERS[field.name]
    stored = Config(num_valid=100) if field.name == "eval_every" else Config()
    with pytest.raises(errors.UserError) as caught:
        config_lib.resume(stored, {field.name: value, "run_dir": "there"})
    shown = os.path.relpath(value) if field.name == "features_run" else as_text(value)
    assert str(caught.value) == ("run_dir=there: holds a run of another configuration: "
                                 f"{field.name} is {as_text(field.default)}, not {shown}")


def test_a_resumed_run_names_every_field_that_differs():
    with pytest.raises(errors.UserError, match=r"model is sdgm, not m2; seed is 0, not 3$"):
        config_lib.resume(Config(model="sdgm", latent_dim=100, seed=0), {"model": "m2", "latent_dim": 100, "seed": 3})


def test_a_resumed_run_may_repeat_its_own_configuration():
    stored = Config(**OTHERS)
    assert config_lib.resume(stored, OTHERS) == stored
    assert config_lib.resume(stored, {}) == stored


@pytest.mark.parametrize("given", [dict(num_steps=9), dict(num_epochs=2.0)])
def test_the_length_of_a_cosine_schedule_is_part_of_the_run(given):
    with pytest.raises(errors.UserError, match=next(iter(given))):
        config_lib.resume(Config(learning_rate_schedule="cosine"), given)
    for schedule in ("constant", "staircase"):
        config_lib.resume(Config(learning_rate_schedule=schedule), given)


@pytest.mark.parametrize(("options", "depends"), [
    (dict(consistency_radius_start=2.0), True), (dict(propagation_weight=4.0), True),
    (dict(consistency_radius_start=2.0, consistency="none"), False), (dict(kl_warmup_steps=10), False)])
def test_what_takes_its_course_over_the_steps_fixes_their_number(options, depends):
    stored = Config(learning_rate_schedule="constant", **options)
    if not depends:
        config_lib.resume(stored, dict(num_steps=9))
        return
    with pytest.raises(errors.UserError, match=r"num_steps is .*, not 9"):
        config_lib.resume(stored, dict(num_steps=9))


def test_the_steps_of_evaluation_are_free_where_nothing_is_chosen_by_them():
    config_lib.resume(Config(num_valid=0), dict(eval_every=7))
    with pytest.raises(errors.UserError, match=r"eval_every is 600, not 7"):
        config_lib.resume(Config(num_valid=100), dict(eval_every=7))


def test_near_names_come_first():
    known = ["apple", "grape", "maple"]
    assert str(errors.unknown("fruit", "aple", known)).startswith("fruit=aple: did you mean ")
    assert "did you mean" not in str(errors.unknown("fruit", "zzz", known))
    assert errors.lookup({"apple": 1}, "fruit", "apple") == 1
    with pytest.raises(errors.UserError, match=r"^fruit=appel: did you mean apple\? known: apple$"):
        errors.lookup({"apple": 1}, "fruit", "appel")


def test_a_run_of_an_earlier_format_can_be_read_and_not_gone_on_with(tmp_path):
    config_lib.write(Config(), tmp_path)
    config_lib.check_can_go_on(tmp_path)
    path = tmp_path / "config.json"
    stored = json.loads(path.read_text())
    assert stored.pop("format") == config_lib.FORMAT
    path.write_text(json.dumps(stored))
    assert config_lib.read(tmp_path) == Config()
    with pytest.raises(errors.UserError, match=r": was begun by an earlier version \(format 1\), and this one "
                       r"\(format 2\) takes the examples in another order; the run can be evaluated"):
        config_lib.check_can_go_on(tmp_path)


@pytest.mark.parametrize("path", sorted(OLD.glob("*.json")), ids=lambda path: path.stem)
def test_a_run_of_an_earlier_version_is_read(path, tmp_path):
    """Its options keep their names and values, and what it did not know is at its default."""
    shutil.copy(path, tmp_path / "config.json")
    stored, found = json.loads(path.read_text()), config_lib.read(tmp_path)
    assert stored.pop("format", 1) <= config_lib.FORMAT
    assert found.given() == dict(model="adgm", dataset="digits", num_labels="50", split_seed=3, hidden_units=(30, 20))
    assert found.to_json().items() >= {k: v for k, v in stored.items() if k != "class_prior"}.items()


def test_a_run_of_a_later_version_is_one_line(tmp_path):
    config_lib.write(Config(), tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": config_lib.FORMAT + 1}))
    with pytest.raises(errors.UserError, match=r"config\.json cannot be read \(it comes from a later version"):
        config_lib.read(tmp_path)
