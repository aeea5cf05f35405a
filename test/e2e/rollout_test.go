//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// tick is how often the cluster is looked at.
const tick = 250 * time.Millisecond

// The pods of Leat, by their label.
var components = []string{"leat-controller", "leat-dispatcher"}

// rolledOut waits until what was applied is what runs.
func rolledOut(ctx context.Context) error {
	for {
		state := rollout(ctx)
		if state == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("Leat does not run: %s", state)
		case <-time.After(tick):
		}
	}
}

// rollout is what is missing until what was applied runs, empty for nothing.
func rollout(ctx context.Context) string {
	d, err := cluster.kube.AppsV1().Deployments(system).Get(ctx, "leat-controller", metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	s, err := cluster.kube.AppsV1().StatefulSets(system).Get(ctx, "leat-dispatcher", metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	switch ds, ss := d.Status, s.Status; {
	case ds.ObservedGeneration < d.Generation || ds.UpdatedReplicas < *d.Spec.Replicas ||
		ds.AvailableReplicas < *d.Spec.Replicas || ds.Replicas > *d.Spec.Replicas:
		return fmt.Sprintf("the controller's Deployment is %+v", ds)
	case ss.ObservedGeneration < s.Generation || ss.UpdateRevision != ss.CurrentRevision || ss.ReadyReplicas < *s.Spec.Replicas:
		return fmt.Sprintf("the dispatcher's StatefulSet is %+v", ss)
	}
	return ""
}

// pod is the one pod of a component that is not on its way out.
func pod(ctx context.Context, component string) (*corev1.Pod, error) {
	list, err := cluster.kube.CoreV1().Pods(system).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=" + component})
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp == nil {
			return &list.Items[i], nil
		}
	}
	return nil, fmt.Errorf("no pod of %s", component)
}

// systemLogs is what Leat's pods have said in the last while, also those
// containers that have ended.
func systemLogs(since time.Duration) string {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	seconds, lines := int64(since.Seconds())+5, int64(300)
	var all strings.Builder
	for _, component := range components {
		p, err := pod(ctx, component)
		if err != nil {
			fmt.Fprintln(&all, err)
			continue
		}
		fmt.Fprintf(&all, "---- %s: %s, %+v\n", p.Name, p.Status.Phase, p.Status.ContainerStatuses)
		for _, previous := range []bool{true, false} {
			text, err := cluster.kube.CoreV1().Pods(system).GetLogs(p.Name, &corev1.PodLogOptions{
				Previous: previous, SinceSeconds: &seconds, TailLines: &lines,
			}).DoRaw(ctx)
			if err == nil {
				fmt.Fprintf(&all, "---- log, previous container: %t\n%s\n", previous, text)
			}
		}
	}
	return all.String()
}

// refusals are the lines in which Leat's pods tell that their roles did not
// suffice.
func refusals() (lines []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, component := range components {
		p, err := pod(ctx, component)
		if err != nil {
			return []string{err.Error()}
		}
		text, err := cluster.kube.CoreV1().Pods(system).GetLogs(p.Name, &corev1.PodLogOptions{}).DoRaw(ctx)
		if err != nil {
			return []string{err.Error()}
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "is forbidden: User ") {
				lines = append(lines, line)
			}
		}
	}
	return lines
}
