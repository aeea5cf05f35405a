package hostile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// stream2 is what became of a stream: the status of its answer, or the code by
// which it was reset.
type stream2 struct {
	status int
	reset  http2.ErrCode
	ended  bool
}

// client2 is a client of HTTP/2 that does what it is told and not what it
// should.
type client2 struct {
	w     *world
	conn  net.Conn
	frame *http2.Framer
	enc   *hpack.Encoder
	block bytes.Buffer
	next  uint32
	// streams are what the binary has answered, and goAway the code by which it
	// has ended the connection; they are read after read.
	streams map[uint32]stream2
	goAway  http2.ErrCode
	cut     bool
}

// dial2 opens a connection for HTTP/2.
func (w *world) dial2(settings ...http2.Setting) *client2 {
	w.t.Helper()
	c := &client2{w: w, conn: w.dial(), next: 1, streams: map[uint32]stream2{}, goAway: noGoAway}
	c.frame = http2.NewFramer(c.conn, c.conn)
	c.frame.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.frame.AllowIllegalWrites = true
	c.enc = hpack.NewEncoder(&c.block)
	if _, err := io.WriteString(c.conn, http2.ClientPreface); err != nil {
		w.t.Fatal(err)
	}
	if err := c.frame.WriteSettings(settings...); err != nil {
		w.t.Fatal(err)
	}
	return c
}

const noGoAway = http2.ErrCode(0xffffffff)

// fields are a request's, with those of an event.
func fields(more ...string) []string {
	return append([]string{
		":method", "POST", ":scheme", "http", ":authority", "x", ":path", "/test/hub",
		"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "t",
	}, more...)
}

func (c *client2) encode(fields []string) []byte {
	c.block.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		_ = c.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}) // to memory
	}
	return bytes.Clone(c.block.Bytes())
}

// open sends the header of a request, in as many frames as it takes.
func (c *client2) open(end bool, fields []string) (id uint32, err error) {
	id = c.next
	c.next += 2
	block := c.encode(fields)
	first := block[:min(len(block), 16<<10)]
	block = block[len(first):]
	err = c.frame.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: end, EndHeaders: len(block) == 0})
	for err == nil && len(block) > 0 {
		part := block[:min(len(block), 16<<10)]
		block = block[len(part):]
		err = c.frame.WriteContinuation(id, len(block) == 0, part)
	}
	return id, err
}

// read reads frames until enough says so or the connection ends; a connection
// that does neither in time fails the test.
func (c *client2) read(enough func() bool) {
	_ = c.conn.SetReadDeadline(time.Now().Add(bound)) // the next read shows an error of it
	for !enough() {
		f, err := c.frame.ReadFrame()
		if err != nil {
			if errors.Is(err, errTimeout) || isTimeout(err) {
				c.w.t.Errorf("after %v the binary has neither answered all nor ended the connection: %v", bound, c.streams)
			}
			c.cut = true
			return
		}
		s := c.streams[f.Header().StreamID]
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			s.status, _ = strconv.Atoi(f.PseudoValue("status"))
			s.ended = f.StreamEnded()
		case *http2.DataFrame:
			s.ended = f.StreamEnded()
		case *http2.RSTStreamFrame:
			s.reset, s.ended = f.ErrCode, true
		case *http2.GoAwayFrame:
			c.goAway = f.ErrCode
		}
		c.streams[f.Header().StreamID] = s
	}
}

var errTimeout = errors.New("timeout")

