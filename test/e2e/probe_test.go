//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"

	"leat.dev/leat/test/e2e/account"
)

// startProbe makes a pod of test/e2e/probe and a Service in front of it.
func (w *world) startProbe(name string) {
	w.Helper()
	labels := map[string]string{"app": name}
	meta := metav1.ObjectMeta{Name: name, Labels: labels}
	_, err := cluster.kube.CoreV1().Pods(w.ns).Create(w.ctx, &corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{
		TerminationGracePeriodSeconds: ptr.To[int64](5),
		AutomountServiceAccountToken:  ptr.To(false),
		Containers: []corev1.Container{{
			Name: "probe", Image: cluster.probe,
			ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
				HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)},
			}},
		}},
	}}, metav1.CreateOptions{})
	w.must(err)
	_, err = cluster.kube.CoreV1().Services(w.ns).Create(w.ctx, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
		Selector: labels, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
	}}, metav1.CreateOptions{})
	w.must(err)
}

func (w *world) podReady(name string) string {
	p, err := cluster.kube.CoreV1().Pods(w.ns).Get(w.ctx, name, metav1.GetOptions{})
	if err != nil {
		return err.Error()
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			return ""
		}
	}
	return show(p.Status)
}

// to is a subscriber at the receiver: take, reply or refuse, and the route that
// it notes the events under.
func (w *world) to(mode, route string) duckv1.Destination {
	return duckv1.Destination{
		Ref: &duckv1.KReference{APIVersion: "v1", Kind: "Service", Name: "receiver"},
		URI: &apis.URL{Path: "/" + mode + "/" + route},
	}
}

// ask asks a probe, through the API server.
func (w *world) ask(pod, method, path string, body, answer any) {
	w.Helper()
	r := cluster.kube.CoreV1().RESTClient().Verb(method).Namespace(w.ns).
		Resource("pods").Name(pod + ":8080").SubResource("proxy").Suffix(path)
	if body != nil {
		r = r.Body([]byte(show(body)))
	}
	text, err := r.DoRaw(w.ctx)
	if err != nil {
		w.Fatalf("%s %s of %s: %v: %s", method, path, pod, err, text)
	}
	if answer != nil {
		w.must(json.Unmarshal(text, answer))
	}
}

// send begins to send.
func (w *world) send(name string, s account.Send) {
	w.Helper()
	w.ask("sender", http.MethodPut, "sends/"+name, s, nil)
}

// sendOne sends one event and waits until it is acknowledged.
func (w *world) sendOne(name string, url *apis.URL, typ string) {
	w.Helper()
	w.send(name, account.Send{URL: url.String(), Type: typ, Count: 1, PerSecond: 100})
	w.finish(name)
}

func (w *world) sent(name string) (sent account.Sent) {
	w.Helper()
	w.ask("sender", http.MethodGet, "sends/"+name, nil, &sent)
	return sent
}

// finish waits until all that was begun is acknowledged.
func (w *world) finish(name string) (sent account.Sent) {
	w.Helper()
	w.eventually("all of "+name+" is acknowledged", func() string {
		if sent = w.sent(name); sent.Done {
			return ""
		}
		return fmt.Sprintf("%d are; last trouble: %s; answers: %v", len(sent.Acknowledged), sent.LastTrouble, sent.Answers)
	})
	return sent
}

// end stops new events and waits until all that was begun is acknowledged.
func (w *world) end(name string) account.Sent {
	w.Helper()
	w.ask("sender", http.MethodDelete, "sends/"+name, nil, nil)
	return w.finish(name)
}

func (w *world) taken(route string) map[string]account.Event {
	w.Helper()
	var taken account.Taken
	w.ask("receiver", http.MethodGet, "taken/"+route, nil, &taken)
	return taken.Events
}

// arrived waits until all of ids came to each of the routes, and returns how
// many deliveries were more than one of an event.
func (w *world) arrived(ids []string, routes ...string) (again int) {
	w.Helper()
	for _, route := range routes {
		var events map[string]account.Event
		w.eventually("everything came to "+route, func() string {
			events = w.taken(route)
			missing := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return events[id].Times > 0 })
			if len(missing) == 0 {
				return ""
			}
			return fmt.Sprintf("%d of %d are missing, such as %v", len(missing), len(ids), missing[:min(5, len(missing))])
		})
		for _, e := range events {
			again += e.Times - 1
		}
	}
	return again
}

// event waits until one event came to a route.
func (w *world) event(route, id string) account.Event {
	w.Helper()
	w.arrived([]string{id}, route)
	return w.taken(route)[id]
}
