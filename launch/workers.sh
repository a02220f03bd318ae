#!/usr/bin/env bash
# Trains with several worker processes on this machine, by MultiWorkerMirroredStrategy; the first writes the run.
# launch/workers.sh COUNT --run_dir=RUN [FLAG ...]
# A worker that is lost is started again, as are those that it leaves alone; the run goes on from its last checkpoint.
set -euo pipefail
count="${1:-}"
if [[ ! "$count" =~ ^[1-9][0-9]*$ ]]; then
  echo "error: COUNT=$count: must be a whole number of at least 1, before the flags" >&2
  exit 2
fi
shift
. "$(dirname "$0")/environment.sh"
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
start() {
  TF_CONFIG="{\"cluster\": {\"worker\": [$ports]}, \"task\": {\"type\": \"worker\", \"index\": $1}}" \
    exec "$ROOT/launch/again.sh" "$PYTHON" -m adgm_tf.train --strategy=multi_worker "${@:2}"
}
start 0 "$@" &
pids=($!)
for ((i = 1; i < count; i++)); do
  start "$i" "$@" >/dev/null &
  pids+=($!)
done
# A signal ends `wait` before the worker has saved.
status=0
for pid in "${pids[@]}"; do
  ended=0
  wait "$pid" || ended=$?
  while kill -0 "$pid" 2>/dev/null; do
    ended=0
    wait "$pid" || ended=$?
  done
  [ "$ended" -eq 0 ] || status="$ended"
done
exit "$status"
