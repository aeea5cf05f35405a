package ingress

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"leat.dev/leat/pkg/engine"
	"leat.dev/leat/pkg/routing"
)

// nowhere takes everything and keeps nothing, so that ingress alone is measured.
type nowhere struct{ engine.Stream }

func (nowhere) Append(context.Context, ...engine.Payload) (engine.Seq, error) { return 1, nil }

// bare is the baseline: it reads the body and answers 202.
func bare(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.WriteHeader(http.StatusAccepted)
}

func benchHandlers() map[string]http.Handler {
	gate := NewGate()
	gate.SetStreams(map[routing.StreamName]engine.Stream{brokerName: nowhere{}}, nil)
	return map[string]http.Handler{"bare": http.HandlerFunc(bare), "leat": New(gate, Options{})}
}

// benchBody is a body of n bytes.
func benchBody(n int) string { return `{"data":"` + strings.Repeat("x", n-11) + `"}` }

const benchHead = "ce-specversion: 1.0\nce-id: f81d4fae-7dec-11d0-a765-00a0c91e6bf6\nce-source: https://example.com/source/1\n" +
	"ce-type: com.example.order.created\nce-time: 2018-04-05T17:31:00.123456Z\ncontent-type: application/json\nuser-agent: bench"

type nobody struct{ header http.Header }

func (n nobody) Header() http.Header         { return n.header }
func (n nobody) Write(b []byte) (int, error) { return len(b), nil }
func (n nobody) WriteHeader(int)             {}

// BenchmarkHandler is the cost of a request without net/http, on all cores.
func BenchmarkHandler(b *testing.B) {
	for name, h := range benchHandlers() {
		for _, size := range []int{1 << 10, 64 << 10, 1 << 20} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, size>>10), func(b *testing.B) {
				text := []byte(benchBody(size))
				b.ReportAllocs()
				b.RunParallel(func(pb *testing.PB) {
					r := httptest.NewRequest(http.MethodPost, "/ns/default", nil)
					for line := range strings.Lines(benchHead) {
						name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
						r.Header.Set(name, value)
					}
					body := bytes.NewReader(nil)
					r.Body, r.ContentLength = io.NopCloser(body), int64(len(text))
					w := nobody{http.Header{}}
					for pb.Next() {
						body.Reset(text)
						h.ServeHTTP(w, r)
					}
				})
			})
		}
	}
}

// BenchmarkServer is the cost of a request over loopback, with clients that do
// next to nothing. "bounded" has the Listener as well.
func BenchmarkServer(b *testing.B) {
	handlers := benchHandlers()
	for _, name := range []string{"bare", "leat", "bounded"} {
		b.Run(name, func(b *testing.B) {
			server := httptest.NewUnstartedServer(handlers[name])
			server.Config.ReadTimeout = time.Minute
			if name == "bounded" {
				server.Config.Handler = handlers["leat"]
				server.Listener = Bound(server.Listener, 1000, NewBudget(0))
				server.Config.ConnState = ConnState
			}
			server.Start()
			defer server.Close()
			body := benchBody(1 << 10)
			request := fmt.Sprintf("POST /ns/default HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n\r\n%s",
				len(body), strings.ReplaceAll(benchHead, "\n", "\r\n"), body)
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				conn, err := net.Dial("tcp", server.Listener.Addr().String())
				if err != nil {
					b.Error(err)
					return
				}
				defer conn.Close()
				in := bufio.NewReader(conn)
				for pb.Next() {
					if err := roundTrip(conn, in, request); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

func roundTrip(conn net.Conn, in *bufio.Reader, request string) error {
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	status, err := in.ReadString('\n')
	if err == nil && !strings.Contains(status, " 202 ") {
		err = fmt.Errorf("answered %s", status)
	}
	for line := status; err == nil && line != "\r\n"; {
		line, err = in.ReadString('\n')
	}
	return err
}
