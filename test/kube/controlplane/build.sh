#!/usr/bin/env bash
# Prints the path of the control plane's binary, and builds it first where that
# has not been done, which takes minutes.
#
# The binary is kept beside Go's build cache, keyed by what it is made from, so
# that a fresh clone need not build it again.
set -eu -o pipefail
cd "$(dirname "$0")"

# No C and no paths of this machine in it: what has been built that way for
# another program, of a test cluster for example, is in Go's cache already.
export CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false'

key=$( (go version; cat build.sh go.mod go.sum main.go) | sha256sum | cut -c1-16)
folder=$(dirname "$(go env GOCACHE)")/leat-tools/$key
binary=$folder/controlplane
if [ ! -x "$binary" ]; then
  echo 'building kube-apiserver and etcd for test/kube, which takes some minutes the first time' >&2
  release=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
  IFS=.- read -r major minor _ <<<"${release#v}"
  version=k8s.io/component-base/version
  mkdir -p "$folder"
  # -v prints a package a line, some 2000 of them; errors have more than a word.
  go build -v -o "$binary.$$" \
    -ldflags "-s -w -X $version.gitVersion=$release -X $version.gitMajor=$major -X $version.gitMinor=$minor" . 2>&1 |
    awk '/^go: downloading/ {if (++d % 50 == 0) {print d, "modules downloaded"; fflush()} next}
      / / {print; fflush(); next}
      ++n % 100 == 0 {print n, "packages compiled"; fflush()}' >&2
  mv "$binary.$$" "$binary"
fi
echo "$binary"
