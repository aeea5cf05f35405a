package broker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	eventingv1 "knative.dev/eventing/pkg/apis/eventing/v1"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	"knative.dev/pkg/reconciler"
	"knative.dev/pkg/system"

	"leat.dev/leat/pkg/reconciler/dataplane"
	"leat.dev/leat/pkg/routing/build"
)

// How often the ConfigMap of a Broker is read. It is read and not watched:
// watching one means to be allowed to list all.
const (
	configInterval = time.Minute
	// mistakeInterval is for one that somebody is going to mend.
	mistakeInterval = 10 * time.Second
)

// The reasons of ConfigReady.
const (
	reasonConfigKind       = "ConfigKindNotSupported"
	reasonConfigNotAllowed = "ConfigNotAllowed"
	reasonConfigNotFound   = "ConfigNotFound"
	reasonConfigUnreadable = "ConfigNotReadable"
	reasonConfigInvalid    = "ConfigInvalid"
)

// channelTemplate is the one key in the ConfigMap of a channel-based Broker,
// which core's defaulting gives to every Broker.
const channelTemplate = "channel-template-spec"

// optionKeys are the annotations in a Broker's status that come from its
// ConfigMap.
var optionKeys = []string{
	build.RetentionAnnotation, build.MaxInFlightAnnotation, build.DeliveryOrderAnnotation, build.StartAnnotation,
}

// config reads the options of the Broker's ConfigMap into the annotations of its
// status. What cannot be read leaves the last good options.
func (r *Reconciler) config(ctx context.Context, b *eventingv1.Broker) time.Duration {
	ref := b.Spec.Config
	if ref == nil {
		r.configured(ctx, b, nil)
		return 0
	}
	if ref.Kind != "ConfigMap" || ref.APIVersion != "v1" || ref.Name == "" {
		manage(b).MarkFalse(ConditionConfig, reasonConfigKind,
			"spec.config is a %s of %s, but Leat takes its options from a ConfigMap of v1.", ref.Kind, ref.APIVersion)
		return 0
	}
	namespace := cmp.Or(ref.Namespace, b.Namespace)
	name := namespace + "/" + ref.Name
	if !r.mayRead(b, namespace, ref) {
		manage(b).MarkFalse(ConditionConfig, reasonConfigNotAllowed,
			"spec.config is the ConfigMap %s, but it must be in the Broker's own namespace or in %s.", name, system.Namespace())
		return 0
	}
	data, err := r.read(ctx, namespace, ref.Name)
	switch {
	case apierrors.IsNotFound(err):
		manage(b).MarkFalse(ConditionConfig, reasonConfigNotFound, "There is no ConfigMap %s.", name)
		return mistakeInterval
	case err != nil && dataplane.Temporary(err):
		if c := manage(b).GetCondition(ConditionConfig); c.IsUnknown() {
			manage(b).MarkUnknown(ConditionConfig, reasonConfigUnreadable, "The ConfigMap %s cannot be read now.", name)
		}
		return dataplane.Soon
	case err != nil:
		manage(b).MarkFalse(ConditionConfig, reasonConfigUnreadable, "The ConfigMap %s cannot be read: %s",
			name, dataplane.Clip(err.Error()))
		return mistakeInterval
	}
	options, err := build.BrokerOptions(data)
	if err != nil {
		manage(b).MarkFalse(ConditionConfig, reasonConfigInvalid, "The ConfigMap %s is not taken: %s",
			name, dataplane.Clip(strings.ReplaceAll(err.Error(), "\n", "; ")))
		return mistakeInterval
	}
	r.configured(ctx, b, options)
	if _, ok := data[channelTemplate]; ok && len(options) == 0 {
		return 0
	}
	return configInterval
}

// mayRead is whether Leat reads a ConfigMap for a Broker. Leat may read all of
// them, and says in the status what is wrong with one, so whoever may create a
// Broker could look into namespaces that are none of theirs.
func (r *Reconciler) mayRead(b *eventingv1.Broker, namespace string, ref *duckv1.KReference) bool {
	if namespace == b.Namespace || namespace == system.Namespace() {
		return true
	}
	return r.defaults.reference(b, ref)
}

func (r *Reconciler) read(ctx context.Context, namespace, name string) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, reconciler.DefaultTimeout)
	defer cancel()
	cm, err := r.kube.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return cm.Data, nil
}

// configured sets the options and says whether all of them can be used, those
// of the Broker itself included.
func (r *Reconciler) configured(ctx context.Context, b *eventingv1.Broker, options map[string]string) {
	setAnnotations(&b.Status.Status, optionKeys, options)
	if m := mistakes(ctx, b); m != "" {
		manage(b).MarkTrueWithReason(ConditionConfig, dataplane.ReasonIgnored, "%s", m)
		return
	}
	manage(b).MarkTrue(ConditionConfig)
}

// setAnnotations makes those of keys in the status' annotations what want says,
// and leaves others alone.
func setAnnotations(status *duckv1.Status, keys []string, want map[string]string) {
	for _, key := range keys {
		value, ok := want[key]
		switch {
		case !ok:
			delete(status.Annotations, key)
			continue
		case status.Annotations == nil:
			status.Annotations = make(map[string]string, len(want))
		}
		status.Annotations[key] = value
	}
	for key := range want {
		if !slices.Contains(keys, key) {
			panic(fmt.Sprintf("BUG: %s is not one of the annotations %s", key, strings.Join(keys, ", ")))
		}
	}
}
