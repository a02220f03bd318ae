# Sourced by the other scripts: makes .venv if need be, installs the package into it, and sets ROOT and PYTHON.
# EXTRA names extras to install too, such as test or test,export; $PYTHON chooses the Python that makes the environment,
# the newest of those that will do if it names none; $VENV where it goes.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="${VENV:-$ROOT/.venv}"
# Whether the environment is there; one whose making was broken off has neither pip nor a stamp.
made() { [ -x "$VENV/bin/python" ] && { [ -x "$VENV/bin/pip" ] || compgen -G "$VENV/.installed-*" >/dev/null; }; }
base=""
if ! made; then
  for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      base="$candidate"
      break
    fi
  done
  if [ -z "$base" ]; then
    echo "error: no Python 3.11, 3.12 or 3.13 found; name one in PYTHON" >&2
    exit 2
  fi
fi
# Of scripts started at once, the first makes the environment and the others wait.
mkdir -p "$VENV"
VENV="$(cd "$VENV" && pwd)"
exec 8>"$VENV/.lock"
! command -v flock >/dev/null || flock 8
made || "$base" -m venv "$VENV"
PYTHON="$VENV/bin/python"
# setup.py decides what is installed: nothing to do while it is as it was. Every extra brings the package.
stamp="$VENV/.installed-${EXTRA:-package}"
if [ -z "$(find "$VENV" -maxdepth 1 -name ".installed-${EXTRA:-*}" -newer "$ROOT/setup.py" 2>/dev/null)" ]; then
  echo "installing adgm_tf into $VENV"
  if ! "$PYTHON" -m pip install --disable-pip-version-check --editable "$ROOT${EXTRA:+[$EXTRA]}" \
      >"$VENV/install.log" 2>&1; then
    tail -n 20 "$VENV/install.log" >&2
    echo "error: pip could not install adgm_tf; the whole of what it said is in $VENV/install.log" >&2
    exit 2
  fi
  touch "$stamp"
fi
exec 8>&-
