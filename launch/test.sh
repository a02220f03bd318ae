#!/usr/bin/env bash
# Lint and tests, in an environment made if need be. Arguments go to pytest.
# The tests that use the full MNIST run where ADGM_TF_DATA_DIR names a folder of prepared TFDS data sets.
set -euo pipefail
EXTRA="${EXTRA:-test}"
. "$(dirname "$0")/environment.sh"
cd "$ROOT"
"$PYTHON" -m ruff check .
"$PYTHON" -m pytest "$@"
