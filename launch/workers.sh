#!/usr/bin/env bash
# Trains with several worker processes on this machine, by MultiWorkerMirroredStrategy; the first writes the run.
# launch/workers.sh COUNT --run_dir=RUN [FLAG ...]
set -euo pipefail
. "$(dirname "$0")/environment.sh"
count="${1:?how many workers?}"
shift
ports="$("$PYTHON" - "$count" <<'P'
import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in sockets:
    s.bind(("localhost", 0))
print(",".join(f'"localhost:{s.getsockname()[1]}"' for s in sockets))
P
)"
pids=()
stop() { kill -TERM "${pids[@]}" 2>/dev/null || true; }
trap stop INT TERM
for ((i = 0; i < count; i++)); do
  log=/dev/stdout
  [ "$i" -eq 0 ] || log=/dev/null
  TF_CONFIG="{\"cluster\": {\"worker\": [$ports]}, \"task\": {\"type\": \"worker\", \"index\": $i}}" \
    "$PYTHON" -m adgm_tf.train --strategy=multi_worker "$@" >"$log" &
  pids+=($!)
done
status=0
for pid in "${pids[@]}"; do
  wait "$pid" || status=$?
done
exit "$status"
