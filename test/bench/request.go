package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// Attributes of every event. The filters of the cases speak of them.
const (
	eventType   = "dev.leat.bench"
	eventSource = "/bench/sender"
)

// idDigits is the fixed width of an id, so that a request is made once for each
// connection and only the digits are written anew.
const idDigits = 9

// request is a whole HTTP request in memory, with places for ids.
type request struct {
	bytes []byte
	ids   []int // where the digits of each event's id begin
}

// newRequest is a POST of one event in binary mode, or of a batch if batch is
// above 1. size is the length of each event's data. An empty key is none.
func newRequest(host, path string, size, batch int, key string) *request {
	var body bytes.Buffer
	var ids []int
	data := randomJSON(size)
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\n", path, host)
	if batch <= 1 {
		head += "Ce-Specversion: 1.0\r\nCe-Type: " + eventType + "\r\nCe-Source: " + eventSource + "\r\n"
		if key != "" {
			head += "Ce-Partitionkey: " + key + "\r\n"
		}
		head += "Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(size) + "\r\nCe-Id: "
		return &request{
			bytes: append([]byte(head+"000000000\r\n\r\n"), data...),
			ids:   []int{len(head)},
		}
	}
	for i := range batch {
		body.WriteByte("[,"[min(i, 1)])
		body.WriteString(`{"specversion":"1.0","id":"`)
		ids = append(ids, body.Len())
		body.WriteString(`000000000","type":"` + eventType + `","source":"` + eventSource + `","datacontenttype":"application/json","data":`)
		body.Write(data)
		body.WriteByte('}')
	}
	body.WriteByte(']')
	head += "Content-Type: application/cloudevents-batch+json\r\nContent-Length: " + strconv.Itoa(body.Len()) + "\r\n\r\n"
	for i := range ids {
		ids[i] += len(head)
	}
	return &request{bytes: append([]byte(head), body.Bytes()...), ids: ids}
}

// number gives the events of the request the ids from first on.
func (r *request) number(first int) {
	for i, at := range r.ids {
		digits := r.bytes[at : at+idDigits]
		for n, d := first+i, idDigits-1; d >= 0; d-- {
			digits[d] = byte('0' + n%10)
			n /= 10
		}
	}
}

// randomJSON is a JSON string of exactly size bytes, at least 2, that does not
// compress to nothing: the same in every run.
func randomJSON(size int) []byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	r := rand.New(rand.NewPCG(1, uint64(size)))
	data := make([]byte, max(size, 2))
	for i := range data {
		data[i] = letters[r.IntN(len(letters))]
	}
	data[0], data[len(data)-1] = '"', '"'
	return data
}
