package deliver

// Verdict is what an outcome means for the event.
type Verdict int

// The verdicts.
const (
	// Delivered: the destination has taken responsibility for the event.
	Delivered Verdict = iota
	// Retryable: the attempt failed, another one may succeed.
	Retryable
	// Rejected: the attempt failed and another one would, too.
	Rejected
)

// String returns the verdict as a word for logs and metrics.
func (v Verdict) String() string {
	switch v {
	case Delivered:
		return "delivered"
	case Retryable:
		return "retryable"
	case Rejected:
		return "rejected"
	}
	return "unknown"
}

// verdicts is the table of the data-plane spec, Event Acknowledgement and
// Delivery Retry. The first line that fits decides. "A response code not in
// this table SHOULD be treated as a retriable error".
var verdicts = []struct {
	from, to int
	verdict  Verdict
	meaning  string // the spec's, for the reader
}{
	{200, 299, Delivered, "200 accepted, event in reply; 202 accepted; other 2xx (unspecified)"},
	{404, 404, Retryable, "endpoint does not exist"},
	{408, 408, Retryable, "request timeout: upstream retries it, the spec has it in other 4xx"},
	{409, 409, Retryable, "conflict, processing in progress"},
	{429, 429, Retryable, "too many requests, overloaded"},
	{400, 499, Rejected, "400 unparsable event; other 4xx error"},
	{500, 599, Retryable, "error"},
	{100, 199, Rejected, "(unspecified), an error without retry"},
	{300, 399, Rejected, "(unspecified), an error without retry: no redirects"},
}

// Classify returns the verdict on an outcome. No response is retryable, and so
// is a reply that could not be read or is no event: the subscriber's answer
// must not be lost (see mayReply for upstream's ways).
func Classify(o Outcome) Verdict {
	if o.Err != nil || o.ReplyErr != nil {
		return Retryable
	}
	for i := range verdicts {
		if line := &verdicts[i]; line.from <= o.Status && o.Status <= line.to {
			return line.verdict
		}
	}
	return Retryable
}
