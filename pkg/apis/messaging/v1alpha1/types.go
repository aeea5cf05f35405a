package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/kmeta"
)

// +genclient
// +genreconciler
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// LeatChannel is a channel whose events are in Leat's log before the sender
// gets its 202.
type LeatChannel struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec LeatChannelSpec `json:"spec,omitempty"`
	// +optional
	Status LeatChannelStatus `json:"status,omitempty"`
}

// LeatChannelSpec is the subscribers and the delivery options that hold for
// those of them which have none.
type LeatChannelSpec struct {
	eventingduckv1.ChannelableSpec `json:",inline"`
}

// LeatChannelStatus is the duck type that Subscriptions and senders read.
type LeatChannelStatus struct {
	eventingduckv1.ChannelableStatus `json:",inline"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// LeatChannelList is a list of LeatChannels.
type LeatChannelList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []LeatChannel `json:"items"`
}

var (
	_ apis.Validatable   = (*LeatChannel)(nil)
	_ apis.Defaultable   = (*LeatChannel)(nil)
	_ apis.HasSpec       = (*LeatChannel)(nil)
	_ runtime.Object     = (*LeatChannel)(nil)
	_ kmeta.OwnerRefable = (*LeatChannel)(nil)
	_ duckv1.KRShaped    = (*LeatChannel)(nil)
)

// GetGroupVersionKind is what owner references to a LeatChannel name.
func (*LeatChannel) GetGroupVersionKind() schema.GroupVersionKind {
	return SchemeGroupVersion.WithKind("LeatChannel")
}

// GetUntypedSpec returns the spec.
func (c *LeatChannel) GetUntypedSpec() any { return c.Spec }

// GetStatus returns the part of the status that all Knative resources share.
func (c *LeatChannel) GetStatus() *duckv1.Status { return &c.Status.Status }
