package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// maxHead bounds the head of a message; those of the servers under measurement
// are far shorter.
const maxHead = 16 << 10

var headEnd = []byte("\r\n\r\n")

// cutHead returns the head of a message without its last empty line, and how
// many bytes it takes. 0 means that it is not all there yet.
func cutHead(data []byte) (head []byte, length int, err error) {
	end := bytes.Index(data, headEnd)
	switch {
	case end >= 0:
		return data[:end+2], end + len(headEnd), nil
	case len(data) > maxHead:
		return nil, 0, fmt.Errorf("a head of more than %d bytes", maxHead)
	default:
		return nil, 0, nil
	}
}

// parseResponse returns the status of the response at the beginning of data, and
// how many bytes the response takes. 0 means that it is not all there yet.
func parseResponse(data []byte) (status, length int, err error) {
	head, length, err := cutHead(data)
	if length == 0 || err != nil {
		return 0, 0, err
	}
	line, rest := cutLine(head)
	if len(line) < len("HTTP/1.1 202") || string(line[:7]) != "HTTP/1." {
		return 0, 0, fmt.Errorf("not the status line of a response: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, 0, fmt.Errorf("not the status line of a response: %q", line)
	}
	body := 0
	for len(rest) > 0 {
		line, rest = cutLine(rest)
		if n, found, err := contentLength(line); err != nil {
			return 0, 0, err
		} else if found {
			body = n
		}
	}
	if length += body; length > len(data) {
		return 0, 0, nil
	}
	return status, length, nil
}

// requestHead is what a subscriber must know of a request.
type requestHead struct {
	path []byte // part of the head
	id   int    // of the event, -1 if there is none
	body int    // bytes
}

// parseRequest reads the head of a request, see cutHead.
func parseRequest(head []byte) (requestHead, error) {
	line, rest := cutLine(head)
	_, target, found := bytes.Cut(line, []byte(" "))
	path, _, found2 := bytes.Cut(target, []byte(" "))
	if !found || !found2 {
		return requestHead{}, fmt.Errorf("not a request line: %q", line)
	}
	r := requestHead{path: path, id: -1}
	for len(rest) > 0 {
		line, rest = cutLine(rest)
		n, found, err := contentLength(line)
		if err != nil {
			return requestHead{}, err
		}
		if found {
			r.body = n
		} else if v, found := field(line, "ce-id"); found {
			if r.id, err = number(v); err != nil {
				return requestHead{}, fmt.Errorf("the id of an event: %w", err)
			}
		}
	}
	return r, nil
}

// cutLine cuts the first line off a head.
func cutLine(head []byte) (line, rest []byte) {
	end := bytes.IndexByte(head, '\n')
	return bytes.TrimSuffix(head[:end], []byte("\r")), head[end+1:]
}

// contentLength says whether a line is that field, and its value. A message that
// is framed in another way is an error.
func contentLength(line []byte) (n int, found bool, err error) {
	if _, chunked := field(line, "transfer-encoding"); chunked {
		return 0, false, errors.New("a chunked body: the harness reads only bodies with a Content-Length")
	}
	v, found := field(line, "content-length")
	if !found {
		return 0, false, nil
	}
	n, err = number(v)
	return n, true, err
}

// field returns the value of a line if it is the field of that name, in lower
// case.
func field(line []byte, name string) ([]byte, bool) {
	if len(line) <= len(name) || line[len(name)] != ':' || line[0]|0x20 != name[0] || !strings.EqualFold(string(line[:len(name)]), name) {
		return nil, false
	}
	return bytes.TrimSpace(line[len(name)+1:]), true
}

// number reads digits, at most nine of them.
func number(digits []byte) (n int, err error) {
	if len(digits) == 0 || len(digits) > idDigits {
		return 0, fmt.Errorf("%q is no number of up to %d digits", digits, idDigits)
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, fmt.Errorf("%q is no number", digits)
		}
		n = 10*n + int(d-'0')
	}
	return n, nil
}
