#!/usr/bin/env bash
# One worker of a pod: says in TF_CONFIG who the others are, and trains. Arguments are flags of train.
# NUM_WORKERS pods, the name of each from WORKER_HOST with its index for %d; JOB_COMPLETION_INDEX is this one's.
set -euo pipefail
: "${NUM_WORKERS:?must be the number of pods}" "${WORKER_HOST:?must be the name of a pod, with %d for its index}"
: "${JOB_COMPLETION_INDEX:?must be set, as Kubernetes does in an Indexed Job}"
workers=""
for ((i = 0; i < NUM_WORKERS; i++)); do
  workers+="${workers:+, }\"${WORKER_HOST/\%d/$i}:${WORKER_PORT:-2222}\""
done
task="{\"type\": \"worker\", \"index\": $JOB_COMPLETION_INDEX}"
export TF_CONFIG="{\"cluster\": {\"worker\": [$workers]}, \"task\": $task}"
exec "${PYTHON:-python3}" -m adgm_tf.train --strategy=multi_worker "$@"
