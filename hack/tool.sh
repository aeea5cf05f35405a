#!/usr/bin/env bash
# Prints the path of a tool that tools/go.mod pins, and builds it first where
# that has not been done: hack/tool.sh golangci-lint
#
# The binary is kept beside Go's build cache, keyed by what it is made from:
# building it takes a minute or two, and a fresh clone need not do it again.
set -eu
name=$1
cd "$(dirname "$0")/../tools"

package=$(go list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' tool | grep "/$name\$")
key=$( (go version; cat go.mod go.sum) | sha256sum | cut -c1-16)
folder=$(dirname "$(go env GOCACHE)")/leat-tools/$key
if [ ! -x "$folder/$name" ]; then
  echo "building $name, which takes a minute or two the first time" >&2
  mkdir -p "$folder"
  go build -trimpath -o "$folder/$name.$$" "$package" >&2
  mv "$folder/$name.$$" "$folder/$name"
fi
echo "$folder/$name"
