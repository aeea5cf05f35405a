// Package spec shows, against the running binary, each MUST and SHOULD of the
// Knative data-plane spec, and of the control-plane spec what concerns the data
// plane. clauses.yaml lists the clauses, each with the test that shows it.
package spec

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"leat.dev/leat/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// A hub is a Broker or a channel: most clauses bind both in the same words.
type hub struct {
	kind string
	// stream and route make the manifests.
	stream func(name string, spec ...string) string
	route  func(name, stream, subscriber string, spec ...string) string
	// url is where events go in.
	url func(l *harness.Leat, name string) string
}

var (
	broker  = hub{"Broker", harness.Broker, harness.Trigger, (*harness.Leat).BrokerURL}
	channel = hub{"Channel", harness.Channel, harness.Subscription, (*harness.Leat).ChannelURL}
)

// onBoth runs a test for a Broker and for a channel.
func onBoth(t *testing.T, test func(t *testing.T, h hub)) {
	for _, h := range []hub{broker, channel} {
		t.Run(h.kind, func(t *testing.T) {
			t.Parallel()
			test(t, h)
		})
	}
}

// quickly is a delivery that retries without making a test wait.
const quickly = "delivery: {retry: 3, backoffPolicy: exponential, backoffDelay: PT0.01S}"

// wantIDs fails the test unless the ids are these, in any order.
func wantIDs(t *testing.T, who string, got []string, want ...string) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("%s got the events %q, want %q", who, got, want)
	}
}

// wantDocumented fails the test unless the users' documentation has the word.
func wantDocumented(t *testing.T, word string) {
	t.Helper()
	var found bool
	err := filepath.WalkDir("../../docs", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || found || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		found = strings.Contains(string(text), word)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !found {
		t.Errorf("docs/ does not tell users of %s", word)
	}
}