func isTimeout(err error) bool {
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

// answered reads until the stream has ended.
func (c *client2) answered(id uint32) stream2 {
	c.read(func() bool { return c.streams[id].ended })
	return c.streams[id]
}

// One request each, on a connection each.
func TestRequestsOfHTTP2(t *testing.T) {
	underAttack(t, nil, func(w *world) {
		for name, r := range map[string]struct {
			fields []string
			data   []string // DATA frames, the last of which ends the stream
			want   int      // 0 is a reset or the end of the connection
		}{
			"an honest one":                  {fields(), []string{"x"}, 202},
			"an honest length":               {fields("content-length", "4"), []string{"ha", "lf"}, 202},
			"a length that is too short":     {fields("content-length", "2"), []string{"ha", "lf"}, 0},
			"a length that is too long":      {fields("content-length", "9"), []string{"ha", "lf"}, 0},
			"a length of nothing, with data": {fields("content-length", "0"), []string{"half"}, 0},
			"a length that is no number":     {fields("content-length", "x"), []string{"half"}, 0},
			"a length, and no data":          {fields("content-length", "4"), nil, 400},
			"two lengths":                    {fields("content-length", "4", "content-length", "5"), []string{"half"}, 0},
			"too long a body":                {fields("content-length", "99999999"), []string{"x"}, 413},
			"transfer-encoding":              {fields("transfer-encoding", "chunked"), []string{"0\r\n\r\n"}, 0},
			"connection":                     {fields("connection", "close"), []string{"x"}, 0},
			"upper case":                     {fields("CE-X", "a"), []string{"x"}, 0},
			"a header with a line end":       {fields("ce-x", "a\r\nce-y: b"), []string{"x"}, 0},
			"a header with a NUL":            {fields("ce-x", "a\x00b"), []string{"x"}, 0},
			"a pseudo header behind":         {append(fields(), ":path", "/test/other"), []string{"x"}, 0},
			"an unknown pseudo header":       {append([]string{":x", "y"}, fields()...), []string{"x"}, 0},
			"no path":                        {[]string{":method", "POST", ":scheme", "http", ":authority", "x"}, []string{"x"}, 0},
			"a path that is none":            {[]string{":method", "POST", ":scheme", "http", ":authority", "x", ":path", "x"}, []string{"x"}, 0},
			"a path with a line end":         {[]string{":method", "POST", ":scheme", "http", ":authority", "x", ":path", "/test/hub HTTP/1.1\r\nx: y"}, []string{"x"}, 0},
			"CONNECT":                        {[]string{":method", "CONNECT", ":authority", "127.0.0.1:22"}, []string{"x"}, 405},
			"a header of 300 KiB":            {fields("ce-x", strings.Repeat("a", 300<<10)), nil, 0},
			"no event":                       {[]string{":method", "POST", ":scheme", "http", ":authority", "x", ":path", "/test/hub"}, []string{"x"}, 400},
		} {
			c := w.dial2()
			id, err := c.open(len(r.data) == 0, r.fields)
			for i, data := range r.data {
				if err == nil {
					err = c.frame.WriteData(id, i == len(r.data)-1, []byte(data))
				}
			}
			got := c.answered(id)
			refused := got.reset != 0 || c.cut || c.goAway != noGoAway || got.status >= 400
			if r.want == 0 && !refused || r.want != 0 && got.status != r.want {
				t.Errorf("%s: answered %+v (%v), GOAWAY %v, want %d", name, got, err, c.goAway, r.want)
			}
			if got.status == 202 {
				w.sent.Add(1)
			}
			_ = c.conn.Close()
		}
	})
}

// Floods end with the connection, within a bound and without a heap that grows.
func TestFloodsOfHTTP2(t *testing.T) {
	for name, flood := range map[string]func(c *client2) error{
		"settings": func(c *client2) error {
			return c.frame.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
		},
		"pings": func(c *client2) error { return c.frame.WritePing(false, [8]byte{}) },
		"rapid reset": func(c *client2) error {
			id, err := c.open(false, fields())
			if err == nil {
				err = c.frame.WriteRSTStream(id, http2.ErrCodeCancel)
			}
			return err
		},
		"empty data": func(c *client2) error {
			if c.next == 1 {
				_, err := c.open(false, fields())
				return err
			}
			return c.frame.WriteData(1, false, nil)
		},
		"continuation": func(c *client2) error {
			if c.next == 1 {
				c.next = 3
				return c.frame.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.encode(fields())})
			}
			return c.frame.WriteContinuation(1, false, c.encode([]string{"ce-x" + strconv.Itoa(int(c.next)), "a"}))
		},
		"empty continuation": func(c *client2) error {
			if c.next == 1 {
				c.next = 3
				return c.frame.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: c.encode(fields())})
			}
			return c.frame.WriteContinuation(1, false, nil)
		},
		"priorities": func(c *client2) error { return c.frame.WritePriority(1001, http2.PriorityParam{StreamDep: 1}) },
		"windows":    func(c *client2) error { return c.frame.WriteWindowUpdate(0, 1<<30) },
		"streams":    func(c *client2) error { _, err := c.open(false, fields()); return err },
		"unknown":    func(c *client2) error { return c.frame.WriteRawFrame(0xee, 0, 0, make([]byte, 16<<10)) },
	} {
		t.Run(name, func(t *testing.T) {
			underAttack(t, nil, func(w *world) {
				c := w.dial2()
				sent, start := 0, time.Now()
				for ; sent < 200_000 && time.Since(start) < 3*time.Second; sent++ {
					_ = c.conn.SetWriteDeadline(time.Now().Add(time.Second)) // the next write shows an error of it
					if err := flood(c); err != nil {
						break
					}
				}
				w.most(fmt.Sprintf("%d frames", sent), 300)
				_ = c.conn.Close()
			})
		})
	}
}

// As many streams as there may be, on many connections, each with a body that
// never ends, or an answer that the client does not let out.
func TestManyStreams(t *testing.T) {
	for name, open := range map[string]func(c *client2) error{
		"bodies without end": func(c *client2) error {
			id, err := c.open(false, fields("content-length", "1000000"))
			if err == nil {
				err = c.frame.WriteData(id, false, make([]byte, 500))
			}
			return err
		},
		"large headers": func(c *client2) error {
			_, err := c.open(false, fields("ce-x", strings.Repeat("a", 100<<10)))
			return err
		},
		"answers that are not taken": func(c *client2) error {
			_, err := c.open(true, []string{":method", "POST", ":scheme", "http", ":authority", "x", ":path", "/test/hub"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			underAttack(t, nil, func(w *world) {
				var clients []*client2
				for range 20 {
					c := w.dial2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
					clients = append(clients, c)
					_ = c.conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond)) // the next write shows an error of it
					for range 900 {
						if err := open(c); err != nil {
							break
						}
					}
				}
				w.most("18,000 streams", 400)
				for _, c := range clients {
					_ = c.conn.Close()
				}
			})
		})
	}
}
