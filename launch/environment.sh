# Sourced by the other scripts: makes .venv if need be, installs the package into it, and sets ROOT and PYTHON;
# `keep_to_core N` keeps what a script starts from then on to one core; `claimed FILE` shares work between scripts.
# EXTRA names an extra to install too, such as test; $PYTHON chooses the Python that makes the environment,
# $VENV where it goes.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="${VENV:-$ROOT/.venv}"
# Whether the environment is there; one whose making was broken off has neither pip nor a stamp.
made() { [ -x "$VENV/bin/python" ] && { [ -x "$VENV/bin/pip" ] || compgen -G "$VENV/.installed-*" >/dev/null; }; }
base=""
if ! made; then
  for candidate in "${PYTHON:-}" python3.11 python3; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      base="$candidate"
      break
    fi
  done
  if [ -z "$base" ]; then
    echo "error: no Python 3.11 found; name one in PYTHON" >&2
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
if [ -z "$(find "$VENV" -maxdepth 1 -name ".installed-${EXTRA:-*}" -newer "$ROOT/setup.py")" ]; then
  echo "installing adgm_tf into $VENV"
  if ! "$PYTHON" -m pip install --disable-pip-version-check --editable "$ROOT${EXTRA:+[$EXTRA]}" >"$VENV/install.log" 2>&1; then
    tail -n 20 "$VENV/install.log" >&2
    echo "error: pip could not install adgm_tf; the whole of what it said is in $VENV/install.log" >&2
    exit 2
  fi
  touch "$stamp"
fi
exec 8>&-

keep_to_core() {
  taskset -c -p "$1" $$ >/dev/null
  export TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1 OMP_NUM_THREADS=1
}

# Whether no other script holds FILE; it is ours then until the next call, or until what we started ends.
claimed() {
  mkdir -p "$(dirname "$1")"
  command -v flock >/dev/null || return 0
  exec 9>"$1"
  flock -n 9
}
