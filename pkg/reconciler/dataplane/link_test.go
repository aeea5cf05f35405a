package dataplane_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"knative.dev/pkg/logging"

	"leat.dev/leat/pkg/reconciler/dataplane"
	rt "leat.dev/leat/pkg/reconciler/reconcilertest"
	"leat.dev/leat/pkg/routing"
	"leat.dev/leat/pkg/served"
)

var stream = routing.StreamName{Kind: routing.Broker, Namespace: "shop", Name: "orders"}

func TestWatchTellsAllControllers(t *testing.T) {
	defer goleak.VerifyNone(t)
	board := served.NewBoard()
	server := httptest.NewServer(board.Handler())
	defer server.Close()
	defer board.Close()
	t.Setenv(dataplane.StatusURLEnv, server.URL)
	board.Publish(map[string]served.Stream{stream.String(): {UID: "1"}}, nil)

	ctx, cancel := context.WithCancel(logging.WithLogger(t.Context(), zap.NewNop().Sugar()))
	watch := new(dataplane.Watch)
	var one, two, removed atomic.Int32
	asker := watch.Join(ctx, func(served.Change) { one.Add(1) })
	if other := watch.Join(ctx, func(c served.Change) { two.Add(1); removed.Add(int32(len(c.Removed))) }); other != asker {
		t.Error("two controllers have two watchers")
	}
	rt.Eventually(t, "the stream is served", func() bool { return asker.Stream(stream, "1").State == served.Serving })
	rt.Eventually(t, "all have been told", func() bool { return one.Load() > 0 && two.Load() > 0 })
	board.Publish(nil, map[string]string{stream.String(): "1"})
	rt.Eventually(t, "the stream is removed", func() bool { return asker.Removed(stream, "1") && removed.Load() == 1 })
	cancel()
	watch.Wait()
}

func TestWatchWithoutAURLSaysSo(t *testing.T) {
	t.Setenv(dataplane.StatusURLEnv, "no URL")
	core, logs := observer.New(zap.ErrorLevel)
	watch := new(dataplane.Watch)
	watch.Join(logging.WithLogger(t.Context(), zap.New(core).Sugar()), func(served.Change) {})
	watch.Wait()
	if all := logs.All(); len(all) != 1 || !strings.Contains(all[0].Message, "not watched any more") {
		t.Errorf("the log is %v", all)
	}
}
