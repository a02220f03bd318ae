"""Measures what training steps cost on this machine, against what their arithmetic must cost.

python -m adgm_tf.benchmark --json=FILE            everything
python -m adgm_tf.benchmark --quick --json=FILE    at most 5 minutes
python -m adgm_tf.benchmark --check=FILE           compares with the ratios stored in FILE
python -m adgm_tf.benchmark --show=FILE            prints FILE as Markdown
python -m adgm_tf.benchmark --serve=RUN/export     measures the server of an export instead
python -m adgm_tf.benchmark --profile=exact,topk   where the time of a step of these cases goes instead
python -m adgm_tf.benchmark --on_disk              measures memory and speed with data on disk instead
python -m adgm_tf.benchmark --against=CHECKOUT     steps of this version and of another in turn instead
python -m adgm_tf.benchmark --threads              which pool of threads should have all cores instead
python -m adgm_tf.benchmark --accelerator          steps on a GPU beside those of PyTorch, 8 minutes, instead
"""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

from absl import flags

from adgm_tf.host import cli, errors, files


def define_flags() -> None:
    """Defines the flags of this entry point."""
    flags.DEFINE_string("json", None, "Also write the figures to this file.")
    flags.DEFINE_bool("quick", False, "Only what the main ratios need.")
    flags.DEFINE_string("check", None, "Leave with status 2 if a ratio is worse than the one stored in this file, "
                        "of an earlier --json, by more than --tolerance.")
    flags.DEFINE_string("show", None, "Print this file, of an earlier --json, as Markdown, and measure nothing.")
    flags.DEFINE_float("tolerance", 0.15, "Fraction by which a checked ratio may be worse.", lower_bound=0)
    flags.DEFINE_integer("rounds", 7, "Turns that each case gets.", lower_bound=1)
    flags.DEFINE_list("only", [], "Names of the cases to measure.")
    flags.DEFINE_string("alone", None, "Measure this one case in this process, print one line of JSON; used for the "
                        "figures that need a process of their own.")
    flags.DEFINE_integer("replicas", 1, "Logical devices that --alone trains on.", lower_bound=1)
    flags.DEFINE_list("profile", [], "Measure the share of each kind of operation in a step of these cases, by "
                      "TensorFlow's profiler.")
    flags.DEFINE_string("serve", None, "Start a server of this export and measure requests a second against the rows "
                        "of a request.")
    flags.DEFINE_bool("on_disk", False, "Measure peak memory over 1, 4 and 16 GiB of data on disk, and the speed of a "
                      "step beside that with data in memory.")
    flags.DEFINE_string("against", None, "Measure steps in turn with those of the adgm_tf in this checkout.")
    flags.DEFINE_bool("threads", False, "Measure steps with independent branches on a core each, and with every "
                      "product on all cores.")
    flags.DEFINE_bool("accelerator", False, "Measure steps by batch and type of products, with XLA and beside PyTorch "
                      "where it is installed: on a GPU if there is one.")
    flags.DEFINE_float("minutes", 8, "Minutes of --accelerator; what is left then is not measured.", lower_bound=0)
    flags.DEFINE_float("seconds", 3, "Seconds of each figure of --serve.", lower_bound=0.1)
    flags.DEFINE_integer("steps", 40, "Steps that --alone times.", lower_bound=1)


def main() -> None:
    """Prints the table."""
    values = flags.FLAGS
    stored = _stored("check", values.check)["ratios"] if values.check else None
    shown = _stored("show", values.show) if values.show else None
    with cli.quietly():
        from adgm_tf.experiments.speed import processes, report
    if shown:
        print(report.markdown(shown))
        return
    if values.alone:
        print(json.dumps(processes.alone(values.alone, values.replicas, values.steps)))
        return
    if measured := _instead(values):
        module, found = measured
        if values.json:
            files.write_json(values.json, found)
        print(module.markdown(found))
        return
    found = report.run(values.only, values.rounds, quick=values.quick)
    if values.json:
        files.write_json(values.json, found)
    print(report.text(found))
    if stored:
        report.check(found, stored, values.tolerance)


def _instead(values: flags.FlagValues) -> tuple[ModuleType, dict[str, Any]] | None:
    """Measures what is asked for instead of the cases; returns the module that did, and what it found."""
    asked = [name for name in ("serve", "on_disk", "against", "threads", "accelerator", "profile")
             if getattr(values, name)]
    if not asked:
        return None
    if len(asked) > 1:
        first, second = asked[:2]
        raise errors.UserError(f"{values[second].serialize().lstrip('-')}: --{first} is given as well; one is measured "
                               "at a time")
    with cli.quietly():
        from adgm_tf.experiments.speed import accelerator, against, kinds, on_disk, serving, threads
    if values.serve:
        return serving, serving.run(values.serve, values.seconds)
    if values.on_disk:
        return on_disk, on_disk.run()
    if values.against:
        return against, against.run(values.against)
    if values.threads:
        return threads, threads.run()
    if values.accelerator:
        return accelerator, accelerator.run(values.minutes)
    return kinds, kinds.run(values.profile)


def _stored(flag: str, path: str) -> dict:
    try:
        with open(path) as stream:  # noqa: PTH123
            stored = json.load(stream)
        return {name: stored[name] for name in ("cases", "ratios")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise errors.UserError(f"{flag}={path}: is not a file that --json wrote ({error})") from None


if __name__ == "__main__":
    define_flags()
    cli.run(main, __doc__)
