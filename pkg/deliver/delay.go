package deliver

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"leat.dev/leat/pkg/routing"
)

// The numbers of Delay.
const (
	// DefaultBackoffDelay is the unit where a policy names none. It is the one
	// of Knative's default Broker configuration, whose policy, exponential, is
	// the default as well.
	DefaultBackoffDelay = 200 * time.Millisecond
	// MaxBackoff caps the growth of a policy. A BackoffDelay that is longer
	// caps it at itself.
	MaxBackoff = time.Hour
	// DefaultRetryAfterMax caps a Retry-After where the policy names no cap.
	DefaultRetryAfterMax = time.Hour
	// maxDelay caps everything, so that no sum of times overflows.
	maxDelay = 365 * 24 * time.Hour
)

// Delay returns how long to wait after attempt, which counts from 0, before the
// next one. rnd is from [0, 1).
//
// The policy's delay is BackoffDelay*attempt (linear: the first retry comes at
// once) or BackoffDelay*2^attempt (exponential), with attempt counted as
// upstream does, capped as MaxBackoff says. A 429 or 503 with a Retry-After
// that is longer waits for that, as far as RetryAfterMax lets it; zero ignores
// the header. Up to a tenth is added at random, nothing is ever taken off, so
// that events which failed together do not come back together.
func Delay(d routing.Delivery, attempt int, o Outcome, rnd float64) time.Duration {
	delay := max(backoff(d, attempt), retryAfter(d, o))
	delay = min(delay, maxDelay)
	return delay + time.Duration(float64(delay/10)*rnd)
}

func backoff(d routing.Delivery, attempt int) time.Duration {
	unit, attempt := d.BackoffDelay, max(attempt, 0)
	if unit <= 0 {
		unit = DefaultBackoffDelay
	}
	limit := max(MaxBackoff, unit)
	if d.Backoff == routing.BackoffLinear {
		if time.Duration(attempt) > limit/unit {
			return limit
		}
		return unit * time.Duration(attempt)
	}
	if unit > limit>>min(attempt, 63) {
		return limit
	}
	return unit << attempt
}

func retryAfter(d routing.Delivery, o Outcome) time.Duration {
	if o.Status != http.StatusTooManyRequests && o.Status != http.StatusServiceUnavailable {
		return 0
	}
	limit := DefaultRetryAfterMax
	if d.RetryAfterMax != nil {
		limit = *d.RetryAfterMax
	}
	return min(o.RetryAfter, limit)
}

// parseRetryAfter reads the header's seconds or HTTP-date (RFC 9110, section
// 10.2.3). What is neither, or in the past, is zero.
func parseRetryAfter(s string, now time.Time) time.Duration {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0
	}
	if strings.Trim(s, "0123456789") == "" {
		seconds, err := strconv.ParseUint(s, 10, 64)
		if err != nil || seconds > uint64(maxDelay/time.Second) {
			return maxDelay
		}
		return time.Duration(seconds) * time.Second
	}
	date, err := http.ParseTime(s)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), maxDelay)
}
