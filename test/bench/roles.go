package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Roles are what this program can be instead of the harness: a baseline.
const (
	roleBare   = "bare"
	roleProxy  = "proxy"
	rolePebble = "pebble"
)

// serveRole is one of the baselines until the standard input ends.
func serveRole(ctx context.Context, s settings) error {
	// What leat serve gives itself. With Go's own settings a process with so
	// little in use would spend much of its time collecting garbage.
	debug.SetGCPercent(400)
	switch s.role {
	case roleBare:
		return serveHTTP(ctx, http.HandlerFunc(takeAndAccept))
	case roleProxy:
		u, err := url.Parse(s.target)
		if err != nil {
			return err
		}
		return serveHTTP(ctx, newProxy(u))
	case rolePebble:
		return appendToPebble(s)
	default:
		return fmt.Errorf("role %q: must be %s, %s or %s", s.role, roleBare, roleProxy, rolePebble)
	}
}

func takeAndAccept(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// newProxy is httputil.ReverseProxy as somebody would set it up who cares about
// speed: connections are kept, and so are the buffers, of which it makes one of
// 32 KiB for every answer otherwise.
func newProxy(to *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:    func(r *httputil.ProxyRequest) { r.SetURL(to) },
		BufferPool: &bufferPool{},
		Transport: &http.Transport{
			MaxIdleConns: 2000, MaxIdleConnsPerHost: 2000, IdleConnTimeout: time.Minute, DisableCompression: true,
		},
	}
}

type bufferPool struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (p *bufferPool) Get() []byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 32<<10)
}

// Put implements httputil.BufferPool.
func (p *bufferPool) Put(b []byte) { p.pool.Put(&b) }

func serveHTTP(ctx context.Context, handler http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	fmt.Println("http://" + l.Addr().String())
	_, err = io.Copy(io.Discard, os.Stdin)
	err = errors.Join(err, server.Close())
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return errors.Join(err, ctx.Err())
}

// appendToPebble appends values with a sync each, from as many writers as there
// are senders, into the folder that is the target. When the first line has come
// in it begins, and it prints how many values and how long it took.
func appendToPebble(s settings) (err error) {
	db, err := pebble.Open(s.target, &pebble.Options{MemTableSize: 16 << 20, Logger: quiet{}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	fmt.Println("ready")
	if _, err := fmt.Scanln(); err != nil && !errors.Is(err, io.EOF) && err.Error() != "unexpected newline" {
		return err
	}
	value := randomJSON(s.size)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var writers sync.WaitGroup
	start := time.Now()
	for range s.senders {
		writers.Go(func() {
			for n := next.Add(1); n <= int64(s.events) && time.Since(start) < s.most; n = next.Add(1) {
				if err := db.Set(binary.BigEndian.AppendUint64(nil, uint64(n)), value, pebble.Sync); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
			}
		})
	}
	writers.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	fmt.Println(min(next.Load()-int64(s.senders), int64(s.events)), time.Since(start).Nanoseconds())
	return nil
}

// quiet keeps Pebble's chatter out of the progress.
type quiet struct{}

// Infof implements pebble.Logger.
func (quiet) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (quiet) Errorf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// Fatalf implements pebble.Logger.
func (quiet) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
