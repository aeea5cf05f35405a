package spec

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"

	"leat.dev/leat/test/harness"
)

const (
	onlyQuestions = "filter: {attributes: {type: question}}"
	onlyAnswers   = "filter: {attributes: {type: answer}}"
)

func question(id string) event.Event { return harness.Event(id, harness.Type("question")) }
func reply(id string) event.Event    { return harness.Event(id, harness.Type("answer")) }

func TestAsksSubscribersForReplies(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		sub := harness.NewSubscriber(t, nil)
		l := harness.Start(t, h.stream("hub"), h.route("all", "hub", sub.URL))
		harness.Send(t, h.url(l, "hub"), harness.Event("1"))
		if got := sub.Wait(t, 1)[0].Header.Get("Prefer"); got != "reply" {
			t.Errorf("the subscriber gets Prefer: %q, want reply", got)
		}
	})
}

// A Trigger's reply enters the Broker in whichever mode it comes, and gets to
// every Trigger that wants it, its own among them.
func TestReplyIsOfferedToAllTriggers(t *testing.T) {
	asked := harness.NewSubscriber(t, func(r harness.Request) harness.Answer {
		switch r.ID() {
		case "q-binary":
			return harness.Reply(http.StatusOK, reply("a-binary"))
		case "q-structured":
			return harness.StructuredReply(http.StatusOK, reply("a-structured"))
		}
		return harness.Answer{}
	})
	answers, questions := harness.NewSubscriber(t, nil), harness.NewSubscriber(t, nil)
	l := harness.Start(t, broker.stream("hub"), broker.route("all", "hub", asked.URL),
		broker.route("answers", "hub", answers.URL, onlyAnswers), broker.route("questions", "hub", questions.URL, onlyQuestions))
	harness.Send(t, l.BrokerURL("hub"), question("q-binary"), question("q-structured"))
	wantSame(t, answers.WaitEvent(t, "a-binary").Event, reply("a-binary"))
	wantSame(t, answers.WaitEvent(t, "a-structured").Event, reply("a-structured"))
	l.WaitSettled()
	wantIDs(t, "the Trigger for answers", answers.IDs(), "a-binary", "a-structured")
	wantIDs(t, "the Trigger for questions", questions.IDs(), "q-binary", "q-structured")
	wantIDs(t, "the Trigger that replied", asked.IDs(), "q-binary", "q-structured", "a-binary", "a-structured")
}

// The reply is on disk before the delivery that made it is settled: it outlives
// the process although nobody but the dead subscriber could make it again.
func TestReplyIsPersistedLikeAnyEvent(t *testing.T) {
	asked := harness.NewSubscriber(t, harness.InTurn(harness.Reply(http.StatusOK, reply("a")), harness.Answer{}))
	release := make(chan struct{})
	answers := harness.NewSubscriber(t, func(harness.Request) harness.Answer { return harness.Answer{Until: release} })
	l := harness.Start(t, broker.stream("hub"), broker.route("questions", "hub", asked.URL, onlyQuestions),
		broker.route("answers", "hub", answers.URL, onlyAnswers))
	harness.Send(t, l.BrokerURL("hub"), question("q"))
	answers.WaitEvent(t, "a")
	l.Kill()
	close(release)
	before := len(answers.Requests())
	l.Restart()
	l.WaitSettled()
	wantIDs(t, "the Trigger for answers, after the kill,", answers.IDs()[before:], "a")
}

// There is no room when the subscriber replies: it is asked again for as long
// as the reply cannot be stored, and the reply is there when it could.
func TestReplyThatCannotBeStoredIsMadeAgain(t *testing.T) {
	release := make(chan struct{})
	asked := harness.NewSubscriber(t, func(harness.Request) harness.Answer {
		a := harness.Reply(http.StatusOK, reply("a"))
		a.Until = release
		return a
	})
	answers := harness.NewSubscriber(t, nil)
	l := harness.StartWith(t, []string{"--grace-period", "100ms"}, broker.stream("hub"),
		broker.route("questions", "hub", asked.URL, onlyQuestions, "delivery: {retry: 0}"),
		broker.route("answers", "hub", answers.URL, onlyAnswers))
	harness.Send(t, l.BrokerURL("hub"), question("q"))
	asked.Wait(t, 1)
	l.RestartWith([]string{"--max-disk", "1"})
	close(release)
	asked.Wait(t, 4)
	wantIDs(t, "the Trigger for answers, while nothing can be stored,", answers.IDs())

	l.RestartWith(nil)
	l.WaitSettled()
	answers.WaitEvent(t, "a")
}

