package cloudevent

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/binding"
	sdkevent "github.com/cloudevents/sdk-go/v2/event"
	sdkhttp "github.com/cloudevents/sdk-go/v2/protocol/http"
)

// An event as senders send them: 1 KiB of JSON and the usual headers.
func benchBinary() (http.Header, []byte) {
	body, _ := json.Marshal(map[string]string{"data": strings.Repeat("x", 1013)})
	return binaryHeaders("ce-id", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "ce-source", "https://example.com/source/1", "ce-type", "com.example.order.created",
		"ce-time", "2018-04-05T17:31:00.123456Z", "ce-subject", "orders/1", "content-type", "application/json",
		"user-agent", "Go-http-client/1.1", "content-length", "1024", "accept-encoding", "gzip", "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), body
}

func benchStructured(b *testing.B) (http.Header, []byte) {
	e := mustReadBench(b)
	return headers("content-type", ContentTypeJSON, "content-length", "1300"), e.AppendJSON(nil)
}

func mustReadBench(b *testing.B) Event {
	h, body := benchBinary()
	return mustRead(b, h, string(body))
}

func BenchmarkReadBinary(b *testing.B) {
	h, body := benchBinary()
	b.Run("leat", func(b *testing.B) { benchRead(b, h, body) })
	b.Run("sdk", func(b *testing.B) { benchReadSDK(b, h, body) })
}

func BenchmarkReadStructured(b *testing.B) {
	h, body := benchStructured(b)
	b.Run("leat", func(b *testing.B) { benchRead(b, h, body) })
	b.Run("sdk", func(b *testing.B) { benchReadSDK(b, h, body) })
}

func benchRead(b *testing.B, h http.Header, body []byte) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := FromHTTP(h, body); err != nil {
			b.Fatal(err)
		}
	}
}

func benchReadSDK(b *testing.B, h http.Header, body []byte) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fromSDK(h, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriteBinary(b *testing.B) {
	e := mustReadBench(b)
	b.Run("leat", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.WriteBinary(make(http.Header, 16))
		}
	})
	b.Run("sdk", func(b *testing.B) {
		sdk, _ := e.SDK()
		b.ReportAllocs()
		for b.Loop() {
			r := &http.Request{Header: make(http.Header, 16)}
			if err := sdkhttp.WriteRequest(binding.WithForceBinary(context.Background()), (*binding.EventMessage)(sdk), r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkWriteStructured(b *testing.B) {
	e := mustReadBench(b)
	b.Run("leat", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf = e.AppendJSON(buf[:0])
		}
	})
	b.Run("sdk", func(b *testing.B) {
		sdk, _ := e.SDK()
		b.ReportAllocs()
		var buf bytes.Buffer
		for b.Loop() {
			buf.Reset()
			if err := json.NewEncoder(&buf).Encode(sdk); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// What a store would pay with the SDK: its only storable form is JSON.
func BenchmarkStore(b *testing.B) {
	e := mustReadBench(b)
	b.Run("leat", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.AppendStored(nil)
		}
	})
	b.Run("sdk", func(b *testing.B) {
		sdk, _ := e.SDK()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(sdk); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	e := mustReadBench(b)
	b.Run("leat", func(b *testing.B) {
		stored := e.AppendStored(nil)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Decode(stored); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sdk", func(b *testing.B) {
		sdk, _ := e.SDK()
		text, _ := json.Marshal(sdk)
		b.ReportAllocs()
		for b.Loop() {
			var back sdkevent.Event
			if err := json.Unmarshal(text, &back); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSet(b *testing.B) {
	e := mustReadBench(b)
	b.ReportAllocs()
	for b.Loop() {
		c := e
		c.Set("knativearrivaltime", "2018-04-05T17:31:00.123456Z")
		c.SetInt("knativebrokerttl", 255)
	}
}
