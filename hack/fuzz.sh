#!/usr/bin/env bash
# Runs every fuzzer of the repository, one after the other: hack/fuzz.sh 30s
set -eu
time=$1
cd "$(dirname "$0")/.."

grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do
  sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r name; do
    echo "== $file $name"
    go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$(dirname "$file")"
  done
done
