package spec

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"leat.dev/leat/test/harness"
)

// What a sender does about a response code.
const (
	completed = "completed" // the delivery is complete
	retried   = "retried"   // the event is sent again
	failed    = "failed"    // the event is not sent again: it is a dead letter
)

// responseTable is the table of the data-plane spec, Event Acknowledgement and
// Delivery Retry, with codes that its rows "other" stand for.
var responseTable = map[int]string{
	101: failed,
	200: completed, 201: completed, 202: completed, 204: completed, 206: completed, 299: completed,
	300: failed, 301: failed, 302: failed, 303: failed, 304: failed, 307: failed, 308: failed, 399: failed,
	400: failed, 401: failed, 402: failed, 403: failed, 405: failed, 406: failed, 410: failed, 412: failed,
	413: failed, 415: failed, 418: failed, 422: failed, 428: failed, 431: failed, 451: failed, 499: failed,
	404: retried, 409: retried, 429: retried,
	500: retried, 501: retried, 502: retried, 503: retried, 504: retried, 507: retried, 599: retried,
	// 408 is "other 4xx: no retry" in the table. We retry it, as Knative
	// Eventing itself does: the recipient says that it did not get the request.
	408: retried,
}

// unlisted codes are in no row of the table.
var unlisted = map[int]string{600: retried, 799: retried, 999: retried}

func TestResponseTable(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) { respond(t, h, responseTable) })
}

func TestUnknownCodesAreRetried(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) { respond(t, h, unlisted) })
}

// respond runs one event through a route per code, whose subscriber answers
// with the code first and with 200 after that.
func respond(t *testing.T, h hub, table map[int]string) {
	elsewhere := harness.NewSubscriber(t, nil)
	sink := harness.NewSubscriber(t, nil)
	subs := map[int]*harness.Subscriber{}
	manifests := []string{h.stream("hub")}
	for code := range table {
		first := harness.Answer{Status: code}
		if code/100 == 3 {
			first.Header = http.Header{"Location": {elsewhere.URL}}
		}
		subs[code] = harness.NewSubscriber(t, harness.InTurn(first, harness.Answer{Status: http.StatusOK}))
		manifests = append(manifests, h.route(fmt.Sprintf("code-%d", code), "hub", subs[code].URL,
			fmt.Sprintf("delivery: {retry: 1, backoffDelay: PT0.01S, deadLetterSink: {uri: %q}}", sink.URL+"/"+strconv.Itoa(code))))
	}
	l := harness.Start(t, manifests...)
	harness.Send(t, h.url(l, "hub"), harness.Event("1"))
	l.WaitSettled()

	dead := map[string]int{}
	for _, r := range sink.Requests() {
		dead[r.Target]++
	}
	for code, what := range table {
		attempts, buried := len(subs[code].Requests()), dead["/"+strconv.Itoa(code)]
		want, wantBuried := 1, 0
		switch what {
		case retried:
			want = 2
		case failed:
			wantBuried = 1
		}
		if attempts != want || buried != wantBuried {
			t.Errorf("%d is to be %s: the event was sent %d times and dead-lettered %d times, want %d and %d",
				code, what, attempts, buried, want, wantBuried)
		}
	}
	if n := len(elsewhere.Requests()); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// An informational response is no answer; the final one behind it is.
func TestInformationalResponsesArePassedOver(t *testing.T) {
	sub := harness.NewSubscriber(t, harness.InTurn(
		harness.Answer{Early: http.StatusEarlyHints, Status: http.StatusServiceUnavailable},
		harness.Answer{Early: http.StatusEarlyHints, Status: http.StatusOK}))
	l := harness.Start(t, broker.stream("hub"), broker.route("all", "hub", sub.URL, quickly))
	harness.Send(t, l.BrokerURL("hub"), harness.Event("1"))
	l.WaitSettled()
	wantIDs(t, "the subscriber", sub.IDs(), "1", "1")
}

func TestFailedConnectionsAreRetried(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		const retry = "delivery: {retry: 20, backoffPolicy: linear, backoffDelay: PT0.05S, timeout: PT0.3S}"
		aborts := harness.NewSubscriber(t, harness.InTurn(harness.Answer{Abort: true}, harness.Answer{Abort: true}, harness.Answer{}))
		hangs := harness.NewSubscriber(t, harness.InTurn(harness.Answer{Until: make(chan struct{})}, harness.Answer{}))
		late := harness.NewSubscriber(t, nil)
		port := harness.ReservePort(t)
		l := harness.Start(t, h.stream("hub"), h.route("aborts", "hub", aborts.URL, retry),
			h.route("hangs", "hub", hangs.URL, retry), h.route("refused", "hub", port.URL, retry))
		harness.Send(t, h.url(l, "hub"), harness.Event("1"))
		aborts.Wait(t, 3)
		hangs.Wait(t, 2)
		port.Serve(late)
		late.Wait(t, 1)
	})
}

func TestRetriesUpToRetryTimes(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		sink := harness.NewSubscriber(t, nil)
		subs := map[int]*harness.Subscriber{}
		manifests := []string{h.stream("hub")}
		for _, retry := range []int{0, 1, 4} {
			subs[retry] = harness.NewSubscriber(t, harness.Always(http.StatusServiceUnavailable))
			manifests = append(manifests, h.route(fmt.Sprintf("retry-%d", retry), "hub", subs[retry].URL,
				fmt.Sprintf("delivery: {retry: %d, backoffDelay: PT0.01S, deadLetterSink: {uri: %q}}", retry, sink.URL)))
		}
		l := harness.Start(t, manifests...)
		harness.Send(t, h.url(l, "hub"), harness.Event("1"))
		l.WaitSettled()
		for retry, sub := range subs {
			if got := len(sub.Requests()); got != 1+retry {
				t.Errorf("with retry: %d the event was sent %d times, want %d", retry, got, 1+retry)
			}
		}
		if got := len(sink.Requests()); got != len(subs) {
			t.Errorf("the sink got %d events, want one of each route, %d", got, len(subs))
		}
	})
}

