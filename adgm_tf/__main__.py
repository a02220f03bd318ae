"""Auxiliary deep generative models: `adgm COMMAND --flags`, the same as `python -m adgm_tf.COMMAND --flags`."""

from __future__ import annotations

import ast
import difflib
import pathlib
import runpy
import sys

COMMANDS = ("train", "evaluate", "predict", "sample", "export", "serve", "report", "experiment", "benchmark")


def main() -> None:
    """Runs the command that the first argument names."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("--help", "-h", "help"):
        print(_usage())
    elif name in COMMANDS:
        sys.argv = [f"adgm {name}", *sys.argv[2:]]
        runpy.run_module(f"adgm_tf.{name}", run_name="__main__", alter_sys=True)
    else:
        near = difflib.get_close_matches(name, COMMANDS)
        hint = f"did you mean {near[0]}? " if near else ""
        print(f"error: command={name}: {hint}known: {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)


def _usage() -> str:
    """Each command with the first line of what its file says, which no import is needed for."""
    lines = ["adgm COMMAND --flags; adgm COMMAND --help lists the flags.", ""]
    for name in COMMANDS:
        source = pathlib.Path(__file__).with_name(f"{name}.py").read_text()
        lines.append(f"  {name:<11} {ast.get_docstring(ast.parse(source)).splitlines()[0]}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
