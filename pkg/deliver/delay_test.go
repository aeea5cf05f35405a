package deliver

import (
	"math"
	"testing"
	"time"

	"leat.dev/leat/pkg/routing"
)

func TestDelay(t *testing.T) {
	const ms, s, h = time.Millisecond, time.Second, time.Hour
	policy := func(b routing.Backoff, delay time.Duration) routing.Delivery {
		return routing.Delivery{Backoff: b, BackoffDelay: delay}
	}
	linear := policy(routing.BackoffLinear, 2*s)
	exponential := policy(routing.BackoffExponential, 200*ms)
	capped := func(limit time.Duration) routing.Delivery {
		d := exponential
		d.RetryAfterMax = &limit
		return d
	}
	failed := Outcome{Status: 500}
	asks := func(status int, after time.Duration) Outcome { return Outcome{Status: status, RetryAfter: after} }

	for name, test := range map[string]struct {
		policy  routing.Delivery
		attempt int
		outcome Outcome
		rnd     float64
		want    time.Duration
	}{
		"linear, first retry at once":        {linear, 0, failed, 0, 0},
		"linear, second":                     {linear, 1, failed, 0, 2 * s},
		"linear, tenth":                      {linear, 9, failed, 0, 18 * s},
		"linear, capped":                     {linear, 5000, failed, 0, h},
		"linear, far":                        {linear, math.MaxInt, failed, 0, h},
		"exponential, first":                 {exponential, 0, failed, 0, 200 * ms},
		"exponential, second":                {exponential, 1, failed, 0, 400 * ms},
		"exponential, tenth":                 {exponential, 9, failed, 0, 102400 * ms},
		"exponential, last below the cap":    {exponential, 14, failed, 0, 200 * ms << 14},
		"exponential, capped":                {exponential, 15, failed, 0, h},
		"exponential, shift of 62":           {exponential, 62, failed, 0, h},
		"exponential, shift of 64":           {exponential, 64, failed, 0, h},
		"exponential, far":                   {exponential, math.MaxInt, failed, 0, h},
		"negative attempt":                   {exponential, -1, failed, 0, 200 * ms},
		"a long unit is its own cap":         {policy(routing.BackoffLinear, 3*h), 2, failed, 0, 3 * h},
		"a long unit, exponential":           {policy(routing.BackoffExponential, 3*h), 0, failed, 0, 3 * h},
		"the longest unit":                   {policy(routing.BackoffExponential, math.MaxInt64), 3, failed, 0.99, maxDelay + time.Duration(float64(maxDelay/10)*0.99)},
		"no policy":                          {routing.Delivery{}, 1, failed, 0, 400 * ms},
		"no delay":                           {policy(routing.BackoffLinear, 0), 3, failed, 0, 600 * ms},
		"jitter adds at most a tenth":        {exponential, 0, failed, 0.5, 210 * ms},
		"no answer":                          {exponential, 1, Outcome{}, 0, 400 * ms},
		"Retry-After of 429":                 {exponential, 0, asks(429, 5*s), 0, 5 * s},
		"Retry-After of 503":                 {exponential, 0, asks(503, 5*s), 0, 5 * s},
		"Retry-After of 500 is ignored":      {exponential, 0, asks(500, 5*s), 0, 200 * ms},
		"Retry-After shorter than policy":    {exponential, 5, asks(429, 1*s), 0, 6400 * ms},
		"Retry-After capped by default":      {exponential, 0, asks(429, 9*h), 0, h},
		"Retry-After capped":                 {capped(3 * s), 0, asks(429, 9*h), 0, 3 * s},
		"Retry-After, cap above the default": {capped(24 * h), 0, asks(429, 9*h), 0, 9 * h},
		"Retry-After ignored":                {capped(0), 0, asks(429, 5*s), 0, 200 * ms},
		"Retry-After with jitter":            {exponential, 0, asks(429, 5*s), 0.5, 5250 * ms},
	} {
		if got := Delay(test.policy, test.attempt, test.outcome, test.rnd); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

// Whatever the numbers are, a delay is neither negative nor absurd, and not
// below the policy's.
func FuzzDelay(f *testing.F) {
	f.Add(true, int64(time.Second), 3, int64(time.Minute), int64(time.Hour), 0.3)
	f.Add(false, int64(math.MaxInt64), math.MaxInt, int64(math.MaxInt64), int64(math.MaxInt64), 0.999)
	f.Add(false, int64(math.MinInt64), math.MinInt, int64(math.MinInt64), int64(math.MinInt64), 0.0)
	f.Fuzz(func(t *testing.T, linear bool, unit int64, attempt int, after, limit int64, rnd float64) {
		if !(rnd >= 0 && rnd < 1) {
			return
		}
		max := time.Duration(limit)
		d := routing.Delivery{BackoffDelay: time.Duration(unit), RetryAfterMax: &max}
		if linear {
			d.Backoff = routing.BackoffLinear
		}
		o := Outcome{Status: 429, RetryAfter: time.Duration(after)}
		got := Delay(d, attempt, o, rnd)
		if got < min(backoff(d, attempt), maxDelay) || got > maxDelay+maxDelay/10 {
			t.Errorf("Delay = %v", got)
		}
	})
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"":                               0,
		"120":                            2 * time.Minute,
		" 7 ":                            7 * time.Second,
		"0":                              0,
		"-5":                             0,
		"+5":                             0,
		"1.5":                            0,
		"soon":                           0,
		"99999999999":                    maxDelay,
		"99999999999999999999999":        maxDelay,
		"Sun, 01 Mar 2026 12:00:30 GMT":  30 * time.Second,
		"Sunday, 01-Mar-26 12:01:00 GMT": time.Minute,
		"Sun Mar  1 12:02:00 2026":       2 * time.Minute,
		"Sun, 01 Mar 2026 11:00:00 GMT":  0,
		"Fri, 31 Dec 9999 23:59:59 GMT":  maxDelay,
	} {
		if got := parseRetryAfter(header, now); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}
