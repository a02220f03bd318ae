# Sourced by the other scripts: makes .venv if need be, installs the package into it, and sets PYTHON to its Python.
# A first argument names an extra to install too, such as test. $PYTHON chooses the Python that makes the environment.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
VENV="${VENV:-.venv}"
if [ ! -x "$VENV/bin/python" ]; then
  base=""
  for candidate in "${PYTHON:-}" python3.12 python3.11 python3; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      base="$candidate"
      break
    fi
  done
  if [ -z "$base" ]; then
    echo "error: no Python 3.11 or 3.12 found; name one in PYTHON" >&2
    exit 2
  fi
  "$base" -m venv "$VENV"
fi
PYTHON="$VENV/bin/python"
what=".${1:+[$1]}"
# setup.py and the extra decide what is installed: nothing to do while both are as they were.
stamp="$VENV/.installed-${1:-package}"
if [ ! -f "$stamp" ] || [ setup.py -nt "$stamp" ]; then
  echo "installing adgm_tf into $VENV"
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --editable "$what"
  touch "$stamp"
fi
