"""Every check that scikit-learn has for an estimator, in processes of their own."""

import json
import subprocess
import sys

import process
import pytest

pytestmark = [pytest.mark.process, pytest.mark.slow]

# One of two processes runs every second check; the second also asks which checks skip scikit-learn's own.
CHECKS = """
import json, sys, unittest, warnings
import adgm_tf as adgm
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.utils.estimator_checks import estimator_checks_generator
warnings.simplefilter("ignore")

def statuses(estimator, part=slice(None)):
    found = []
    for checked, check in list(estimator_checks_generator(estimator, expected_failed_checks={}))[part]:
        try:
            check(checked)
            found.append((check.func.__name__, "passed", ""))
        except unittest.SkipTest as skip:
            found.append((check.func.__name__, "skipped", str(skip)))
        except Exception as error:
            found.append((check.func.__name__, "failed", repr(error)[:2000]))
    return found

own = adgm.SemiSupervisedClassifier(hidden_units=(12,), auxiliary_dim=2, latent_dim=2, num_steps=100)
part = int(sys.argv[1])
theirs = [] if not part else [s for e in (LabelSpreading(), SelfTrainingClassifier(LogisticRegression(max_iter=1000)))
                              for s in statuses(e) if s[1] == "skipped"]
print(json.dumps([statuses(own, slice(part, None, 2)), theirs]))
"""


@pytest.fixture(scope="module")
def checked():
    """(name, status, reason) of every check, and those that scikit-learn's own skip."""
    started = [subprocess.Popen([sys.executable, "-c", CHECKS, str(part)], env=process.environment(), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE) for part in (0, 1)]
    found = []
    for running in started:
        out, err = running.communicate()
        assert running.returncode == 0, err[-2000:]
        found.append(json.loads(out.splitlines()[-1]))
    (even, _), (odd, theirs) = found
    return [*even, *odd], theirs


def test_every_check_of_scikit_learn_passes(checked):
    found, theirs = checked
    assert [line for line in found if line[1] == "failed"] == []
    assert {tuple(line) for line in found if line[1] == "skipped"} <= {tuple(line) for line in theirs}


def test_they_are_all_that_a_classifier_that_transforms_has(checked):
    names = {name for name, *_ in checked[0]}
    assert {"check_classifiers_train", "check_classifiers_classes", "check_transformer_general", "check_fit_idempotent",
            "check_methods_sample_order_invariance", "check_methods_subset_invariance", "check_estimators_pickle",
            "check_transformer_preserve_dtypes", "check_requires_y_none"} <= names
    assert len(checked[0]) > 55
