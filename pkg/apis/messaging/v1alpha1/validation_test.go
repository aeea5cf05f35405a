package v1alpha1_test

import (
	"context"
	"maps"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Each case is judged by the CRD, which is what counts in a cluster, and by
// Validate, which is what counts without one.
var validationTests = []struct {
	name string
	spec string
	want string // the field that is wrong; empty for none
}{
	{"nothing", `{}`, ""},
	{"subscriber", `{subscribers: [{uid: a, subscriberUri: "http://a"}]}`, ""},
	{"reply alone", `{subscribers: [{uid: a, replyUri: "http://a"}]}`, ""},
	{"all of a subscriber", `{subscribers: [{name: a, uid: a, generation: 2, subscriberUri: "https://a:1/b?c=d%20e",
		subscriberCACerts: x, subscriberAudience: z, replyUri: "http://[::1]:80/", replyCACerts: x, replyAudience: z,
		auth: {serviceAccountName: a, serviceAccountNames: [a]},
		delivery: {retry: 3, backoffPolicy: linear, backoffDelay: PT1S, deadLetterSink: {uri: "http://dead"}}}]}`, ""},
	{"nowhere to send to", `{subscribers: [{uid: a, replyUri: "http://a"}, {uid: b}]}`, "spec.subscribers[1]"},
	{"two empty URLs", `{subscribers: [{uid: a, replyUri: "", subscriberUri: ""}]}`, "spec.subscribers[0]"},
	{"one empty URL", `{subscribers: [{uid: a, replyUri: "", subscriberUri: "http://a"}]}`, ""},
	{"relative subscriber", `{subscribers: [{uid: a, subscriberUri: "/a"}]}`, "spec.subscribers[0].subscriberUri"},
	{"subscriber without host", `{subscribers: [{uid: a, subscriberUri: "http:///a"}]}`, "spec.subscribers[0].subscriberUri"},
	{"subscriber that is no URL", `{subscribers: [{uid: a, subscriberUri: "http://%zz"}]}`, "spec.subscribers[0].subscriberUri"},
	{"subscriber with fragment", `{subscribers: [{uid: a, subscriberUri: "http://a?b#c"}]}`, "spec.subscribers[0].subscriberUri"},
	{"subscriber with broken fragment", `{subscribers: [{uid: a, subscriberUri: "http://a?b#%zz"}]}`, "spec.subscribers[0].subscriberUri"},
	{"relative reply", `{subscribers: [{uid: a, replyUri: "//a/b"}]}`, "spec.subscribers[0].replyUri"},
	{"long URL", `{subscribers: [{uid: a, replyUri: "http://a/` + strings.Repeat("b", 2048) + `"}]}`, "spec.subscribers[0].replyUri"},

	{"all of delivery", `{delivery: {retry: 0, backoffPolicy: exponential, backoffDelay: PT0S, timeout: PT0.1S,
		retryAfterMax: P1DT2H, format: json, deadLetterSink: {uri: "http://dead"}}}`, ""},
	{"retry", `{delivery: {retry: -1}}`, "spec.delivery.retry"},
	{"too many retries", `{delivery: {retry: 2147483648}}`, "spec.delivery.retry"},
	{"retry as text", `{delivery: {retry: "1"}}`, "spec.delivery.retry"},
	{"policy", `{delivery: {backoffPolicy: quadratic}}`, "spec.delivery.backoffPolicy"},
	{"empty policy", `{delivery: {backoffPolicy: ""}}`, "spec.delivery.backoffPolicy"},
	{"format", `{delivery: {format: JSON}}`, "spec.delivery.format"},
	{"Go duration", `{delivery: {backoffDelay: 5s}}`, "spec.delivery.backoffDelay"},
	{"empty duration", `{delivery: {backoffDelay: ""}}`, "spec.delivery.backoffDelay"},
	{"P alone", `{delivery: {backoffDelay: P}}`, "spec.delivery.backoffDelay"},
	{"PT alone", `{delivery: {backoffDelay: PT}}`, "spec.delivery.backoffDelay"},
	{"lone sign", `{delivery: {backoffDelay: "-"}}`, "spec.delivery.backoffDelay"},
	{"negative duration", `{delivery: {backoffDelay: -PT1S}}`, "spec.delivery.backoffDelay"},
	{"wrong order", `{delivery: {backoffDelay: PT1S1H}}`, "spec.delivery.backoffDelay"},
	{"P0", `{delivery: {backoffDelay: P0}}`, ""},
	{"comma", `{delivery: {backoffDelay: "PT0,5S"}}`, ""},
	{"line break", `{delivery: {backoffDelay: "PT1S\n"}}`, "spec.delivery.backoffDelay"},
	{"long duration", `{delivery: {backoffDelay: PT` + strings.Repeat("1", 70) + `S}}`, "spec.delivery.backoffDelay"},
	{"timeout of zero", `{delivery: {timeout: PT0.00S}}`, "spec.delivery.timeout"},
	{"Retry-After ignored", `{delivery: {retryAfterMax: PT0S}}`, ""},
	{"Retry-After", `{delivery: {retryAfterMax: 1 day}}`, "spec.delivery.retryAfterMax"},
	{"delivery of a subscriber", `{subscribers: [{uid: a, replyUri: "http://a", delivery: {retry: -1}}]}`,
		"spec.subscribers[0].delivery.retry"},
	{"unresolved sink of a subscriber", `{subscribers: [{uid: a, replyUri: "http://a",
		delivery: {deadLetterSink: {ref: {apiVersion: v1, kind: Service, name: dead}}}}]}`,
		"spec.subscribers[0].delivery.deadLetterSink.uri"},
	{"relative sink of a subscriber", `{subscribers: [{uid: a, replyUri: "http://a", delivery: {deadLetterSink: {uri: a}}}]}`,
		"spec.subscribers[0].delivery.deadLetterSink.uri"},

	{"empty sink", `{delivery: {deadLetterSink: {}}}`, "spec.delivery.deadLetterSink"},
	{"sink by ref", `{delivery: {deadLetterSink: {ref: {apiVersion: v1, kind: Service, name: dead}}}}`, ""},
	{"sink by ref elsewhere", `{delivery: {deadLetterSink: {ref: {apiVersion: v1, kind: Service, name: dead, namespace: b, address: c}}}}`, ""},
	{"sink by ref and path", `{delivery: {deadLetterSink: {ref: {apiVersion: v1, kind: Service, name: dead}, uri: "/a:b?c=%20"}}}`, ""},
	{"sink by ref and bare path", `{delivery: {deadLetterSink: {ref: {apiVersion: v1, kind: Service, name: dead}, uri: a/b}}}`, ""},
	{"sink by ref and host", `{delivery: {deadLetterSink: {ref: {apiVersion: v1, kind: Service, name: dead}, uri: //a}}}`,
		"spec.delivery.deadLetterSink.uri"},
	{"sink by ref and broken path", `{delivery: {deadLetterSink: {ref: {apiVersion: v1, kind: Service, name: dead}, uri: "a%zz"}}}`,
		"spec.delivery.deadLetterSink.uri"},
	{"sink by ref and fragment", `{delivery: {deadLetterSink: {ref: {apiVersion: v1, kind: Service, name: dead}, uri: "a#b"}}}`,
		"spec.delivery.deadLetterSink.uri"},
	{"sink by ref and URL", `{delivery: {deadLetterSink: {ref: {apiVersion: v1, kind: Service, name: dead}, uri: "http://a"}}}`,
		"spec.delivery.deadLetterSink"},
	{"sink by ref and address of mail", `{delivery: {deadLetterSink: {ref: {apiVersion: v1, kind: Service, name: dead}, uri: "mailto:a"}}}`,
		"spec.delivery.deadLetterSink"},
	{"sink by path alone", `{delivery: {deadLetterSink: {uri: /a}}}`, "spec.delivery.deadLetterSink"},
	{"ref without version", `{delivery: {deadLetterSink: {ref: {kind: Service, name: dead}}}}`, "spec.delivery.deadLetterSink.ref.apiVersion"},
	{"ref without kind", `{delivery: {deadLetterSink: {ref: {apiVersion: v1, kind: "", name: dead}}}}`, "spec.delivery.deadLetterSink.ref.kind"},
	{"ref without name", `{delivery: {deadLetterSink: {ref: {apiVersion: v1, kind: Service}}}}`, "spec.delivery.deadLetterSink.ref.name"},
}

func TestValidate(t *testing.T) {
	for _, tt := range validationTests {
		t.Run(tt.name, func(t *testing.T) {
			text := "spec: " + tt.spec
			if got := paths(server().admit(parse(t, text))); !about(got, tt.want) {
				t.Errorf("the CRD finds mistakes at %q, want %q", got, tt.want)
			}
			if got := goPaths(t, parse(t, text)); !about(got, tt.want) {
				t.Errorf("Validate finds mistakes at %q, want %q", got, tt.want)
			}
		})
	}
}

// Of certificates the CRD knows nothing; the controller says that they are wrong.
func TestValidateCertificates(t *testing.T) {
	got := goPaths(t, parse(t, `spec: {delivery: {deadLetterSink: {uri: "https://a", CACerts: nonsense}}}`))
	if !about(got, "spec.delivery.deadLetterSink.CACerts") {
		t.Errorf("Validate finds mistakes at %q", got)
	}
}

// about reports whether the paths of mistakes are below the one that is wanted
// or, for a mistake about several fields, beside it.
func about(got []string, want string) bool {
	if want == "" {
		return len(got) == 0
	}
	for _, path := range got {
		if !strings.HasPrefix(path, want) && !strings.HasPrefix(want, path) {
			return false
		}
	}
	return len(got) > 0
}

func paths(errs field.ErrorList) []string {
	list := make([]string, 0, len(errs))
	for _, err := range errs {
		list = append(list, err.Field)
	}
	return list
}

// goPaths are those of the mistakes that a data plane without a cluster finds.
func goPaths(t testing.TB, object map[string]any) []string {
	t.Helper()
	c, err := decode(t, object)
	if err != nil {
		return []string{""}
	}
	fe := c.Validate(context.Background())
	if fe == nil {
		return nil
	}
	var list []string
	for _, e := range fe.WrappedErrors() {
		list = append(list, e.Paths...)
	}
	return list
}

// What the CRD lets in, every controller can read: one object that cannot be
// decoded would stop all that watch the kind.
func FuzzAdmittedIsReadable(f *testing.F) {
	for _, seed := range []string{
		"http://a", "http://[::1", "http://a?b#%zz", "//a:b", ":a", "1a:b", "a:b", "%", "/a:b", "http://a:b", "http://a b/", "",
		"mailto:a", "http://a%zz", "http://[fe80::1%25en0]/", "http://user:pass@a/", "\x7f", "http://\u00e9", "HTTP://A", "?a=%zz", "//",
	} {
		f.Add(seed, "PT1S", "2026-01-02T03:04:05Z")
	}
	f.Add("http://a", "-", "2026-13-02T03:04:05Z")
	f.Add("http://a", "P1Y2M3W4DT5H6M7.8S", "2026-01-02T24:00:00.5Z")
	f.Fuzz(func(t *testing.T, url, duration, stamp string) {
		sink := func(d map[string]any) map[string]any { return map[string]any{"deadLetterSink": d} }
		service := map[string]any{"apiVersion": "v1", "kind": "Service", "name": "a"}
		for _, part := range []map[string]any{
			{"subscribers": []any{map[string]any{"uid": "a", "subscriberUri": url}}},
			{"subscribers": []any{map[string]any{"uid": "a", "replyUri": url, "delivery": sink(map[string]any{"uri": url})}}},
			{"delivery": sink(map[string]any{"uri": url})},
			{"delivery": sink(map[string]any{"uri": url, "ref": service})},
			{"delivery": map[string]any{"backoffDelay": duration, "retryAfterMax": duration}},
			{"delivery": map[string]any{"timeout": duration}},
			{"address": map[string]any{"url": url}, "addresses": []any{map[string]any{"url": url}}, "deadLetterSinkUri": url},
			{"conditions": []any{map[string]any{"type": "Ready", "status": "True", "lastTransitionTime": stamp}}},
		} {
			object := parse(t, "{}")
			object["spec"], object["status"] = maps.Clone(part), maps.Clone(part) // what does not belong there is dropped
			if len(server().admit(object)) > 0 {
				continue
			}
			c, err := decode(t, object)
			if err != nil {
				t.Fatalf("the CRD lets in what cannot be read: %v: %v", object, err)
			}
			if fe := c.Validate(context.Background()); fe != nil {
				t.Fatalf("the CRD lets in %v, Validate does not: %v", object, fe)
			}
		}
	})
}
