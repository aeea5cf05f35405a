package deliver

import (
	"errors"
	"testing"

	"leat.dev/leat/pkg/cloudevent"
)

func TestClassify(t *testing.T) {
	for want, statuses := range map[Verdict][]int{
		Delivered: {200, 201, 202, 203, 204, 206, 299},
		Retryable: {404, 408, 409, 429, 500, 501, 502, 503, 504, 599, 600, 999},
		Rejected:  {100, 101, 103, 199, 300, 301, 302, 304, 307, 308, 399, 400, 401, 402, 403, 405, 410, 413, 415, 422, 428, 430, 499},
	} {
		for _, status := range statuses {
			if got := Classify(Outcome{Status: status}); got != want {
				t.Errorf("%d is %v, want %v", status, got, want)
			}
		}
	}
	for name, test := range map[string]struct {
		outcome Outcome
		want    Verdict
	}{
		"no answer":       {Outcome{Err: errors.New("connection refused")}, Retryable},
		"reply":           {Outcome{Status: 200, Reply: new(cloudevent.Event)}, Delivered},
		"reply is broken": {Outcome{Status: 200, ReplyErr: errors.New("no CloudEvent")}, Retryable},
	} {
		if got := Classify(test.outcome); got != test.want {
			t.Errorf("%s is %v, want %v", name, got, test.want)
		}
	}
}
