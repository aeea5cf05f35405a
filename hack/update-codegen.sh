#!/usr/bin/env bash
# Writes the generated code of pkg/apis again. With -verify it fails if that
# would change anything.
set -eu
cd "$(dirname "$0")/.."

file=pkg/apis/messaging/v1alpha1/zz_generated.deepcopy.go
before=$(cat "$file" 2>/dev/null || true)
# The version is that of k8s.io/apimachinery in go.mod.
go run k8s.io/code-generator/cmd/deepcopy-gen@v0.35.7 \
  --output-file "$(basename "$file")" ./pkg/apis/messaging/v1alpha1

if [ "${1:-}" = -verify ] && [ "$before" != "$(cat "$file")" ]; then
  echo "$file is not up to date: run hack/update-codegen.sh" >&2
  exit 1
fi