func TestDeliveryIsCompleteAfterSuccess(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		sink := harness.NewSubscriber(t, nil)
		atOnce := harness.NewSubscriber(t, nil)
		later := harness.NewSubscriber(t, harness.InTurn(
			harness.Answer{Status: http.StatusServiceUnavailable}, harness.Answer{Status: http.StatusNoContent}))
		delivery := fmt.Sprintf("delivery: {retry: 5, backoffDelay: PT0.01S, deadLetterSink: {uri: %q}}", sink.URL)
		l := harness.Start(t, h.stream("hub"), h.route("at-once", "hub", atOnce.URL, delivery), h.route("later", "hub", later.URL, delivery))
		harness.Send(t, h.url(l, "hub"), harness.Event("1"))
		l.WaitSettled()
		wantIDs(t, "who accepts", atOnce.IDs(), "1")
		wantIDs(t, "who accepts the second attempt", later.IDs(), "1", "1")
		wantIDs(t, "the sink", sink.IDs())
	})
}

// The delays are lower bounds: a retry may come later, never earlier.
func TestBackoffFollowsPolicyAndDelay(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		const unit = 50 * time.Millisecond
		linear := harness.NewSubscriber(t, harness.Always(http.StatusServiceUnavailable))
		exponential := harness.NewSubscriber(t, harness.Always(http.StatusServiceUnavailable))
		l := harness.Start(t, h.stream("hub"),
			h.route("linear", "hub", linear.URL, "delivery: {retry: 4, backoffPolicy: linear, backoffDelay: PT0.05S}"),
			h.route("exponential", "hub", exponential.URL, "delivery: {retry: 4, backoffPolicy: exponential, backoffDelay: PT0.05S}"))
		harness.Send(t, h.url(l, "hub"), harness.Event("1"))
		l.WaitSettled()
		for n, gap := range gaps(exponential.Requests()) {
			if want := unit << n; gap < want {
				t.Errorf("exponential: retry %d came %v after the attempt before, want at least %v", n+1, gap, want)
			}
		}
		for n, gap := range gaps(linear.Requests()) {
			if want := unit * time.Duration(n); gap < want {
				t.Errorf("linear: retry %d came %v after the attempt before, want at least %v", n+1, gap, want)
			}
		}
		if got := len(gaps(exponential.Requests())) + len(gaps(linear.Requests())); got != 8 {
			t.Errorf("there were %d retries, want 4 of each route", got)
		}
	})
}

// gaps are the times between requests.
func gaps(requests []harness.Request) []time.Duration {
	var gaps []time.Duration
	for i := 1; i < len(requests); i++ {
		gaps = append(gaps, requests[i].At.Sub(requests[i-1].At))
	}
	return gaps
}

func TestRetryAfterIsHonoured(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		busy := harness.Answer{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}}
		sub := harness.NewSubscriber(t, harness.InTurn(busy, harness.Answer{}))
		l := harness.Start(t, h.stream("hub"), h.route("all", "hub", sub.URL, quickly))
		harness.Send(t, h.url(l, "hub"), harness.Event("1"))
		if gap := gaps(sub.Wait(t, 2))[0]; gap < time.Second {
			t.Errorf("the retry came after %v, want at least the second that Retry-After asks for", gap)
		}
	})
}

// Six events wait, and the subscriber sees two at once and never three.
func TestDeliveriesAtOnceAreBounded(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		release := make(chan struct{})
		gauge := make(chan struct{}, 2) // room for what may be under way
		sub := harness.NewSubscriber(t, func(harness.Request) harness.Answer {
			select {
			case gauge <- struct{}{}:
			default:
				t.Error("a third delivery came while two were under way")
			}
			select {
			case <-release:
			case <-t.Context().Done():
			}
			<-gauge
			return harness.Answer{}
		})
		other := harness.NewSubscriber(t, nil)
		l := harness.Start(t, h.stream("hub"), h.route("other", "hub", other.URL),
			harness.Annotated(h.route("bounded", "hub", sub.URL), "leat.dev/max-in-flight: '2'"))
		for i := range 6 {
			harness.Send(t, h.url(l, "hub"), harness.Event(strconv.Itoa(i)))
		}
		sub.Wait(t, 2)
		other.Wait(t, 6) // and the other route is not held up
		if n := len(sub.Requests()); n != 2 {
			t.Errorf("%d deliveries are under way, want 2", n)
		}
		close(release)
		l.WaitSettled()
		wantIDs(t, "the subscriber", sub.IDs(), "0", "1", "2", "3", "4", "5")
	})
}

func TestTelemetryIsExposed(t *testing.T) {
	sub := harness.NewSubscriber(t, harness.Always(http.StatusTeapot))
	l := harness.Start(t, broker.stream("hub"), broker.route("all", "hub", sub.URL, quickly))
	harness.Send(t, l.BrokerURL("hub"), harness.Event("1"))
	l.WaitSettled()
	r := harness.Do(t, http.MethodGet, l.Admin+"/metrics", nil, nil)
	for _, want := range []string{"kn_eventing_dispatch_duration", `http_response_status_code="418"`, "leat_"} {
		if !strings.Contains(r.Body, want) {
			t.Errorf("/metrics (%d) does not tell of %s", r.Status, want)
		}
	}
}
