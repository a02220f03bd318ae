#!/usr/bin/env bash
# Runs a command, and again where it lost another worker (status 75) or was itself killed by SIGKILL (137).
# launch/again.sh COMMAND [ARGUMENT ...]
# RESTARTS is how often at most (10); ten minutes without a loss make the count begin anew. SIGTERM goes to the command.
set -uo pipefail
restarts="${RESTARTS:-10}"
child=""
stopped=""
pass_on() {
  stopped=yes
  [ -z "$child" ] || kill -TERM "$child" 2>/dev/null
}
trap pass_on TERM INT
losses=0
while :; do
  begun=$SECONDS
  status=0
  "$@" &
  child=$!
  wait "$child" || status=$?
  # A signal ends `wait` before the command has ended.
  while kill -0 "$child" 2>/dev/null; do
    status=0
    wait "$child" || status=$?
  done
  [ $((SECONDS - begun)) -lt 600 ] || losses=0
  losses=$((losses + 1))
  if [ -n "$stopped" ] || [ "$losses" -gt "$restarts" ] || { [ "$status" -ne 75 ] && [ "$status" -ne 137 ]; }; then
    exit "$status"
  fi
  echo "worker ended with status $status; started again ($losses of $restarts)" >&2
done
