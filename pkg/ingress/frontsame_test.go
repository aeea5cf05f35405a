package ingress

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// pair are two servers to which the same is said: what a Front takes must mean
// the same to net/http.
type pair struct{ front, alone *stand }

func newPair(t testing.TB) *pair {
	return &pair{newStand(t, socket(t), true), newStand(t, socket(t), false)}
}

// same says a stream of bytes to both, which read it in pieces of those sizes,
// and returns the statuses of the answers.
func (p *pair) same(t testing.TB, text string, sizes []int) []string {
	t.Helper()
	var got, became [2][]string
	for i, s := range []*stand{p.front, p.alone} {
		s.sizes.Store(&sizes)
		got[i] = theAnswers(s.say(t, text))
		became[i] = s.became(t)
		all := NewBudget(frontBody).left.Load()
		eventually(t, "all of the budget is given back", func() bool { return s.budget.left.Load() == all })
		if log := s.log(); strings.Contains(log, "BUG") {
			t.Fatal(log)
		}
	}
	if !slices.Equal(got[0], got[1]) {
		t.Errorf("to %q, read by %v\nthe front answers %q\nnet/http alone   %q", text, sizes, got[0], got[1])
	}
	if !slices.Equal(became[0], became[1]) {
		t.Errorf("of %q, read by %v\nthe front makes %q\nnet/http alone  %q", text, sizes, became[0], became[1])
	}
	return got[0]
}

// theAnswers are those in a stream of bytes: the first line, the header in
// order and without the date, and the text. Which of many mistakes a 400 tells of
// is chance.
func theAnswers(text string) []string {
	var all []string
	for text != "" {
		header, rest, _ := strings.Cut(text, "\r\n\r\n")
		lines := strings.Split(header, "\r\n")
		status := statuses(lines)[0]
		length := -1
		fields := lines[1:]
		slices.Sort(fields)
		kept := lines[:1]
		for _, line := range fields {
			_, _ = fmt.Sscanf(line, "Content-Length: %d", &length)
			switch {
			case strings.HasPrefix(line, "Date: "), strings.HasPrefix(line, "Content-Length: "):
			case line == "Connection: close" && status == "500":
				// net/http does not say it to one that has closed its side.
			default:
				kept = append(kept, line)
			}
		}
		switch {
		case strings.HasPrefix(rest, "HTTP/1."): // to a HEAD, or 100 Continue
			length = 0
		case length < 0 || length > len(rest):
			length = len(rest)
		}
		body := rest[:length]
		text = rest[length:]
		if status == "400" {
			kept[0], body = kept[0][:len("HTTP/1.1 400")], ""
		}
		all = append(all, strings.Join(append(kept, body), "|"))
	}
	return all
}

func statuses(all []string) (n []string) {
	for _, a := range all {
		n = append(n, a[len("HTTP/1.1 "):len("HTTP/1.1 202")])
	}
	return n
}

// lines makes a header of lines.
func lines(all ...string) string { return strings.Join(all, "\r\n") + "\r\n\r\n" }

const postLine = "POST /ns/default HTTP/1.1"

var eventLines = strings.ReplaceAll(binary, "\n", "\r\n")

