#!/bin/sh
# Runs the tests: `unit` beside each other, those that run containers (`serial`) two at a time, since each waits more than
# it works, those of the virtual machine and what runs inside it (`vm`) last. The runner's own counts are
# left in build/test/*.tap; .ci/run reads them.
#   scripts/test.sh all|unit|smoke|serial|vm|soak
# `smoke` is unit and the six stories below, after which most of what can go wrong would show.
# REPRIEVE_VM_FILES chooses what runs in the guest (test/vm/files.ts): nothing is said in `all`, and `vm` by itself runs all.
set -u
cd "$(dirname "$0")/.."
what=${1:-all}
out=build/test
mkdir -p "$out"
# Each file runs in a process of its own, which would compile all that it imports anew.
export NODE_COMPILE_CACHE="$PWD/build/compile-cache"
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

# What Reprieve is for: FILE:NAME, one test each.
stories='
test/e2e/eviction.test.ts:a C program ends in the same result as undisturbed
test/e2e/lineage.test.ts:a replacement that starts while the old pod is being ended waits, and goes on from its last step
test/e2e/crash-in-living-pod.test.ts:with restartPolicy Always a crashed container goes on from its newest checkpoint
test/e2e/memory.test.ts:an application that fills its memory is ended with a checkpoint, and its replacement goes on with more
test/e2e/notices.test.ts:twenty notices of one death from four sources are one checkpoint
test/e2e/fail-open.test.ts:without a sidecar the application starts by itself after ten seconds
'
story_files=$(echo "$stories" | sed -n 's/:.*//p')
story_names="/^($(echo "$stories" | sed -n 's/^[^:]*://p' | paste -sd '|'))\$/"

serial='^test/(harness|images|e2e|demo)/'
vm='^test/vm/'
# What is named *.vm.test.ts runs only in the guest, by test/vm/in-the-guest.test.ts.
all=$(find test -name '*.test.ts' -not -name '*.vm.test.ts' -not -path 'test/soak/*' | sort)
unit_files=$(echo "$all" | grep -Ev "$serial|$vm" || true)
serial_files=$(echo "$all" | grep -E "$serial" || true)
vm_files=$(echo "$all" | grep -E "$vm" || true)
# Those that read REPRIEVE_SOAK or REPRIEVE_PROPERTY_RUNS, by themselves or through what they share, and repeat the more for it.
repeating=$(grep -lE "soaking|from './kills.ts'" test/e2e/*.test.ts | grep -v '\.vm\.test\.ts$'; grep -lE "REPRIEVE_SOAK|from './property-runs.ts'" test/webhook/*.test.ts test/fuzz/*.test.ts test/store/histories/*.test.ts; find test/soak -name '*.test.ts' 2>/dev/null | sort)
repeating_vm=$(find test -name '*.vm.test.ts' -exec grep -lE "soaking|REPRIEVE_SOAK|chosenBursts" {} + | sort)
# Most of them wait more than they work.
unit_jobs=4
# As many as the machine for which CI has its time has cores.
serial_jobs=2
case $what in
unit) rm -f "$out"/*.tap; run unit $unit_jobs 300 $unit_files ;;
smoke) rm -f "$out"/*.tap; run unit $unit_jobs 300 $unit_files; run stories 1 600 --grep="$story_names" $story_files ;;
serial) rm -f "$out"/*.tap; run serial $serial_jobs 600 $serial_files ;;
vm)
  rm -f "$out"/*.tap
  export REPRIEVE_VM_FILES="${REPRIEVE_VM_FILES:-all}"
  [ "$REPRIEVE_VM_FILES" = all ] || vm_files=test/vm/in-the-guest.test.ts
  run vm 1 7200 $vm_files
  ;;
all) rm -f "$out"/*.tap; run unit $unit_jobs 300 $unit_files; run serial $serial_jobs 600 $serial_files; run vm 1 1600 $vm_files ;;
soak)
  rm -f "$out"/*.tap
  run soak 1 14400 $repeating
  # Two pods at a time, of which one may fill 1280 MiB: what the guest runs its programs from must not be pushed out for it.
  export REPRIEVE_VM_MEMORY_MIB="${REPRIEVE_VM_MEMORY_MIB:-6144}"
  if [ -n "$repeating_vm" ]; then export REPRIEVE_VM_FILES="$repeating_vm"; run soak-vm 1 14400 test/vm/in-the-guest.test.ts; fi
  ;;
*) echo "usage: scripts/test.sh all|unit|smoke|serial|vm|soak" >&2; exit 2 ;;
esac
exit $status
