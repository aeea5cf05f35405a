package v1alpha1

import (
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
)

// The conditions of a LeatChannel. It is Ready when all of them are true.
const (
	// LeatChannelConditionReady is what the others come to.
	LeatChannelConditionReady = apis.ConditionReady
	// LeatChannelConditionDispatcherReady is true when the data plane has said
	// that it takes events for the channel.
	LeatChannelConditionDispatcherReady apis.ConditionType = "DispatcherReady"
	// LeatChannelConditionServiceReady is true when the channel's Service,
	// {name}-kn-channel, leads to the data plane.
	LeatChannelConditionServiceReady apis.ConditionType = "ChannelServiceReady"
	// LeatChannelConditionAddressable is true when status.address is set.
	LeatChannelConditionAddressable apis.ConditionType = "Addressable"
	// LeatChannelConditionDeadLetterSinkResolved is true when the sink of
	// spec.delivery has a URI, or when there is none.
	LeatChannelConditionDeadLetterSinkResolved apis.ConditionType = "DeadLetterSinkResolved"
	// LeatChannelConditionEventPoliciesReady is true when the EventPolicies
	// that hold for the channel are enforced, or when there is none.
	LeatChannelConditionEventPoliciesReady apis.ConditionType = "EventPoliciesReady"
)

var leatChannelConditionSet = apis.NewLivingConditionSet(
	LeatChannelConditionDispatcherReady,
	LeatChannelConditionServiceReady,
	LeatChannelConditionAddressable,
	LeatChannelConditionDeadLetterSinkResolved,
	LeatChannelConditionEventPoliciesReady,
)

// GetConditionSet returns the conditions of a LeatChannel.
func (*LeatChannel) GetConditionSet() apis.ConditionSet { return leatChannelConditionSet }

func (s *LeatChannelStatus) manage() apis.ConditionManager { return leatChannelConditionSet.Manage(s) }

// InitializeConditions sets those that are missing to Unknown.
func (s *LeatChannelStatus) InitializeConditions() { s.manage().InitializeConditions() }

// GetCondition returns one condition, nil if it is not there.
func (s *LeatChannelStatus) GetCondition(t apis.ConditionType) *apis.Condition {
	return s.manage().GetCondition(t)
}

// IsReady reports whether the channel is ready and its latest spec was seen.
func (c *LeatChannel) IsReady() bool {
	return c.Status.ObservedGeneration == c.Generation && c.Status.manage().IsHappy()
}

// MarkDispatcherReady says that the data plane takes events for the channel.
func (s *LeatChannelStatus) MarkDispatcherReady() {
	s.manage().MarkTrue(LeatChannelConditionDispatcherReady)
}

// MarkDispatcherUnknown says that the data plane has not answered yet for this
// state of the channel, or cannot be reached.
func (s *LeatChannelStatus) MarkDispatcherUnknown(reason, format string, args ...any) {
	s.manage().MarkUnknown(LeatChannelConditionDispatcherReady, reason, format, args...)
}

// MarkDispatcherFailed says that the data plane cannot serve the channel.
func (s *LeatChannelStatus) MarkDispatcherFailed(reason, format string, args ...any) {
	s.manage().MarkFalse(LeatChannelConditionDispatcherReady, reason, format, args...)
}

// MarkServiceReady says that the channel's Service is as it should be.
func (s *LeatChannelStatus) MarkServiceReady() { s.manage().MarkTrue(LeatChannelConditionServiceReady) }

// MarkServiceFailed says why the channel's Service is not as it should be.
func (s *LeatChannelStatus) MarkServiceFailed(reason, format string, args ...any) {
	s.manage().MarkFalse(LeatChannelConditionServiceReady, reason, format, args...)
}

// MarkServiceUnknown says why it is not known yet whether the channel's Service
// is as it should be.
func (s *LeatChannelStatus) MarkServiceUnknown(reason, format string, args ...any) {
	s.manage().MarkUnknown(LeatChannelConditionServiceReady, reason, format, args...)
}

// SetAddress sets status.address and status.addresses; nil takes them away.
func (s *LeatChannelStatus) SetAddress(address *duckv1.Addressable) {
	s.Address, s.Addresses = address, nil
	if address == nil || address.URL.IsEmpty() {
		s.manage().MarkFalse(LeatChannelConditionAddressable, "NoAddress", "the channel has no address")
		return
	}
	s.Addresses = []duckv1.Addressable{*address}
	s.manage().MarkTrue(LeatChannelConditionAddressable)
}

// MarkDeadLetterSinkResolved sets where dead letters go.
func (s *LeatChannelStatus) MarkDeadLetterSinkResolved(sink eventingduckv1.DeliveryStatus) {
	s.DeliveryStatus = sink
	s.manage().MarkTrue(LeatChannelConditionDeadLetterSinkResolved)
}

// MarkDeadLetterSinkNotConfigured says that spec.delivery names no sink.
func (s *LeatChannelStatus) MarkDeadLetterSinkNotConfigured() {
	s.DeliveryStatus = eventingduckv1.DeliveryStatus{}
	s.manage().MarkTrueWithReason(LeatChannelConditionDeadLetterSinkResolved, "DeadLetterSinkNotConfigured",
		"No dead letter sink is configured.")
}

// MarkDeadLetterSinkFailed says why the sink has no URI.
func (s *LeatChannelStatus) MarkDeadLetterSinkFailed(reason, format string, args ...any) {
	s.DeliveryStatus = eventingduckv1.DeliveryStatus{}
	s.manage().MarkFalse(LeatChannelConditionDeadLetterSinkResolved, reason, format, args...)
}

// MarkEventPoliciesTrueWithReason says that no policy stands against senders.
func (s *LeatChannelStatus) MarkEventPoliciesTrueWithReason(reason, format string, args ...any) {
	s.manage().MarkTrueWithReason(LeatChannelConditionEventPoliciesReady, reason, format, args...)
}

// MarkEventPoliciesFailed says which policies are not enforced.
func (s *LeatChannelStatus) MarkEventPoliciesFailed(reason, format string, args ...any) {
	s.manage().MarkFalse(LeatChannelConditionEventPoliciesReady, reason, format, args...)
}
