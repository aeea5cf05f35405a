package http1

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
)

// oracle has a server that answers every request with a script and closes, our
// client, and the Transport.
type oracle struct {
	server    *server
	script    atomic.Pointer[string]
	client    *Client
	transport *http.Transport
}

const oracleLimit = 600

func newOracle(t testing.TB) *oracle {
	o := &oracle{client: newClient(t, Options{MaxHeaderBytes: oracleLimit})}
	o.server = serve(t, func(p *peer) {
		p.request()
		p.say(*o.script.Load())
		_ = p.CloseWrite()
	})
	o.transport = &http.Transport{DisableCompression: true, DisableKeepAlives: true, MaxResponseHeaderBytes: oracleLimit}
	return o
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

// compare says whether there was a response.
func (o *oracle) compare(t *testing.T, script string) bool {
	t.Helper()
	o.script.Store(&script)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	header, body := requestOf(small)
	ours := saidBy(o.client.Do(ctx, o.server.addr, header, body))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+o.server.addr, strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	theirs := saidBy(o.transport.RoundTrip(req))
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
	o := newOracle(t)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	const n = 800
	responses := 0
	for range n {
		if o.compare(t, randomScript(r)) {
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
	o := newOracle(f)
	r := rand.New(rand.NewPCG(1, 1))
	for range 30 {
		f.Add(randomScript(r))
	}
	f.Fuzz(func(t *testing.T, script string) {
		if len(script) < 64<<10 {
			o.compare(t, script)
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
