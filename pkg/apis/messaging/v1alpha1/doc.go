// Package v1alpha1 is the API of LeatChannel, the channel that keeps its
// events in Leat's log.
//
// +k8s:deepcopy-gen=package
// +groupName=messaging.knative.dev
package v1alpha1
