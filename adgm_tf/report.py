"""Collects finished runs into one table: a line a run as CSV, mean and standard deviation over splits as Markdown.

python -m adgm_tf.report --runs='runs/family/*/*' --csv=FILE
"""

from __future__ import annotations

from absl import flags

from adgm_tf import cli


def define_flags() -> None:
    """Defines the flags of this entry point."""
    flags.DEFINE_list("runs", None, "Patterns of run directories <row>/<split>; the row is the name of the folder "
                      "above the run.")
    flags.DEFINE_string("csv", None, "Also write a line a run to this file, and versions and hardware to "
                        "environment.json beside it.")


def main() -> None:
    """Prints the table."""
    values = flags.FLAGS
    patterns = cli.required("runs")
    from adgm_tf import reporting
    lines = reporting.collect(patterns)
    if values.csv:
        reporting.write(lines, values.csv)
    print(reporting.markdown(lines))


if __name__ == "__main__":
    define_flags()
    cli.run(main, __doc__)