// The disk is full of events behind the one that is replied to, which cannot go
// before it is settled: there is a reserve for the reply. When all is settled,
// there is room again without a restart.
func TestReplyIsStoredInTheReserveOfAFullDisk(t *testing.T) {
	release, settle := make(chan struct{}), make(chan struct{})
	asked := harness.NewSubscriber(t, func(harness.Request) harness.Answer {
		a := harness.Reply(http.StatusOK, reply("a"))
		a.Until = release
		return a
	})
	answers := harness.NewSubscriber(t, nil)
	holds := harness.NewSubscriber(t, func(harness.Request) harness.Answer { return harness.Answer{Until: settle} })
	l := harness.StartWith(t, []string{"--max-disk", "4Mi"}, broker.stream("hub"),
		broker.route("questions", "hub", asked.URL, onlyQuestions),
		broker.route("holds", "hub", holds.URL),
		broker.route("answers", "hub", answers.URL, onlyAnswers))
	harness.Send(t, l.BrokerURL("hub"), question("q"))
	asked.Wait(t, 1)
	noise := make([]byte, 256<<10) // zeros would be compressed to nothing
	if _, err := rand.Read(noise); err != nil {
		t.Fatal(err)
	}
	header, body := harness.Binary(harness.Event("filler", harness.Data("application/octet-stream", noise)))
	send := func() int { return harness.Post(t, l.BrokerURL("hub"), header, body).Status }
	harness.Eventually(t, "the disk is full", func() bool { return send() == http.StatusInsufficientStorage })
	close(release)
	answers.WaitEvent(t, "a")
	close(settle)
	l.WaitSettled()
	harness.Eventually(t, "there is room again", func() bool { return send() == http.StatusAccepted })
}

func TestNoReplyIsTakenFrom202(t *testing.T) {
	onBoth(t, func(t *testing.T, h hub) {
		sub := harness.NewSubscriber(t, func(r harness.Request) harness.Answer {
			if r.ID() == "structured" {
				return harness.StructuredReply(http.StatusAccepted, reply("a-2"))
			}
			return harness.Reply(http.StatusAccepted, reply("a-1"))
		})
		replies := harness.NewSubscriber(t, nil)
		l := harness.Start(t, append(replying(h, sub.URL, replies.URL), h.stream("hub"))...)
		harness.Send(t, h.url(l, "hub"), question("binary"), question("structured"))
		l.WaitSettled()
		wantIDs(t, "whoever gets replies", replies.IDs())
		wantIDs(t, "the subscriber", sub.IDs(), "binary", "structured")
	})
}

// replying are routes of hub by which a reply of the subscriber to a question
// would get to the address: for a Trigger by way of its Broker and another
// Trigger.
func replying(h hub, subscriber, address string) []string {
	if h.kind == channel.kind {
		return []string{h.route("questions", "hub", subscriber, fmt.Sprintf("reply: {uri: %q}", address))}
	}
	return []string{h.route("questions", "hub", subscriber, onlyQuestions), h.route("answers", "hub", address, onlyAnswers)}
}

// Nobody asks a dead letter sink, or the address of a reply, for a reply: what
// they answer with is accepted, and goes nowhere.
func TestUnaskedReplyIsAcceptedAndGoesNowhere(t *testing.T) {
	chatty := harness.NewSubscriber(t, func(harness.Request) harness.Answer {
		return harness.Reply(http.StatusOK, reply("unasked"))
	})
	refuses := harness.NewSubscriber(t, harness.Always(http.StatusBadRequest))
	replies := harness.NewSubscriber(t, harness.InTurn(harness.Reply(http.StatusOK, reply("asked"))))
	watch := harness.NewSubscriber(t, nil)
	l := harness.Start(t,
		harness.Broker("hub"),
		harness.Trigger("refused", "hub", refuses.URL, onlyQuestions, fmt.Sprintf("delivery: {deadLetterSink: {uri: %q}}", chatty.URL+"/sink")),
		harness.Trigger("watch", "hub", watch.URL, onlyAnswers),
		harness.Channel("hub"),
		harness.Subscription("replies", "hub", replies.URL, fmt.Sprintf("reply: {uri: %q}", chatty.URL+"/reply")),
	)
	harness.Send(t, l.BrokerURL("hub"), question("q"))
	harness.Send(t, l.ChannelURL("hub"), question("q"))
	l.WaitSettled()
	got := map[string]int{}
	for _, r := range chatty.Requests() {
		got[r.Target+" "+r.ID()]++
		if r.Header.Get("Prefer") != "" {
			t.Errorf("%s is sent Prefer: %s, although nothing it replies is wanted", r.Target, r.Header.Get("Prefer"))
		}
	}
	if len(chatty.Requests()) != 2 || got["/sink q"] != 1 || got["/reply asked"] != 1 {
		t.Errorf("the sink and the reply address got %v, want /sink q and /reply asked, once", got)
	}
	wantIDs(t, "a Trigger for the unasked replies", watch.IDs())
}

func TestReplyOnlySubscriptionDoesNotAskForReplies(t *testing.T) {
	replies := harness.NewSubscriber(t, func(harness.Request) harness.Answer {
		return harness.Reply(http.StatusOK, reply("unasked"))
	})
	l := harness.Start(t, harness.Channel("hub"),
		harness.Subscription("reply-only", "hub", "", fmt.Sprintf("reply: {uri: %q}", replies.URL)))
	harness.Send(t, l.ChannelURL("hub"), question("q"))
	l.WaitSettled()
	got := replies.Requests()
	if len(got) != 1 || got[0].ID() != "q" {
		t.Fatalf("the reply address got %q, want the event itself, once", replies.IDs())
	}
	if prefer, there := got[0].Header["Prefer"]; there {
		t.Errorf("the reply address gets Prefer: %q, want no such header", prefer)
	}
}

