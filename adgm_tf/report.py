"""Collects runs into one table, a line a run as CSV, mean and standard deviation over splits; or writes a run's page.

python -m adgm_tf.report --runs='runs/family/*/*' --csv=FILE
python -m adgm_tf.report --runs='runs/table1/adgm_1mc/*,runs/table1/m2/*' --curves=FILE.png
python -m adgm_tf.report --page=RUN
"""

from __future__ import annotations

import contextlib
import math
import pathlib

from absl import flags

from adgm_tf.host import cli, errors, files


def define_flags() -> None:
    """Defines the flags of this entry point."""
    flags.DEFINE_string("page", None, "Instead of a table, write report.html of this run directory anew.")
    flags.DEFINE_list("runs", None, "Patterns of run directories <row>/<split>; the row is the name of the folder "
                      "above the run.")
    flags.DEFINE_string("csv", None, "Also write a line a run to this file, and versions and hardware to "
                        "environment.json beside it.")
    flags.DEFINE_bool("merge", False, "Keep the lines of runs that stand in the file of --csv, --curves_csv and are "
                      "not here; of two lines of one (row, split_seed, seed) the one with more steps.")
    flags.DEFINE_list("order", [], "Rows in the order that the table gets; others come behind, by name.")
    flags.DEFINE_string("published", None, "CSV file of what others published of the rows, test error in %, for a "
                        "column of the table.")
    flags.DEFINE_string("curves", None, "Instead of the table, draw error against epochs to this PNG file, from what "
                        "--track_test recorded.")
    flags.DEFINE_string("against", "epochs", "What --curves draws the error against: epochs or minutes of training.")
    flags.DEFINE_string("curves_csv", None, "File of the points of --curves; the same name with .csv if not given.")
    flags.DEFINE_string("tensorboard", None, "Folder of TensorBoard logs that --curves goes to too.")
    flags.DEFINE_list("errors", ["test"], "What --curves draws: test, hidden (unlabelled examples whose labels are "
                      "hidden from the model), or both.")
    flags.DEFINE_list("reached", [], "Test errors, %: with --curves, print after how many steps and minutes each run "
                      "first got there.")


def main() -> None:
    """Prints the table, or draws the curves."""
    values = flags.FLAGS
    if values.page:
        _write_page(values.page)
        return
    patterns = cli.required("runs")
    for name in ("csv", "curves", "curves_csv", "tensorboard"):
        files.check_local(getattr(values, name) or "", name)
    if values.curves:
        _draw(patterns)
        return
    if values.reached:
        raise errors.UserError(f"reached={','.join(values.reached)}: goes with --curves alone")
    from adgm_tf.experiments import tables
    published = tables.read_published(values.published) if values.published else {}
    stored = values.merge and values.csv and pathlib.Path(values.csv).is_file()
    lines = tables.merged([], tables.collect(patterns, may_be_none=bool(stored)))
    if values.merge and values.csv:
        lines = tables.merge_into(values.csv, lines, values.order)
    elif values.csv:
        tables.write(tables.in_order(lines, values.order), values.csv)
    print(tables.markdown(tables.in_order(lines, values.order), published))


def _write_page(run_dir: str) -> None:
    if flags.FLAGS.runs:
        raise errors.UserError(f"page={run_dir}: goes without runs")
    files.check_local(run_dir, "page")
    with cli.quietly():
        from adgm_tf.runs import run_page, stored
    path, problem = run_page.write_stored(stored.load(run_dir))
    print("\n".join(filter(None, [problem, str(path)])))


def _draw(patterns: list[str]) -> None:
    values = flags.FLAGS
    from adgm_tf.experiments import curves
    kinds = list(dict.fromkeys(values.errors))
    for kind in kinds:
        errors.lookup(curves.ERRORS, "errors", kind)
    errors.lookup(curves.AGAINST, "against", values.against)
    if not kinds:
        raise errors.UserError("errors: names nothing to draw")
    thresholds = _thresholds(values.reached)
    path = pathlib.Path(values.curves_csv or pathlib.Path(values.curves).with_suffix(".csv"))
    if path == pathlib.Path(values.curves):
        raise errors.UserError(f"curves={values.curves}: must be a PNG file, another one than that of the points")
    points = curves.update(path, curves.collect(patterns), values.order, keep=values.merge)
    curves.draw(points, kinds, values.curves, values.tensorboard, values.against)
    if thresholds:
        print(curves.reached(points, thresholds))
    print(values.curves)


def _thresholds(given: list[str]) -> list[float]:
    with contextlib.suppress(ValueError):
        thresholds = [float(v) for v in given]
        if all(map(math.isfinite, thresholds)):
            return thresholds
    raise errors.UserError(f"reached={','.join(given)}: must be numbers with commas between")


if __name__ == "__main__":
    define_flags()
    cli.run(main, __doc__)
