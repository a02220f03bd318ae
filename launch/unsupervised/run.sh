#!/usr/bin/env bash
# The models without a classifier: bound and log-likelihood of the test images, with 1,000 importance samples, in nats.
# launch/unsupervised/run.sh --data_dir=FOLDER [FLAG of table1.sh ...]     splits 0, 1 and 2 if --split=S names none
set -euo pipefail
[[ " $* " != *" --help "* ]] || exec sed -n '2,/^set/{s/^# \{0,1\}//p;}' "$0"
[[ " $* " = *" --split="* ]] || set -- --split=0 --split=1 --split=2 "$@"
exec "$(dirname "$0")/../table1.sh" --row=avae --row=m1 "$@"