func TestReplyGoesToTheReplyAddress(t *testing.T) {
	sub := harness.NewSubscriber(t, harness.Always(http.StatusOK))
	asked := harness.NewSubscriber(t, harness.InTurn(harness.Reply(http.StatusOK, reply("a"))))
	replies := harness.NewSubscriber(t, nil)
	l := harness.Start(t, harness.Channel("hub"), harness.Subscription("other", "hub", sub.URL),
		harness.Subscription("asked", "hub", asked.URL, fmt.Sprintf("reply: {uri: %q}", replies.URL)))
	harness.Send(t, l.ChannelURL("hub"), question("q"))
	l.WaitSettled()
	wantIDs(t, "the reply address", replies.IDs(), "a")
	wantIDs(t, "another subscriber of the channel", sub.IDs(), "q")
	wantSame(t, replies.WaitEvent(t, "a").Event, reply("a"))
}

func TestReplyWithoutAnAddressIsDropped(t *testing.T) {
	asked := harness.NewSubscriber(t, harness.InTurn(harness.Reply(http.StatusOK, reply("a"))))
	other := harness.NewSubscriber(t, nil)
	sink := harness.NewSubscriber(t, nil)
	l := harness.Start(t, harness.Channel("hub"), harness.Subscription("other", "hub", other.URL),
		harness.Subscription("asked", "hub", asked.URL, fmt.Sprintf("delivery: {retry: 2, backoffDelay: PT0.01S, deadLetterSink: {uri: %q}}", sink.URL)))
	harness.Send(t, l.ChannelURL("hub"), question("q"))
	l.WaitSettled()
	wantIDs(t, "who replied", asked.IDs(), "q")
	wantIDs(t, "another subscriber of the channel", other.IDs(), "q")
	wantIDs(t, "the sink", sink.IDs())
}

func TestFailedReplyRetriesTheWholeDelivery(t *testing.T) {
	asked := harness.NewSubscriber(t, harness.InTurn(harness.Reply(http.StatusOK, reply("a"))))
	away := harness.Answer{Status: http.StatusServiceUnavailable}
	replies := harness.NewSubscriber(t, harness.InTurn(away, harness.Answer{Abort: true}, away, away, away, harness.Answer{}))
	l := harness.Start(t, harness.Channel("hub"),
		harness.Subscription("asked", "hub", asked.URL, fmt.Sprintf("reply: {uri: %q}", replies.URL),
			"delivery: {retry: 5, backoffPolicy: exponential, backoffDelay: PT0.01S}"))
	harness.Send(t, l.ChannelURL("hub"), question("q"))
	l.WaitSettled()
	// The reply alone is offered four times first.
	wantIDs(t, "the subscriber", asked.IDs(), "q", "q")
	wantIDs(t, "the reply address", replies.IDs(), "a", "a", "a", "a", "a", "a")
}

func TestUndeliverableReplyGoesToTheSink(t *testing.T) {
	for name, status := range map[string]int{"refused": http.StatusForbidden, "retries used up": http.StatusBadGateway} {
		t.Run(name, func(t *testing.T) {
			asked := harness.NewSubscriber(t, harness.InTurn(harness.Reply(http.StatusOK, reply("a"))))
			replies := harness.NewSubscriber(t, harness.Always(status))
			sink := harness.NewSubscriber(t, nil)
			l := harness.Start(t, harness.Channel("hub"), harness.Subscription("asked", "hub", asked.URL,
				fmt.Sprintf("reply: {uri: %q}", replies.URL),
				fmt.Sprintf("delivery: {retry: 2, backoffDelay: PT0.01S, deadLetterSink: {uri: %q}}", sink.URL)))
			harness.Send(t, l.ChannelURL("hub"), question("q"))
			l.WaitSettled()
			wantIDs(t, "the sink", sink.IDs(), "a")
		})
	}
}

// A loop of replies ends when its hops are used up: knativebrokerttl counts
// them, and docs/ tells users of it.
func TestLoopsEnd(t *testing.T) {
	loop := harness.NewSubscriber(t, func(r harness.Request) harness.Answer {
		return harness.Reply(http.StatusOK, harness.Event(fmt.Sprintf("reply-%d", r.N)))
	})
	l := harness.Start(t, broker.stream("hub"), broker.route("loop", "hub", loop.URL))
	harness.Send(t, l.BrokerURL("hub"), harness.Event("1", harness.Ext("knativebrokerttl", 4)))
	l.WaitSettled()
	wantIDs(t, "the subscriber", loop.IDs(), "1", "reply-0", "reply-1")
	for _, r := range loop.Requests() {
		if ttl, there := r.Event.Extensions()["knativebrokerttl"]; there {
			t.Errorf("event %s shows the subscriber its knativebrokerttl=%v", r.ID(), ttl)
		}
	}
	wantDocumented(t, "knativebrokerttl")
}