// oddities are what an attacker would try, or a sender of old.
func oddities() map[string]string {
	head := func(more ...string) string {
		return lines(append([]string{postLine, "Host: x", eventLines}, more...)...)
	}
	exact := func(size int) string { // a header of so many bytes
		return head("X: " + strings.Repeat("x", size-len(head("X: "))))
	}
	all := map[string]string{
		"a body":                     plainPost("body"),
		"no body":                    head(),
		"a structured event":         lines(postLine, "Host: x", isJSON, fmt.Sprint("Content-Length: ", len(jsonOne))) + jsonOne,
		"a batch":                    lines(postLine, "Host: x", isBatch, fmt.Sprint("Content-Length: ", 2*len(jsonOne)+3)) + "[" + jsonOne + "," + jsonOne + "]",
		"a channel by its host":      lines("POST / HTTP/1.1", "Host: "+channelHost, eventLines),
		"a host with a port and dot": lines("POST / HTTP/1.1", "hOST: "+strings.ToUpper(channelHost)+".:80", eventLines),
		"a body past the buffer":     plainPost(strings.Repeat("b", frontBuffer)),
		"a body past what is free":   plainPost(strings.Repeat("b", 2*freeBody)),
		"a body as large as may be":  plainPost(strings.Repeat("b", frontBody)),
		"a body too large":           plainPost(strings.Repeat("b", frontBody+1)),
		"headers that go along":      head("traceparent: p", "x-request-id: r", "knative-x: ", "x-b3-y: \t z "),
		"no such path":               strings.Replace(head(), "/ns/default", "/ns", 1),
		"no such stream":             strings.Replace(head(), "/default", "/none", 1),
		"a full stream":              strings.Replace(head(), "/default", "/full", 1),
		"a closed stream":            strings.Replace(head(), "/default", "/closed", 1),
		"a broken stream":            strings.Replace(head(), "/default", "/broken", 1),
		"no event":                   lines(postLine, "Host: x"),
		"half an event":              lines(postLine, "Host: x", "ce-id: 1"),
		"used up":                    head("ce-knativebrokerttl: 1"),
		"two lengths":                head("Content-Length: 1", "Content-Length: 1") + "x",
		"two lengths that differ":    head("Content-Length: 1", "Content-Length: 2") + "xx",
		"a list of lengths":          head("Content-Length: 1, 1") + "x",
		"a length in chunks":         head("Content-Length: 4", "Transfer-Encoding: chunked") + "1\r\nx\r\n0\r\n\r\n",
		"chunks":                     head("transfer-encoding: chunked") + "4\r\nbody\r\n0\r\n\r\n",
		"chunks and a length":        head("Transfer-Encoding: chunked", "Content-Length: 4") + "0\r\n\r\n",
		"another coding":             head("Transfer-Encoding: gzip", "Content-Length: 4") + "body",
		"a name with a space":        head("Transfer-Encoding : chunked", "Content-Length: 4") + "0\r\n\r\n",
		"a name with a tab":          head("Content-Length\t: 4") + "body",
		"no name":                    head(": x"),
		"no colon":                   head("x"),
		"a folded line":              head("X: a", " b"),
		"a folded length":            head("Content-Length:", " 4") + "body",
		"a folded first line":        lines(postLine, " Host: x", eventLines),
		"a header twice":             head("ce-id: 2"),
		"a host twice":               head("Host: x"),
		"no host":                    lines(postLine, eventLines),
		"an empty host":              lines(postLine, "Host:", eventLines),
		"a bad host":                 lines(postLine, "Host: x/y", eventLines),
		"LF alone":                   strings.ReplaceAll(plainPost("body"), "\r\n", "\n"),
		"an end with LF alone":       strings.Replace(plainPost("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "\r\n\r\n", "\n\n", 1),
		"an LF and CRLF":             strings.Replace(plainPost("x"), "\r\n\r\n", "\n\r\n", 1),
		"LF within a header":         head("X: a\nContent-Length: 4") + "body",
		"CR within a header":         head("X: a\rContent-Length: 4") + "body",
		"CR before CRLF":             head("X: a\r"),
		"NUL in a header":            head("X: a\x00b"),
		"DEL in a header":            head("X: a\x7fb"),
		"letters past ASCII":         head("ce-subject: größe"),
		"a keep-alive":               head("Connection: Keep-Alive"),
		"a close":                    head("Connection: close"),
		"a close among others":       head("Connection: x, Close"),
		"expects":                    head("Expect: 100-continue", "Content-Length: 4") + "body",
		"expects something":          head("Expect: x"),
		"an upgrade":                 head("Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"),
		"a trailer":                  head("Trailer: X", "Content-Length: 4") + "body",
		"HTTP/1.0":                   strings.Replace(head(), "HTTP/1.1", "HTTP/1.0", 1),
		"HTTP/1.0 kept alive":        strings.Replace(head("Connection: keep-alive"), "HTTP/1.1", "HTTP/1.0", 1),
		"HTTP/2.0":                   strings.Replace(head(), "HTTP/1.1", "HTTP/2.0", 1),
		"HTTP/1.01":                  strings.Replace(head(), "HTTP/1.1", "HTTP/1.01", 1),
		"no version":                 "POST /ns/default\r\n\r\n",
		"another method":             lines("GET /ns/default HTTP/1.1", "Host: x"),
		"a HEAD":                     lines("HEAD /ns/default HTTP/1.1", "Host: x"),
		"OPTIONS":                    lines("OPTIONS * HTTP/1.1", "Host: x"),
		"a method in small letters":  strings.Replace(head(), "POST", "post", 1),
		"two spaces":                 strings.Replace(head(), "POST ", "POST  ", 1),
		"a space at the end":         strings.Replace(head(), "HTTP/1.1\r", "HTTP/1.1 \r", 1),
		"an absolute URL":            strings.Replace(head(), "/ns", "http://y/ns", 1),
		"a URL with a host":          strings.Replace(head(), "/ns", "//y/ns", 1),
		"a line end before":          "\r\n" + head(),
		"many line ends before":      "\r\n\r\n\r\n" + head(),
		"no requests at all":         "",
		"a bit of one":               "POS",
		"a line of one":              postLine + "\r\n",
		"half a header":              head()[:80],
		"half a body":                plainPost("body")[:len(plainPost("body"))-2],
		"half a large body":          plainPost(strings.Repeat("b", 3*freeBody))[:2*freeBody],
		"binary":                     "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
		"very many headers":          head(strings.TrimSuffix(strings.Repeat("X: y\r\n", 900), "\r\n")),
		"as many headers as may be":  head(numbered(maxFields - 5)),
		"one header more":            head(numbered(maxFields - 4)),
		"a header of half a MB":      exact(512 << 10),
	}
	for _, length := range []string{"4", "04", "+4", "-4", "4 ", " \t4", "4.0", "0x4", "4_0", "", " ", "4e0", "\x0b4", "00", "9223372036854775807", "9223372036854775808", "99999999999999999999", strings.Repeat("0", 100) + "4"} {
		all["length "+length] = head("Content-Length: "+length) + "body"
	}
	for _, path := range []string{"/ns/default/", "//ns/default", "/ns//default", "/ns/default//", "/./ns/default", "/ns/../ns/default", "/ns/de%66ault", "/ns/default?a=b", "/ns/default?", "/ns/default#a", "/ns/default;a", "/ns/.default", "/ns/default.", "/ns/d..t", "ns/default", "*", "/", "/channels/ns/orders", "/ns/Default", "/ns/d\x00", "/ns/dé", "/ns/~default", "/ns\\default", "/ns/default\t", "/ns:1/default"} {
		all["path "+path] = strings.Replace(plainPost("x"), "/ns/default", path, 1)
	}
	for _, size := range []int{frontBuffer - 1, frontBuffer, frontBuffer + 1, 2 * frontBuffer} {
		all[fmt.Sprintf("a header of %d bytes", size)] = exact(size)
	}
	return all
}

// numbered are n headers.
func numbered(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("X-%d: y", i))
	}
	return strings.Join(all, "\r\n")
}

