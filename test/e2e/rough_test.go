//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"leat.dev/leat/test/e2e/account"
)

const (
	// perSecond is what is sent to the Broker and to the channel, each.
	perSecond = 200
	// around is how many of them are acknowledged before something happens, and
	// again after it.
	around = 5 * perSecond
)

// The pod ends in order, and then once more at once, which is what the kernel
// or a lost node do to it.
func TestNothingIsLostWhenThePodIsDeleted(t *testing.T) {
	w := newWorld(t)
	under := w.load()
	for _, grace := range []*int64{nil, ptr.To[int64](1)} {
		under.flow()
		old, err := pod(w.ctx, "leat-dispatcher")
		w.must(err)
		w.must(cluster.kube.CoreV1().Pods(system).Delete(w.ctx, old.Name, metav1.DeleteOptions{GracePeriodSeconds: grace}))
		w.eventually("there is another pod", func() string {
			switch now, err := pod(w.ctx, "leat-dispatcher"); {
			case err != nil:
				return err.Error()
			case now.UID == old.UID:
				return "it is still the same"
			}
			return rollout(w.ctx)
		})
	}
	under.flow()
	under.verify()
}

func TestNothingIsLostInAnUpgrade(t *testing.T) {
	w := newWorld(t)
	under := w.load()
	under.flow()
	images := func() string {
		var all []string
		for _, component := range components {
			p, err := pod(w.ctx, component)
			w.must(err)
			all = append(all, p.Spec.Containers[0].Image)
		}
		return show(all)
	}
	old := images()
	next := secondVersion
	if cluster.version == next {
		next = firstVersion
	}
	w.must(apply(next))
	w.must(rolledOut(w.ctx))
	if now := images(); now == old {
		t.Errorf("it was no upgrade: the images are still %s", now)
	}
	under.flow()
	under.verify()
}

// load is events on their way to a Broker with two Triggers and to a channel
// with a Subscription.
type load struct {
	*world
	watching sync.WaitGroup
	stop     context.CancelFunc
	// unready is the longest time for which a Trigger was not ready.
	unready time.Duration
}

func (w *world) load() *load {
	w.Helper()
	broker := w.broker("orders", "Leat")
	w.trigger("all", "orders", w.to("take", "all"))
	w.trigger("filtered", "orders", w.to("take", "filtered"), ofType("paid"))
	channel := w.leatChannel("line")
	w.subscribe("line", leatChannelKind, "line", w.to("take", "line"))
	many := int(perSecond * patience.Seconds() * 10)
	w.send("broker", account.Send{URL: broker.String(), Type: "paid", Count: many, PerSecond: perSecond})
	w.send("channel", account.Send{URL: channel.String(), Type: "paid", Count: many, PerSecond: perSecond})
	ctx, stop := context.WithCancel(w.ctx)
	l := &load{world: w, stop: stop}
	l.watching.Go(func() { l.watch(ctx) })
	w.Cleanup(l.endWatch)
	return l
}

func (l *load) endWatch() {
	l.stop()
	l.watching.Wait()
}

// flow waits until events are taken, and some of them were.
func (l *load) flow() {
	l.Helper()
	for _, name := range []string{"broker", "channel"} {
		enough := len(l.sent(name).Acknowledged) + around
		l.eventually("events are taken", func() string {
			if sent := l.sent(name); len(sent.Acknowledged) < enough {
				return fmt.Sprintf("%d of %d; last trouble: %s", len(sent.Acknowledged), enough, sent.LastTrouble)
			}
			return ""
		})
	}
}

// watch measures how long a Trigger is not ready.
func (l *load) watch(ctx context.Context) {
	var since time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(tick):
		}
		trigger, err := l.getTrigger("all")
		switch {
		case err != nil || unready(trigger) == "":
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		default:
			l.unready = max(l.unready, time.Since(since))
		}
	}
}

// verify ends the load and accounts for every acknowledged event.
func (l *load) verify() {
	l.Helper()
	broker, channel := l.end("broker"), l.end("channel")
	l.endWatch()
	again := l.arrived(broker.Acknowledged, "all", "filtered") + l.arrived(channel.Acknowledged, "line")
	l.Logf("%d and %d events acknowledged, all delivered, %d of them more than once; answers %v, %v; "+
		"longest time without a 202 %.1f s; longest time a Trigger was not ready %v",
		len(broker.Acknowledged), len(channel.Acknowledged), again, broker.Answers, channel.Answers,
		max(broker.LongestSilence, channel.LongestSilence), l.unready)
	if silence := time.Duration(max(broker.LongestSilence, channel.LongestSilence) * float64(time.Second)); l.unready > silence+5*time.Second {
		l.Errorf("a Trigger was not ready for %v; no events were taken for %v", l.unready, silence)
	}
	for _, sent := range []account.Sent{broker, channel} {
		for answer := range sent.Answers {
			switch answer {
			case "202", "503", "no answer":
			default:
				l.Errorf("some events were answered with %s: %v", answer, sent.Answers)
			}
		}
	}
}
