package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// load sends events to a URL from as many senders as the settings say.
type load struct {
	settings
	client *http.Client
	data   []byte
}

func newLoad(s settings) *load {
	return &load{s, &http.Client{Transport: &http.Transport{
		MaxIdleConns: 2 * s.senders, MaxIdleConnsPerHost: 2 * s.senders, DisableCompression: true,
	}}, bytes.Repeat([]byte{'x'}, s.size)}
}

// send posts the events and returns how long it took until the last answer.
// Every answer must be one of the 2xx.
func (l *load) send(ctx context.Context, url string) (time.Duration, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	var senders sync.WaitGroup
	start := time.Now()
	for range l.senders {
		senders.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(l.events) || ctx.Err() != nil {
					return
				}
				if err := l.post(ctx, url, n); err != nil {
					stop(err)
					return
				}
			}
		})
	}
	senders.Wait()
	return time.Since(start), context.Cause(ctx)
}

func (l *load) post(ctx context.Context, url string, n int64) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(l.data))
	if err != nil {
		return err
	}
	req.Header["Ce-Id"] = []string{strconv.FormatInt(n, 10)}
	req.Header["Ce-Source"] = []string{"/bench"}
	req.Header["Ce-Specversion"] = []string{"1.0"}
	req.Header["Ce-Type"] = []string{"dev.leat.bench"}
	req.Header["Content-Type"] = []string{"application/octet-stream"}
	res, err := l.client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return err
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", url, res.Status)
	}
	return nil
}

// subscriber counts distinct events per path.
type subscriber struct {
	url    string
	server *http.Server

	mu   sync.Mutex
	want int
	seen map[string]map[string]int // path -> id -> times
	all  chan struct{}             // closed when each path has seen want ids
}

func startSubscriber() (*subscriber, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &subscriber{url: "http://" + l.Addr().String()}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.server.Serve(l) }()
	return s, nil
}

// expect forgets what was seen and waits for so many ids on each of the paths.
func (s *subscriber) expect(want int, paths ...string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want, s.seen, s.all = want, map[string]map[string]int{}, make(chan struct{})
	for _, p := range paths {
		s.seen[p] = make(map[string]int, want)
	}
	return s.all
}

func (s *subscriber) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	s.count(r.URL.Path, r.Header.Get("Ce-Id"))
	w.WriteHeader(http.StatusAccepted)
}

func (s *subscriber) count(path, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := s.seen[path]
	if ids == nil {
		return
	}
	ids[id]++
	if len(ids) < s.want || ids[id] > 1 {
		return
	}
	for _, ids := range s.seen {
		if len(ids) < s.want {
			return
		}
	}
	close(s.all)
}

// duplicates counts deliveries beyond the first.
func (s *subscriber) duplicates() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ids := range s.seen {
		for _, times := range ids {
			n += times - 1
		}
	}
	return n
}
