#!/usr/bin/env bash
# Runs every fuzzer of the repository, one after the other, each for a time:
#   hack/fuzz.sh 10m              all of them
#   hack/fuzz.sh 10m FuzzDecode   those whose name matches the pattern
# FUZZPARALLEL bounds how many cores each uses. A fuzzer that finds something
# keeps what it found under testdata/fuzz of its package, as a test from then on;
# the others run all the same, and the exit code is 1. The last lines count what
# each has run.
set -eu -o pipefail
time=$1
pattern=${2:-.}
cd "$(dirname "$0")/.."

summary=$(mktemp)
trap 'rm -f "$summary"' EXIT
status=0
while read -r file; do
  while read -r name; do
    echo "== $(dirname "$file") $name"
    out=$(mktemp)
    found=ok
    go test -timeout 0 -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 2s ${FUZZPARALLEL:+-parallel "$FUZZPARALLEL"} "$(dirname "$file")" 2>&1 | tee "$out" || found=FOUND
    [ "$found" = ok ] || status=1
    execs=$(grep -o 'execs: [0-9]*' "$out" | tail -1 || true)
    printf '%-6s %-24s %-26s %s\n' "$found" "$(dirname "$file")" "$name" "${execs:-execs: ?}" >>"$summary"
    rm -f "$out"
  done < <(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | grep -e "$pattern" || true)
done < <(grep -rl --include='*_test.go' '^func Fuzz' ./cmd ./pkg ./test | sort)
echo "== each for $time"
cat "$summary"
exit $status
