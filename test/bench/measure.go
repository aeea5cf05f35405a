package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// kind is what is measured.
type kind string

const (
	kindLeat   kind = "leat"
	kindBare   kind = roleBare
	kindProxy  kind = roleProxy
	kindPebble kind = rolePebble
	kindMemory kind = "memory" // of an idle leat
)

// variant is one way of moving events, which is measured by itself.
type variant struct {
	name string
	kind kind
	routes
	// events at most, size bytes of data each, in requests of batch events (1
	// unless it is more), by so many senders, at most for a time. Zero is the
	// settings'.
	events, size, senders, batch int
	most                         time.Duration
	// keys gives each sender a partition key of its own.
	keys bool
	// work is the subscriber's time for each event; failOnce lets it refuse
	// every second event once.
	work     time.Duration
	failOnce bool
	// backlog stores all events while the subscriber answers nothing, and
	// measures the deliveries from then on.
	backlog bool
	// share is of the highest rate of the variants in sharesOf, at which events
	// are sent whether or not earlier ones were answered. 0 sends as fast as the
	// answers come.
	share    float64
	sharesOf []string
}

// sample is what one measurement of a variant yields.
type sample struct {
	Sent       int     `json:"sent"`       // events that were answered
	Seconds    float64 `json:"seconds"`    // from the first request to the last answer or delivery
	Rate       float64 `json:"rate"`       // events per second; the slower of answers and deliveries
	Deliveries float64 `json:"deliveries"` // per second, of all routes together
	CPU        float64 `json:"cpuMicros"`  // of the server, per event
	Bytes      float64 `json:"bytes"`      // of data per second
	P50        float64 `json:"p50Millis"`  // from the intended time to the arrival
	P99        float64 `json:"p99Millis"`
	Resident   float64 `json:"residentBytes"`
}

// bench is what measurements share.
type bench struct {
	settings
	sub *subscriber
	// samples are those so far, by variant.
	samples map[string][]sample
}

// measure runs a variant once.
func (b *bench) measure(ctx context.Context, v variant) (sample, error) {
	v = v.withDefaults(b.settings)
	switch v.kind {
	case kindPebble:
		return b.measurePebble(v)
	case kindMemory:
		return b.measureMemory(ctx, v)
	}
	s, url, deliver, err := b.start(v)
	if err != nil {
		return sample{}, err
	}
	got, err := b.load(ctx, v, s, url, deliver)
	if err = errors.Join(err, s.Stop(), b.sub.err()); err != nil {
		return sample{}, err
	}
	return got, nil
}

func (v variant) withDefaults(s settings) variant {
	or := func(n *int, d int) {
		if *n == 0 {
			*n = d
		}
	}
	or(&v.events, s.events)
	or(&v.size, s.size)
	or(&v.senders, s.senders)
	or(&v.batch, 1)
	if v.most == 0 {
		v.most = s.most
	}
	v.events -= v.events % v.batch
	return v
}

// start starts the server of a variant. deliver is how many routes get every
// event.
func (b *bench) start(v variant) (s server, url string, deliver int, err error) {
	switch v.kind {
	case kindBare:
		p, err := startRole("-role", roleBare)
		if err != nil {
			return nil, "", 0, err
		}
		return p, p.url, 0, nil
	case kindProxy:
		p, err := startRole("-role", roleProxy, "-target", b.sub.url)
		if err != nil {
			return nil, "", 0, err
		}
		return p, p.url, 1, nil
	case kindLeat:
		p, err := b.startLeat(v.routes, b.sub.url)
		if err != nil {
			return nil, "", 0, err
		}
		return p, p.URL, v.match, nil
	}
	return nil, "", 0, fmt.Errorf("BUG: no server of kind %q", v.kind)
}

// path is where the events go.
func (v variant) path() string {
	if v.kind == kindLeat {
		return brokerPath
	}
	return routePath(0)
}

// warmShare of the events come first, unmeasured, so that connections are open
// and heaps have grown.
const warmShare = 10

// tail is how long a server's work is counted after the last delivery: it saves
// progress and trims, which is of the events' cost.
const tail = 300 * time.Millisecond

// load measures a server that runs.
func (b *bench) load(ctx context.Context, v variant, s server, url string, deliver int) (got sample, err error) {
	host := url[len("http://"):]
	from, err := newSenders(url, v.senders, v.batch, func(i int) *request {
		key := ""
		if v.keys {
			key = fmt.Sprint("k", i)
		}
		return newRequest(host, v.path(), v.size, v.batch, key)
	})
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, from.close()) }()

	warm := v
	warm.events, warm.most, warm.share, warm.backlog = max(v.events/warmShare/v.batch, 1)*v.batch, v.most/4, 0, false
	if _, err := b.drive(ctx, warm, from, deliver); err != nil {
		return got, fmt.Errorf("warming up: %w", err)
	}
	before, err := cpuTime(s.PID())
	if err != nil {
		return got, err
	}
	stopProfile := b.profile(s, v)
	got, err = b.drive(ctx, v, from, deliver)
	if err = errors.Join(err, stopProfile()); err != nil {
		return got, err
	}
	after, err := cpuTime(s.PID())
	got.CPU = float64((after - before).Microseconds()) / float64(got.Sent)
	return got, err
}

// measurePebble appends into Pebble in a process of its own.
func (b *bench) measurePebble(v variant) (got sample, err error) {
	dir, err := os.MkdirTemp(b.dir, "leat-bench-")
	if err != nil {
		return got, err
	}
	defer os.RemoveAll(dir)
	p, err := startRole("-role", rolePebble, "-target", dir, "-events", fmt.Sprint(v.events), "-most", v.most.String(),
		"-senders", fmt.Sprint(v.senders), "-size", fmt.Sprint(v.size))
	if err != nil {
		return got, err
	}
	before, err := cpuTime(p.PID())
	if err != nil {
		return got, errors.Join(err, p.Stop())
	}
	if err := p.in.Close(); err != nil {
		return got, err
	}
	var nanos int64
	_, err = fmt.Fscan(p.out, &got.Sent, &nanos)
	after, cpuErr := cpuTime(p.PID())
	if err = errors.Join(err, cpuErr, p.cmd.Wait()); err != nil {
		return got, err
	}
	got.Seconds = time.Duration(nanos).Seconds()
	got.Rate = float64(got.Sent) / got.Seconds
	got.Bytes = got.Rate * float64(v.size)
	got.CPU = float64((after - before).Microseconds()) / float64(got.Sent)
	return got, nil
}
