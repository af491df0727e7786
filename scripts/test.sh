#!/bin/sh
# Runs the tests: `unit` beside each other, those that run containers (`serial`) one after the other, since they measure
# time and share the machine. The runner's own counts are left in build/test/*.tap; .ci/run reads them.
#   scripts/test.sh all|unit|serial|soak
set -u
cd "$(dirname "$0")/.."
what=${1:-all}
out=build/test
mkdir -p "$out"
status=0

run() { # NAME JOBS SECONDS FILE...
  name=$1 jobs=$2 seconds=$3
  shift 3
  rm -f "$out/$name.tap"
  [ $# -gt 0 ] || return 0
  if [ "${TAP_REPORTER:-}" = tap ]; then
    # --output-file would print every line of this reporter twice. A pipe hides an exit status, so it goes by a file.
    echo 1 >"$out/$name.status"
    { tap --jobs="$jobs" --timeout="$seconds" --reporter=tap "$@"; echo $? >"$out/$name.status"; } | tee "$out/$name.tap"
    [ "$(cat "$out/$name.status")" = 0 ] || status=1
  else
    tap --jobs="$jobs" --timeout="$seconds" --reporter="${TAP_REPORTER:-terse}" --output-file="$out/$name.tap" "$@" || status=1
  fi
}

serial='^test/(harness|images|e2e|demo)/'
all=$(find test -name '*.test.ts' -not -path 'test/soak/*' | sort)
unit_files=$(echo "$all" | grep -Ev "$serial" || true)
serial_files=$(echo "$all" | grep -E "$serial" || true)
# Those that read REPRIEVE_SOAK or REPRIEVE_PROPERTY_RUNS, by themselves or through what they share, and repeat the more for it.
repeating=$(grep -lE "soaking|from './kills.ts'" test/e2e/*.test.ts; grep -lE 'REPRIEVE_(PROPERTY_RUNS|SOAK)' test/webhook/*.test.ts; find test/soak -name '*.test.ts' 2>/dev/null | sort)
case $what in
unit) rm -f "$out"/*.tap; run unit 2 180 $unit_files ;;
serial) rm -f "$out"/*.tap; run serial 1 600 $serial_files ;;
all) rm -f "$out"/*.tap; run unit 2 180 $unit_files; run serial 1 600 $serial_files ;;
soak) rm -f "$out"/*.tap; run soak 1 14400 $repeating ;;
*) echo "usage: scripts/test.sh all|unit|serial|soak" >&2; exit 2 ;;
esac
exit $status
