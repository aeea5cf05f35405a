#!/usr/bin/env bash
# Writes the generated code of the API again: deep copies, and what a controller
# needs of a LeatChannel (client, lister, informer, reconciler). With -verify it
# fails if that would change anything.
set -eu
cd "$(dirname "$0")/.."

# The versions are those of k8s.io/apimachinery and knative.dev/pkg in go.mod.
codegen() { go run "k8s.io/code-generator/cmd/$1@v0.35.7" "${@:2}"; }

api=./pkg/apis/messaging/v1alpha1
module=leat.dev/leat
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

before=$(cat $api/zz_generated.deepcopy.go 2>/dev/null || true)
codegen deepcopy-gen --output-file zz_generated.deepcopy.go $api
codegen client-gen --clientset-name versioned --input-base '' --input "$module/pkg/apis/messaging/v1alpha1" \
  --output-dir "$out/clientset" --output-pkg "$module/pkg/client/clientset"
codegen lister-gen --output-dir "$out/listers" --output-pkg "$module/pkg/client/listers" $api
codegen informer-gen --output-dir "$out/informers" --output-pkg "$module/pkg/client/informers" \
  --versioned-clientset-package "$module/pkg/client/clientset/versioned" --listers-package "$module/pkg/client/listers" $api
go run knative.dev/pkg/codegen/cmd/injection-gen@v0.0.0-20260727151759-521cb33b33dd \
  --input-dirs "$module/pkg/apis/messaging/v1alpha1" \
  --versioned-clientset-package "$module/pkg/client/clientset/versioned" \
  --external-versions-informers-package "$module/pkg/client/informers/externalversions" \
  --listers-package "$module/pkg/client/listers" \
  --output-package "$module/pkg/client/injection" --output-dir "$out/injection" --go-header-file /dev/null

if [ "${1:-}" = -verify ]; then
  [ "$before" = "$(cat $api/zz_generated.deepcopy.go)" ] && diff -r "$out" pkg/client && exit 0
  echo "generated code is not up to date: run hack/update-codegen.sh" >&2
  exit 1
fi
rm -rf pkg/client
cp -r "$out" pkg/client
