package http1

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// The bound of a header, and where requests go.
const (
	oracleLimit = 600
	oracleAddr  = "h:80"
)

// scripted returns a connection, in memory, whose peer answers a request with the
// script and closes it; wait ends with the peer.
func scripted(script string) (c net.Conn, wait func()) {
	c, peer := net.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer peer.Close()
		_ = peer.SetDeadline(time.Now().Add(patience))
		if r, err := http.ReadRequest(bufio.NewReader(peer)); err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(peer, script)
		}
	})
	return c, wg.Wait
}

// said is what a client makes of a script.
type said struct {
	Failed          bool // there is no response
	Status          int
	Text, Proto     string
	Header, Trailer http.Header
	Length          int64
	Encoding        []string
	Close           bool
	Body            string
	BodyFailed      bool
}

func saidBy(resp *http.Response, err error) said {
	if err != nil {
		return said{Failed: true}
	}
	defer resp.Body.Close()
	s := said{
		Status: resp.StatusCode, Text: resp.Status, Proto: resp.Proto, Header: resp.Header,
		Length: resp.ContentLength, Encoding: resp.TransferEncoding, Close: resp.Close,
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return s // the Transport gives the connection away, the Client does not
	}
	body, err := io.ReadAll(resp.Body)
	s.Body, s.BodyFailed, s.Trailer = string(body), err != nil, resp.Trailer
	return s
}

// askUs returns what the Client makes of a script.
func askUs(ctx context.Context, script string) said {
	c := New(Options{MaxHeaderBytes: oracleLimit})
	conn, wait := scripted(script)
	defer wait()
	defer c.CloseIdle()
	c.put(newConn(conn, oracleAddr))
	header, body := requestOf(small)
	return saidBy(c.Do(ctx, oracleAddr, header, body))
}

// askTransport returns what net/http's Transport makes of it.
func askTransport(ctx context.Context, t *testing.T, script string) said {
	conn, wait := scripted(script)
	defer wait()
	tr := &http.Transport{
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return conn, nil },
		DisableCompression: true, DisableKeepAlives: true, MaxResponseHeaderBytes: oracleLimit,
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+oracleAddr, strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	return saidBy(tr.RoundTrip(req))
}

// compare says whether there was a response.
func compare(t *testing.T, script string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ours, theirs := askUs(ctx, script), askTransport(ctx, t, script)
	if ctx.Err() != nil {
		t.Fatalf("%q has no end", script)
	}
	if !reflect.DeepEqual(ours, theirs) {
		t.Errorf("%q:\nours   %+v\ntheirs %+v", script, ours, theirs)
	}
	return !ours.Failed
}

// Whatever a server says, the client and net/http's Transport make the same of it.
func TestLikeTransport(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	const n = 1500
	responses := 0
	for range n {
		if compare(t, randomScript(r)) {
			responses++
		}
		if t.Failed() {
			t.Fatalf("with the seed %d", seed)
		}
	}
	if responses < n/5 || responses > n*4/5 {
		t.Errorf("%d responses to %d scripts", responses, n)
	}
}

func FuzzLikeTransport(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 30 {
		f.Add(randomScript(r))
	}
	f.Fuzz(func(t *testing.T, script string) {
		if len(script) < 64<<10 {
			compare(t, script)
		}
	})
}

// randomScript is something like a response: mostly well-formed, with odd parts,
// and broken in one of three.
func randomScript(r *rand.Rand) string {
	one := func(of ...string) string { return of[r.IntN(len(of))] }
	var b bytes.Buffer
	for r.IntN(4) == 0 {
		fmt.Fprintf(&b, "HTTP/1.1 %s x\r\n%s\r\n", one("100", "102", "103", "199"), one("", "Link: a\r\n", "Content-Length: 3\r\n"))
	}
	end := one("\r\n", "\r\n", "\r\n", "\n")
	b.WriteString(one("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", "HTTP/1.10", "http/1.1", "HTTP/1"))
	b.WriteString(one(" ", " ", " ", " ", "  "))
	b.WriteString(one("200", "200", "200", "202", "204", "304", "404", "500", "503", "999", "101", "099", "000", "-20", "+20", "20", "2000", "2x0"))
	b.WriteString(one(" OK", "", " ", " A b") + end)
	body := strings.Repeat(one("a", "1\r\n", "0\r\n\r\n", "\x00\xff"), r.IntN(20)*r.IntN(20)*r.IntN(20))
	length := len(body)
	if r.IntN(5) == 0 {
		length += r.IntN(9) - 4
	}
	chunked := r.IntN(3) == 0
	for range r.IntN(4) {
		b.WriteString(one("Connection: close", "Connection: keep-alive", "connection: Keep-Alive, x", "Content-Type: a/b", "Set-Cookie: a=b",
			"Pragma: no-cache", "Trailer: A", "Trailer: Content-Length", "Upgrade: x", "Content-Encoding: gzip", "A: "+strings.Repeat("a", r.IntN(300)),
			"A:", ": a", "a b: c", " folded", "A: \x00", "A: \xff", "Content-Length: +3", "Content-Length: 3, 3", "Transfer-Encoding: identity", "Transfer-Encoding: chunked",
			fmt.Sprint("Content-Length: ", length)) + end)
	}
	switch {
	case chunked:
		b.WriteString(one("Transfer-Encoding: chunked", "transfer-encoding: Chunked") + end + end)
		for len(body) > 0 {
			n := 1 + r.IntN(len(body))
			fmt.Fprintf(&b, "%x%s%s%s%s", n, one("", "", ";a=b", " "), end, body[:n], end)
			body = body[n:]
		}
		b.WriteString("0" + end + one("", "", "", "A: b\r\nC: d\r\n", "a b c\r\n", "A: "+strings.Repeat("x", 5000)+"\r\n") + end)
	case r.IntN(4) > 0:
		fmt.Fprintf(&b, "Content-Length: %d%s%s%s", length, end, end, body)
	default:
		b.WriteString(end + body)
	}
	script := b.Bytes()
	switch r.IntN(6) {
	case 0:
		script = script[:r.IntN(len(script))]
	case 1:
		script[r.IntN(min(len(script), 200))] = byte(r.IntN(256))
	}
	return string(script)
}
