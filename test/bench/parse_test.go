package main

import (
	"strings"
	"testing"
)

func TestParseResponse(t *testing.T) {
	const accepted = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
	for _, c := range []struct {
		name, data     string
		status, length int
		fails          bool
	}{
		{name: "whole", data: accepted, status: 202, length: len(accepted)},
		{name: "with a body", data: "HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\n\r\nno\n", status: 400, length: 50},
		{name: "without a length", data: "HTTP/1.1 204 No Content\r\n\r\n", status: 204, length: 27},
		{name: "half a head", data: accepted[:20]},
		{name: "half a body", data: "HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nn"},
		{name: "nothing", data: ""},
		{name: "two of them", data: accepted + accepted, status: 202, length: len(accepted)},
		{name: "chunked", data: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", fails: true},
		{name: "another protocol", data: "SSH-2.0-OpenSSH_9.6\r\n\r\n", fails: true},
		{name: "no status", data: "HTTP/1.1 abc Accepted\r\n\r\n", fails: true},
		{name: "a length that is none", data: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", fails: true},
		{name: "a head without an end", data: "HTTP/1.1 200 OK\r\n" + strings.Repeat("x", maxHead), fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, length, err := parseResponse([]byte(c.data))
			if status != c.status || length != c.length || (err != nil) != c.fails {
				t.Errorf("got %d, %d bytes, %v; want %d, %d bytes, an error: %v", status, length, err, c.status, c.length, c.fails)
			}
		})
	}
}

func TestParseRequest(t *testing.T) {
	for _, c := range []struct {
		name, head string
		want       requestHead
		fails      bool
	}{
		{
			name: "a delivery", head: "POST /t7 HTTP/1.1\r\nHost: a\r\nce-id: 000000042\r\nContent-Length: 1024\r\n",
			want: requestHead{id: 42, body: 1024},
		},
		{name: "no event", head: "POST /t7 HTTP/1.1\r\nCe-Idle: 1\r\n", want: requestHead{id: -1}},
		{name: "an id that nobody sent", head: "POST /t7 HTTP/1.1\r\nCe-Id: abc\r\n", fails: true},
		{name: "chunked", head: "POST /t7 HTTP/1.1\r\ntransfer-encoding: chunked\r\n", fails: true},
		{name: "no request", head: "POST\r\n", fails: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseRequest([]byte(c.head))
			if (err != nil) != c.fails {
				t.Fatalf("error: %v", err)
			}
			if c.fails {
				return
			}
			if got.id != c.want.id || got.body != c.want.body || routeOf(got.path) != 7 {
				t.Errorf("got %d, %d bytes, %s; want %+v on /t7", got.id, got.body, got.path, c.want)
			}
		})
	}
}

func TestRouteOf(t *testing.T) {
	for path, want := range map[string]int{routePath(0): 0, routePath(999): 999, "/": -1, "/t": -1, "/tx": -1, "/x1": -1, "/t-1": -1} {
		if got := routeOf([]byte(path)); got != want {
			t.Errorf("%s: got %d, want %d", path, got, want)
		}
	}
}

func TestRequestIsARequest(t *testing.T) {
	for _, batch := range []int{1, 100} {
		r := newRequest("127.0.0.1:80", "/t3", 100, batch, "k1")
		r.number(123)
		head, length, err := cutHead(r.bytes)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parseRequest(head)
		if err != nil {
			t.Fatal(err)
		}
		if got.body != len(r.bytes)-length || routeOf(got.path) != 3 {
			t.Errorf("batch of %d: a body of %d bytes for %s, of which %d are there", batch, got.body, got.path, len(r.bytes)-length)
		}
		if batch == 1 && got.id != 123 {
			t.Errorf("the id is %d, want 123", got.id)
		}
		if last := r.ids[batch-1]; string(r.bytes[last:last+idDigits]) != []string{"000000123", "000000222"}[min(batch-1, 1)] {
			t.Errorf("batch of %d: the last id is %s", batch, r.bytes[last:last+idDigits])
		}
	}
}

func TestParseProc(t *testing.T) {
	cpu, err := parseStat([]byte("12 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0\n"))
	if err != nil || cpu != 200*tick {
		t.Errorf("got %v, %v; want %v", cpu, err, 200*tick)
	}
	if _, err := parseStat([]byte("12 (a) S 1\n")); err == nil {
		t.Error("a short stat was taken")
	}
	rss, err := parseResident("Name:\tleat\nVmRSS:\t    2048 kB\nRssAnon:\t1 kB\n")
	if err != nil || rss != 2<<20 {
		t.Errorf("got %d, %v; want 2 MiB", rss, err)
	}
	if _, err := parseResident("Name:\tkthread\n"); err == nil {
		t.Error("a status without VmRSS was taken")
	}
}