// What a Front takes, and what it hands over, means the same to net/http: alone,
// after a plain request, before one, and after a line end that does not belong
// there.
func TestFrontAnswersLikeNetHTTP(t *testing.T) {
	p := newPair(t)
	for name, text := range oddities() {
		p.same(t, text, nil)
		if len(text) < 100<<10 { // net/http takes its time to refuse more
			p.same(t, plainPost("before")+text+plainPost("after"), nil)
			p.same(t, plainPost("before")+"\r\n"+text, nil)
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
	for i := range 12 {
		p.same(t, plainPost("before")+strings.Repeat("\r\n", i)[:i]+plainPost("after"), nil)
	}
}

// Wherever reads begin and end.
func TestFrontReadsInPieces(t *testing.T) {
	p := newPair(t)
	text := plainPost("body") + plainPost("") + "\r\n" + plainPost("a longer body") + plainPost("x")
	for first := 1; first <= len(text); first++ {
		if got := statuses(p.same(t, text, []int{first, 1 << 20})); len(got) != 4 {
			t.Fatalf("answered %q", got)
		}
	}
	if n := p.front.handed.Load(); n > 0 {
		t.Errorf("%d connections with plain requests went on to net/http", n)
	}
	text += lines("GET / HTTP/1.1", "Host: x") + plainPost("last")
	for step := range 40 {
		if got := statuses(p.same(t, text, []int{step + 1})); !slices.Equal(got, []string{"202", "202", "202", "202", "405", "202"}) {
			t.Fatalf("answered %q", got)
		}
	}
}

// TestFrontLikeNetHTTPAtRandom says what a generator makes up.
func TestFrontLikeNetHTTPAtRandom(t *testing.T) {
	p := newPair(t)
	odd := oddities()
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range odd {
			if len(odd[name]) < 10<<10 && !yield(name) {
				return
			}
		}
	})
	rounds, stayed := 1500, 0
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 1))
		var text string
		for range 1 + r.IntN(4) {
			if r.IntN(2) == 0 {
				text += odd[names[r.IntN(len(names))]]
				continue
			}
			text += plainPost(strings.Repeat("b", r.IntN(20)*r.IntN(20)))
		}
		text = mutated(r, text)
		before := p.front.handed.Load()
		got := statuses(p.same(t, text, pieces(r)))
		if before == p.front.handed.Load() && slices.Contains(got, "202") {
			stayed++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d of %d connections were the front's to the end", stayed, rounds)
	if stayed < rounds/20 {
		t.Error("too few connections stay with the front to say anything")
	}
}

