#!/usr/bin/env bash
# The models without a classifier: bound and log-likelihood of the test images, with 1,000 importance samples, in nats.
# launch/unsupervised/run.sh --data_dir=FOLDER [FLAG of table1.sh ...]
exec "$(dirname "$0")/../table1.sh" --row=avae --row=m1 "$@"
