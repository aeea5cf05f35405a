// Package enginetest is the proof that every engine must pass.
//
// It asks only for what pkg/engine/engine.go promises, through the contract's
// own methods, and nothing of how an engine does it.
package enginetest

import (
	"testing"

	"leat.dev/leat/pkg/engine"
)

// Harness is one store of the engine under test, empty at first.
type Harness interface {
	// Open opens the store. The suite closes what is open before it opens the
	// store again.
	Open(t testing.TB) engine.Engine
}

// Run runs the suite. open makes a new store for each test.
func Run(t *testing.T, open func(t testing.TB) Harness) {
	for _, test := range []struct {
		name string
		run  func(*world)
	}{
		{"Append", testAppend},
		{"AppendConcurrently", testAppendConcurrently},
		{"Read", testRead},
		{"ReadNeverPassesTheHead", testReadNeverPassesTheHead},
		{"Names", testNames},
		{"ConsumerStart", testConsumerStart},
		{"ConsumerKeepsItsPlace", testConsumerKeepsItsPlace},
		{"OpenedTwice", testOpenedTwice},
		{"MaxInFlight", testMaxInFlight},
		{"ParkedHoldsNoSlot", testParkedHoldsNoSlot},
		{"Settle", testSettle},
		{"RetryComesBackInTime", testRetryComesBackInTime},
		{"RetryForever", testRetryForever},
		{"RetrySurvivesReopen", testRetrySurvivesReopen},
		{"UnsettledComeBack", testUnsettledComeBack},
		{"Update", testUpdate},
		{"ConcurrentNext", testConcurrentNext},
		{"NextHandsOver", testNextHandsOver},
		{"NextContext", testNextContext},
		{"OrderedPerKey", testOrderedPerKey},
		{"OrderedSurvivesReopen", testOrderedSurvivesReopen},
		{"OrderedAtRandom", testOrderedAtRandom},
		{"Interest", testInterest},
		{"InterestBacklog", testInterestBacklog},
		{"InterestAtRandom", testInterestAtRandom},
		{"SlowConsumer", testSlowConsumer},
		{"Trim", testTrim},
		{"TrimWaitsForClosedConsumer", testTrimWaitsForClosedConsumer},
		{"Retention", testRetention},
		{"Look", testLook},
		{"TrimTo", testTrimTo},
		{"Seek", testSeek},
		{"SeekIsKept", testSeekIsKept},
		{"SeekLeavesWhatIsInFlight", testSeekLeavesWhatIsInFlight},
		{"SeekInOrder", testSeekInOrder},
		{"SeekWakes", testSeekWakes},
		{"SeekAndTrim", testSeekAndTrim},
		{"SeekWhileTrimming", testSeekWhileTrimming},
		{"SeqAt", testSeqAt},
		{"RemoveConsumer", testRemoveConsumer},
		{"RemoveStream", testRemoveStream},
		{"StreamState", testStreamState},
		{"ConsumerState", testConsumerState},
		{"StateOfIdleConsumer", testStateOfIdleConsumer},
		{"ClosedConsumer", testClosedConsumer},
		{"ClosedEngine", testClosedEngine},
		{"EndedContext", testEndedContext},
		{"Reopen", testReopen},
		{"Model", testModel},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, open)
			defer w.close()
			test.run(w)
		})
	}
}
