package dataplane

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"knative.dev/pkg/apis"

	"leat.dev/leat/pkg/served"
)

// The reasons of a condition about the data plane.
const (
	// ReasonNotServedYet: the data plane has not taken the object up yet.
	ReasonNotServedYet = "NotServedYet"
	// ReasonUnavailable: the data plane does not answer.
	ReasonUnavailable = "DataPlaneUnavailable"
	// ReasonNotServed: the data plane cannot do what the object says.
	ReasonNotServed = "NotServed"
	// ReasonIgnored, of a condition that is True: all events arrive, but an
	// option is not used as it is written.
	ReasonIgnored = "OptionIgnored"
)

// The reasons of conditions about features of Knative Eventing.
const (
	// ReasonNoTLS: transport-encryption is strict, which Leat cannot do.
	ReasonNoTLS = "TransportEncryptionNotSupported"
	// ReasonNoAuthentication: authentication-oidc is enabled, and Leat, which
	// does not check tokens, fails closed.
	ReasonNoAuthentication = "AuthenticationNotSupported"
	// ReasonOIDCDisabled: there is nothing to check.
	ReasonOIDCDisabled = "OIDCDisabled"
)

const notAskedYet = "The data plane has not been asked yet."

// MarkServed sets condition t by what the data plane says. stale tells that the
// object's status is about something else than the verdict: then it does not
// keep what it says while nobody knows better.
func MarkServed(m apis.ConditionManager, t apis.ConditionType, v served.Verdict, stale bool) {
	switch v.State {
	case served.Serving:
		m.MarkTrue(t)
	case served.Failed:
		m.MarkFalse(t, ReasonNotServed, "%s", cmp.Or(v.Reason, "The data plane cannot serve it as it is."))
	case served.Away:
		m.MarkUnknown(t, ReasonUnavailable, "%s", cmp.Or(v.Reason, "The data plane does not answer."))
	case served.Pending:
		m.MarkUnknown(t, ReasonNotServedYet, "%s", cmp.Or(v.Reason, "The data plane has not taken it up yet."))
	case served.Unknown:
		if c := m.GetCondition(t); stale || c == nil || (c.IsUnknown() && c.Reason == "") {
			m.MarkUnknown(t, ReasonNotServedYet, notAskedYet)
		}
	}
}

// Summarize sets the condition Ready from those in order: the first that
// is False, else the first that is Unknown, else True. knative.dev/pkg takes
// the one that changed last, which is another one from one reconciliation to
// the next where several changed within a second.
func Summarize(m apis.ConditionManager, order ...apis.ConditionType) {
	ready := apis.Condition{Type: apis.ConditionReady, Status: corev1.ConditionTrue}
	for _, t := range order {
		c := m.GetCondition(t)
		switch {
		case c.IsTrue():
			continue
		case c.IsFalse():
			ready.Status, ready.Reason, ready.Message = c.Status, c.Reason, c.Message
			m.SetCondition(ready)
			return
		case ready.Status == corev1.ConditionTrue:
			ready.Status = corev1.ConditionUnknown
			if c != nil {
				ready.Reason, ready.Message = c.Reason, c.Message
			}
		}
	}
	m.SetCondition(ready)
}