// mutated changes a few bytes, or none.
func mutated(r *rand.Rand, text string) string {
	const likely = "\r\n\t :,;/%+-0123456789\x00\x7fé"
	for range r.IntN(4) * r.IntN(2) {
		if text == "" {
			return text
		}
		i := r.IntN(len(text))
		c := string(likely[r.IntN(len(likely))])
		switch r.IntN(5) {
		case 0:
			text = text[:i] + text[i+1:]
		case 1:
			text = text[:i] + c + text[i:]
		case 2:
			text = text[:i] + c + text[i+1:]
		case 3: // a piece twice
			text = text[:i] + text[max(0, i-r.IntN(60)):]
		case 4: // cut off
			if r.IntN(4) == 0 {
				text = text[:i]
			}
		}
	}
	if strings.Contains(text, "PRI ") {
		return "" // see FuzzFront
	}
	return text
}

// pieces are sizes of reads.
func pieces(r *rand.Rand) []int {
	if r.IntN(3) == 0 {
		return nil
	}
	sizes := make([]int, 1+r.IntN(5))
	for i := range sizes {
		sizes[i] = 1 + r.IntN(1+r.IntN(400))
	}
	return sizes
}

// FuzzFront: whatever bytes a client sends, in whatever pieces they are read, a
// Front and net/http behind it do the same as net/http alone. The one exception
// is HTTP/2, which may begin after plain requests.
func FuzzFront(f *testing.F) {
	for _, text := range oddities() {
		if len(text) < 10<<10 {
			f.Add([]byte(text), uint64(0))
			f.Add([]byte(plainPost("before")+text+plainPost("after")), uint64(1))
		}
	}
	p := newPair(f)
	f.Fuzz(func(t *testing.T, text []byte, split uint64) {
		if len(text) > 64<<10 || strings.Contains(string(text), "PRI ") {
			return
		}
		var sizes []int
		if split > 0 {
			sizes = pieces(rand.New(rand.NewPCG(split, 0)))
		}
		p.same(t, string(text), sizes)
	})
}
