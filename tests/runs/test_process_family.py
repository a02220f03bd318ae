"""Every row of the family, and every option that changes what a step is made of, trained for a handful of steps."""

import json
import math

import process
import pytest

from adgm_tf.model.family import FAMILY
from adgm_tf.runs import job

pytestmark = [pytest.mark.process, pytest.mark.slow]

SMALL = dict(dataset="digits", hidden_units=(12,), auxiliary_dim=3, latent_dim=3, num_steps=4, steps_per_call=2,
             num_eval_samples=2)
PLAIN = dict(consistency="none", class_sum="exact")
JOBS = {
    "adgm": dict(model="adgm", num_importance_samples=2, num_samples=2, **PLAIN),
    "adgm_deterministic": dict(model="adgm_deterministic", normalization="layer", kl_warmup_steps=3),
    "adgm_icml": dict(model="adgm_icml", likelihood="gaussian", num_labels="all"),
    "sdgm": dict(model="sdgm", trunk="convolutional", filters=(4, 6), normalization="batch"),
    "m2": dict(model="m2", num_labels="0", class_prior=",".join(map(str, [0.2, *[0.8 / 9] * 9])), **PLAIN),
    "m1": dict(model="m1", num_labels="0", trunk="convolutional", filters=(4,), likelihood="gaussian"),
    "avae": dict(model="avae", dataset="moons", learning_rate_schedule="staircase"),
    "compiled": dict(model="sdgm", xla=True, normalization="batch", profile_steps=1),
    "no auxiliary": dict(model="sdgm", auxiliary_dim=0, labelled_in_unlabelled=False, num_epochs=0.1, **PLAIN),
}


def test_every_row_is_trained():
    assert set(FAMILY) <= {options["model"] for options in JOBS.values()}


@pytest.mark.parametrize("name", JOBS)
def test_trains(tmp_path, name):
    options = SMALL | JOBS[name]
    measured = job.run(options | {"run_dir": str(tmp_path / "run")})
    assert measured == json.loads((tmp_path / "run" / "results.json").read_text())
    assert math.isfinite(measured["test_bound_nats"])
    terms = [line for line in process.lines(tmp_path / "run") if line["set"] == "train"][-1]
    assert all(math.isfinite(value) for name, value in terms.items() if name != "set")
    has_classes, labels = FAMILY[options["model"]].q_y is not None, options.get("num_labels", "100")
    assert ("test_error_percent" in measured) == (has_classes and labels != "0")
    assert ("labelled/bound" in terms) == ("classification" in terms) == (has_classes and labels != "0")
    assert ("unlabelled/bound" in terms) == (labels != "all")
    assert ("transductive_error_percent" in measured) == ("test_error_percent" in measured and labels != "all")
    assert ("consistency" in terms) == (has_classes and options.get("consistency") != "none")
