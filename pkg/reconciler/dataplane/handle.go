package dataplane

import "k8s.io/client-go/tools/cache"

// Handle adds a handler to an informer that has not stopped.
func Handle(informer cache.SharedIndexInformer, handler cache.ResourceEventHandler) {
	if _, err := informer.AddEventHandler(handler); err != nil {
		panic("BUG: a handler is added to an informer that has stopped: " + err.Error())
	}
}
