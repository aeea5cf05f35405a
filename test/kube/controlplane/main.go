// Controlplane is what the tests of this folder need of Kubernetes, in one
// binary: kube-apiserver or etcd, as its first argument says.
//
// It is a module of its own, so that Kubernetes' dependencies are not the
// product's. One link is the quickest build, and the programs share much.
package main

import (
	"fmt"
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() {
	program := ""
	if len(os.Args) > 1 {
		program = os.Args[1]
		os.Args = os.Args[1:]
	}
	switch program {
	case "kube-apiserver":
		os.Exit(cli.Run(app.NewAPIServerCommand()))
	case "etcd":
		etcdmain.Main(os.Args)
	default:
		fmt.Fprintf(os.Stderr, "controlplane: say kube-apiserver or etcd, not %q\n", program)
		os.Exit(2)
	}
}
