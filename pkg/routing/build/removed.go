package build

import (
	"knative.dev/eventing/pkg/apis/eventing"

	"leat.dev/leat/pkg/routing"
)

// Removed are the streams whose objects are being deleted, with the UIDs of
// those, for routing.Table.Removed: Brokers of our class and channels. They keep
// a finalizer until nothing is stored of them any more.
func Removed(in Input) map[routing.StreamName]string {
	removed := make(map[routing.StreamName]string)
	for _, b := range in.Brokers {
		if b.DeletionTimestamp != nil && b.Annotations[eventing.BrokerClassKey] == BrokerClass {
			removed[routing.StreamName{Kind: routing.Broker, Namespace: b.Namespace, Name: b.Name}] = string(b.UID)
		}
	}
	for _, c := range in.Channels {
		if c.DeletionTimestamp != nil {
			removed[routing.StreamName{Kind: routing.Channel, Namespace: c.Namespace, Name: c.Name}] = string(c.UID)
		}
	}
	return removed
}
