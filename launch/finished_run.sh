# Sourced by figure3.sh and figure5.sh with their arguments: sets run_dir to --run_dir=RUN, or to the longest run of
# table1's adgm_1mc on split 0, which is trained with the other flags if it is missing; sets PYTHON.

launch="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
run_dir="" data_dir=() flags=()
for argument in "$@"; do
  case "$argument" in
    --run_dir=*) run_dir="${argument#*=}" ;;
    --data_dir=*) data_dir=("$argument") flags+=("$argument") ;;
    --core=* | --num_steps=*) flags+=("$argument") ;;
    *)
      echo "error: $argument: must be one of --run_dir=RUN, --data_dir=FOLDER, --num_steps=N, --core=N" >&2
      exit 2 ;;
  esac
done
longest() {
  local found
  for found in runs/table1/adgm_1mc/0{,-steps*}/results.json; do
    [ ! -f "$found" ] || echo "$(sed -n 's/^  "steps": \([0-9]*\),$/\1/p' "$found") $(dirname "$found")"
  done | sort -n | tail -n 1 | cut -d ' ' -f 2-
}
[ -n "$run_dir" ] || run_dir="$(longest)"
if [ -z "$run_dir" ]; then
  "$launch/table1.sh" --row=adgm_1mc ${flags[@]+"${flags[@]}"}
  run_dir="$(longest)"
fi
if [ -z "$run_dir" ]; then
  echo "error: no finished run of adgm_1mc on split 0 in runs/table1; another process may be at it" >&2
  exit 2
fi
. "$launch/environment.sh"
