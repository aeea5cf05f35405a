package hostile

import (
	"fmt"
	"strings"
	"testing"

	"leat.dev/leat/test/harness"
)

const (
	asJSON  = "application/cloudevents+json"
	asBatch = "application/cloudevents-batch+json"
	plain   = requestLine + "Host: x\r\n"
	mib     = 1 << 20
)

func TestFraming(t *testing.T) {
	underAttack(t, nil, func(w *world) {
		w.tryAll(t, requests{
			"no HTTP at all":             {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", is(400)},
			"zero bytes":                 {strings.Repeat("\x00", 1000), is(400)},
			"nothing":                    {"", is(cutOff)},
			"HTTP/0.9":                   {"POST /test/hub\r\n\r\n", is(400)},
			"HTTP/9.9":                   {strings.Replace(head, "1.1", "9.9", 1) + "\r\n", is(505)},
			"no host":                    {requestLine + "\r\n", is(400)},
			"two hosts":                  {head + "Host: y\r\nContent-Length: 0\r\n\r\n", is(400)},
			"a header without a colon":   {head + "garbage\r\n\r\n", is(400)},
			"a header with a space":      {head + "Content-Length : 0\r\n\r\n", is(400)},
			"NUL in a header":            {head + "ce-x: a\x00b\r\nContent-Length: 0\r\n\r\n", is(400)},
			"CR alone in a header":       {head + "ce-x: a\rce-y: b\r\nContent-Length: 0\r\n\r\n", is(400)},
			"a method that never ends":   {strings.Repeat("A", mib), is(431)},
			"a path that never ends":     {"POST /" + strings.Repeat("a", mib), is(431)},
			"a header that never ends":   {head + "ce-x: " + strings.Repeat("a", mib), is(431)},
			"headers without end":        {head + strings.Repeat("ce-x: a\r\n", mib/9), is(431)},
			"headers cut off":            {head, is(400)},
			"a body cut off":             {head + "Content-Length: 10\r\n\r\nhalf", is(500)},
			"too long a body":            {head + "Content-Length: 99999999999\r\n\r\nhalf", is(413)},
			"a length over 63 bits":      {head + "Content-Length: 99999999999999999999\r\n\r\n", is(400)},
			"a negative length":          {head + "Content-Length: -1\r\n\r\n", is(400)},
			"a signed length":            {head + "Content-Length: +0\r\n\r\n", is(400)},
			"a length in hex":            {head + "Content-Length: 0x0\r\n\r\n", is(400)},
			"an empty length":            {head + "Content-Length: \r\n\r\n", is(400)},
			"a list of lengths":          {head + "Content-Length: 1, 1\r\n\r\nx", is(400)},
			"two lengths":                {head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", is(400)},
			"chunk size garbage":         {head + chunked + "zz\r\n", is(400)},
			"a negative chunk":           {head + chunked + "-1\r\n", is(400)},
			"a chunk over 64 bits":       {head + chunked + "fffffffffffffffff\r\n", is(400)},
			"a chunk without its end":    {head + chunked + "1\r\nxyz\r\n0\r\n\r\n", is(400)},
			"chunks cut off":             {head + chunked + "4\r\nhalf\r\n", is(500)},
			"no last chunk":              {head + chunked + "4\r\nhalf\r\n0\r\n", is(400)},
			"an endless chunk extension": {head + chunked + "1;" + strings.Repeat("x", mib), is(400)},
			"chunk extensions, many":     {head + chunked + strings.Repeat("1;"+strings.Repeat("x", 1000)+"\r\nx\r\n", 1000), is(400)},
			"endless trailers":           {head + chunked + "0\r\n" + strings.Repeat("x: y\r\n", mib/6), is(400)},
			"gzip, chunked":              {head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", is(501)},
			"xchunked":                   {head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", is(501)},
			"two transfer encodings":     {head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", is(501)},
			"tab before chunked":         {head + "Transfer-Encoding:\tchunked\r\nContent-Length: -1\r\n\r\n0\r\n\r\n", is(400)},
			"an unknown expectation":     {head + "Expect: the-worst\r\nContent-Length: 0\r\n\r\n", is(417)},
			"an upgrade to HTTP/2":       {head + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAA\r\nContent-Length: 1\r\n\r\n", is(500)},
		})
	})
}

// A request that hides in another one's body is not seen, and what follows a
// request that is not understood is not answered.
func TestSmuggling(t *testing.T) {
	underAttack(t, nil, func(w *world) {
		hidden := head + "Content-Length: 0\r\n\r\n"
		garbage := plain + "Content-Length: 4\r\n\r\nhalf"
		w.tryAll(t, requests{
			"behind a short body":         {whole(plain, asJSON, hidden), is(400)},
			"behind a bad length":         {head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n" + hidden, is(400)},
			"behind a bad chunk":          {head + chunked + "zz\r\n\r\n" + hidden, is(400)},
			"behind a bad last chunk":     {head + chunked + "1\r\nx\r\n0x\r\n\r\n" + hidden, is(400)},
			"behind too large a body":     {head + "Content-Length: 99999999\r\n\r\n" + hidden, is(413)},
			"behind an encoding":          {head + "Transfer-Encoding: identity\r\n\r\n" + hidden, is(501)},
			"a length beside chunks":      {plain + "Content-Length: 3\r\n" + chunked + "0\r\n\r\n" + garbage, is(400, 400)},
			"inside of a length's chunks": {plain + fmt.Sprintf("Content-Length: 6\r\n%s%x\r\n%s\r\n0\r\n\r\n", chunked, len(hidden), hidden), is(400)},
			"HTTP/1.0 with chunks":        {strings.Replace(plain, "1.1", "1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n" + hidden, is(400)},
			"in a header's value":         {head + "ce-x: a%0d%0a%0d%0a" + hidden, is(400)},
			"in the path":                 {"POST /test/hub%20HTTP/1.1%0d%0aHost:%20y HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", is(400)},
		})
	})
}

func TestTargets(t *testing.T) {
	underAttack(t, nil, func(w *world) {
		for _, target := range []string{
			"//test/hub", "/test//hub", "/test/hub//", "/./test/hub", "/test/./hub", "/x/../test/hub", "/test/hub/..", "/test/hub/.",
			"/%74est/hub", "/test%2fhub", "/test/%68ub", "/test/hub%2f", "/test/hub%00", "/test/hub/%00", "/%2e%2e/hub", "/test/hub%0d%0a",
			"/test/hub/x", "/channels/test/hub/x", "/test", "/test/", "/broker/test/hub", "/\\test\\hub", "/test/hub;x=y", "/test/hub%3fx",
			"http://x/test//hub", "http://x//test/hub", "http://y/z/test/hub", "/test/hub\x7f", "/test/\xff\xfe", "/test/hub ",
			"*", "test/hub", "x:80", "javascript:alert(1)", "http://[::1/test/hub", "http://x:port/test/hub", "/%", "/%zz/hub", "/test/HUB", "/TEST/hub",
			"/v1/streams", "/metrics", "/debug/pprof/", "/healthz", "/etc/passwd", "/../../../../etc/passwd", "/test/..%2f..%2fdata",
			"/" + strings.Repeat("a/", 30000), "/test/" + strings.Repeat("h", 60000),
		} {
			text := "POST " + target + " HTTP/1.1\r\n" + binaryEvent + "Content-Length: 0\r\n\r\n"
			got, err := w.exchange(text)
			if err != nil || len(got) != 1 || got[0] < 400 || got[0] > 431 {
				t.Errorf("POST %.60q is answered %v, %v", target, got, err)
			}
		}
		w.tryAll(t, requests{
			"CONNECT":             {"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n", is(405)},
			"CONNECT to a path":   {"CONNECT /test/hub HTTP/1.1\r\nHost: x\r\n\r\n", is(405)},
			"TRACE":               {"TRACE /test/hub HTTP/1.1\r\nHost: x\r\nAuthorization: secret\r\n\r\n", is(405)},
			"PRI":                 {"PRI * HTTP/1.1\r\nHost: x\r\n\r\n", is(405)},
			"lower case":          {strings.Replace(head, "POST", "post", 1) + "Content-Length: 0\r\n\r\n", is(405)},
			"a method with a NUL": {strings.Replace(head, "POST", "POS\x00", 1) + "Content-Length: 0\r\n\r\n", is(400)},
		})
		if streams := w.Streams(); len(streams) != 1 {
			t.Errorf("there are streams that nobody has made: %+v", streams)
		}
	})
}

func TestHostileEvents(t *testing.T) {
	const required = `"specversion":"1.0","id":"1","source":"/s","type":"t"`
	deep := func(open, end string) string {
		return "{" + required + `,"data":` + strings.Repeat(open, mib) + strings.Repeat(end, mib) + "}"
	}
	many := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	underAttack(t, nil, func(w *world) {
		all := requests{
			"an attribute of 1 MiB in a header":    {whole(head+"ce-x: "+strings.Repeat("a", mib)+"\r\n", "", ""), is(431)},
			"an attribute of 100 KiB in a header":  {whole(head+"ce-x: "+strings.Repeat("a", 100<<10)+"\r\n", "", ""), is(400)},
			"many attributes in headers":           {whole(head+many("ce-x%d: a\r\n", 1000), "", ""), is(400)},
			"an attribute twice":                   {whole(head+"ce-id: 2\r\n", "", ""), is(400)},
			"an attribute twice, in other letters": {whole(head+"CE-Id: 2\r\n", "", ""), is(400)},
			"percent-encoded garbage":              {whole(head+"ce-x: %ff%fe\r\n", "", ""), is(400)},
			"an encoded NUL":                       {whole(head+"ce-x: a%00b\r\n", "", ""), is(400)},
			"an encoded line end":                  {whole(head+"ce-x: a%0d%0ab\r\n", "", ""), is(400)},
			"a header to pass on of 100 KiB":       {whole(head+"knative-x: "+strings.Repeat("a", 100<<10)+"\r\n", "", ""), is(400)},
			"many headers to pass on":              {whole(head+many("knative-x%d: a\r\n", 1000), "", ""), is(400)},
			"a batch without an end":               {whole(plain, asBatch, "[{"+required+"},"), is(400)},
			"a batch of too many":                  {whole(plain, asBatch, "["+strings.Repeat("{"+required+"},", 20000)+"{"+required+"}]"), is(400)},
			"a batch of numbers":                   {whole(plain, asBatch, "["+strings.Repeat("1,", mib)+"1]"), is(400)},
			"a batch in a batch":                   {whole(plain, asBatch, "[[{"+required+"}]]"), is(400)},
			"a batch with one bad event":           {whole(plain, asBatch, "["+strings.Repeat("{"+required+"},", 5000)+`{"id":1}]`), is(400)},
			"an unknown format":                    {whole(plain, "application/cloudevents+avro", "x"), is(400)},
		}
		for name, body := range map[string]string{
			"an attribute of 1 MiB":       "{" + required + `,"x":"` + strings.Repeat("a", mib) + `"}`,
			"a name of 1 MiB":             "{" + required + `,"` + strings.Repeat("a", mib) + `":"x"}`,
			"many attributes":             "{" + required + many(`,"x%d":"a"`, 100000) + "}",
			"many attributes, 256 KiB":    "{" + required + many(`,"x%d":"`+strings.Repeat("a", 60<<10)+`"`, 100) + "}",
			"arrays in arrays":            deep("[", "]"),
			"arrays that never end":       deep("[", ""),
			"objects in objects":          deep(`{"a":`, "}"),
			"an array of 10 MiB":          "{" + required + `,"data":[` + strings.Repeat("0,", 4*mib),
			"an attribute that is a list": "{" + required + `,"x":[1]}`,
			"an endless number":           "{" + required + `,"x":` + strings.Repeat("9", mib) + "}",
			"members twice":               "{" + required + `,"id":"2"}`,
			"data twice":                  "{" + required + `,"data":1,"data_base64":"AA=="}`,
			"bad base64":                  "{" + required + `,"data_base64":"A"}`,
			"half a surrogate pair":       "{" + required + `,"x":"\ud800"}`,
			"not UTF-8":                   "{" + required + ",\"data\":\"\xff\xfe\"}",
			"not UTF-8 in an attribute":   "{" + required + ",\"x\":\"\xc0\xaf\"}",
			"UTF-16":                      "\xff\xfe{\x00}\x00",
			"a byte order mark":           "\xef\xbb\xbf{" + required + "}",
			"a NUL":                       "{" + required + "}\x00",
			"two objects":                 "{" + required + "}{" + required + "}",
			"no object":                   `"` + required,
			"nothing":                     "",
			"null":                        "null",
			"a NUL in an attribute":       "{" + required + `,"x":"a\u0000b"}`,
			"a prototype":                 "{" + required + `,"__proto__":{"x":"y"}}`,
			"an old version":              strings.Replace("{"+required+"}", "1.0", "0.2", 1),
		} {
			all[name] = struct {
				text string
				want []int
			}{whole(plain, asJSON, body), is(400)}
		}
		w.tryAll(t, all)

		header, body := harness.Batch(harness.Event("1"), harness.Event("2"))
		if r := harness.Post(t, w.BrokerURL("hub"), header, body); r.Status != 202 {
			t.Errorf("an honest batch is answered %d %s", r.Status, r.Body)
		}
		w.sent.Add(2)
	})
}
