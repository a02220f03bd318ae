"""Every annotation of the package, shapes included, is checked while its tests run."""

import functools
import inspect
import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jaxtyping
import pytest
from absl import flags

# Keras asks the `call` of a layer for its arguments, and a function that is checked says *args, **kwargs of itself.
_arguments_of = inspect.getfullargspec
inspect.getfullargspec = lambda function: _arguments_of(
    inspect.unwrap(function) if str(getattr(function, "__module__", "")).startswith("adgm_tf.") else function)

jaxtyping.install_import_hook("adgm_tf", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")
# A shell without job control has what it starts in the background ignore Ctrl-C, of which some tests are.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def parse(monkeypatch):
    """Parses a command line: the given fields as values of `Config`."""
    from adgm_tf import config
    values = flags.FlagValues()
    of_these = {k: functools.partial(define, flag_values=values) for k, define in config._DEFINE.items()}
    monkeypatch.setattr(config, "_DEFINE", of_these)
    config.define_flags()

    def given(*arguments):
        values(["program", *arguments])
        return config.given_flags(values)

    return given


@pytest.fixture
def eagerly():
    """Saves the time to compile the loop, where a step or two are taken."""
    import tensorflow as tf
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
