package harness

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// The SDK neither writes nor reads the percent-encoding that the CloudEvents
// HTTP binding wants in the headers of binary mode (section 3.1.3.2), so it is
// done here.

// mapAttributes changes the values of all ce- headers.
func mapAttributes(h http.Header, change func(string) string) {
	for name, values := range h {
		if strings.HasPrefix(name, "Ce-") {
			for i := range values {
				values[i] = change(values[i])
			}
		}
	}
}

// encodeHeader encodes what must be: all but printable ASCII, and space, the
// quotation mark and the percent sign.
func encodeHeader(value string) string {
	var b strings.Builder
	for _, c := range []byte(value) {
		if c <= ' ' || c > '~' || c == '"' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// decodeHeader leaves a value as it is that cannot be decoded.
func decodeHeader(value string) string {
	if decoded, err := url.PathUnescape(value); err == nil {
		return decoded
	}
	return value
}
