package kube

import (
	// The tests run the programs as other processes, of which go test knows
	// nothing: it would go on showing their cached results when the programs have
	// changed. It knows of an import.
	_ "leat.dev/leat/pkg/kube"
	_ "leat.dev/leat/pkg/reconciler/broker"
	_ "leat.dev/leat/pkg/reconciler/channel"
	_ "leat.dev/leat/pkg/reconciler/trigger"
)
