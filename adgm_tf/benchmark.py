"""Measures what training steps cost on this machine, against what their arithmetic must cost.

python -m adgm_tf.benchmark --json=FILE            everything
python -m adgm_tf.benchmark --quick --json=FILE    at most 5 minutes
python -m adgm_tf.benchmark --check=FILE           compares with the ratios stored in FILE
python -m adgm_tf.benchmark --show=FILE            prints FILE as Markdown
python -m adgm_tf.benchmark --profile=exact        prints where the time of a step of one case goes
python -m adgm_tf.benchmark --serve=RUN/export     measures the server of an export instead
python -m adgm_tf.benchmark --on_disk              measures memory and speed with data on disk instead
"""

from __future__ import annotations

import json

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
    flags.DEFINE_string("profile", None, "Print the share of each kind of operation in a step of this case, by "
                        "TensorFlow's profiler, and measure nothing else.")
    flags.DEFINE_string("serve", None, "Start a server of this export and measure requests a second against the rows "
                        "of a request.")
    flags.DEFINE_bool("on_disk", False, "Measure peak memory over 1, 4 and 16 GiB of data on disk, and the speed of a "
                      "step beside that with data in memory.")
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
    if values.serve:
        _serve(values.serve, values.seconds, values.json)
        return
    if values.on_disk:
        _on_disk(values.json)
        return
    if values.profile:
        _profile(values.profile)
        return
    if values.alone:
        print(json.dumps(processes.alone(values.alone, values.replicas, values.steps)))
        return
    found = report.run(values.only, values.rounds, quick=values.quick)
    if values.json:
        files.write_json(values.json, found)
    print(report.text(found))
    if stored:
        report.check(found, stored, values.tolerance)


def _profile(name: str) -> None:
    with cli.quietly():
        from adgm_tf.experiments.speed import cases, kinds
    for kind, share in kinds.shares(errors.lookup(cases.FULL, "profile", name).trainer().train).items():
        print(f"{kind:16s} {share:.3f}")


def _serve(export_dir: str, seconds: float, path: str | None) -> None:
    with cli.quietly():
        from adgm_tf.experiments.speed import serving
    found = serving.run(export_dir, seconds)
    if path:
        files.write_json(path, found)
    print(serving.markdown(found))


def _on_disk(path: str | None) -> None:
    with cli.quietly():
        from adgm_tf.experiments.speed import on_disk
    found = on_disk.run()
    if path:
        files.write_json(path, found)
    print(on_disk.markdown(found))


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
