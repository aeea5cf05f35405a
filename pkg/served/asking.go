package served

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// pollWait is how long one request waits for news, firstWait how long the
	// one after a failure does.
	pollWait  = 10 * time.Second
	firstWait = 2 * time.Second
	// pollTime is how long one may take in all: a connection into nowhere is
	// noticed no sooner.
	pollTime = pollWait + 5*time.Second
	// dialTime bounds the way to a data plane that may have moved.
	dialTime = 3 * time.Second
	// maxSnapshot bounds an answer, in bytes. 5,000 routes take about half a MiB.
	maxSnapshot = 64 << 20
	// maxReason bounds the text of an answer that is an error, in bytes.
	maxReason = 200
)

// Times between two requests.
const (
	// shortest is the time after an answer: changes in a row are asked for
	// together.
	shortest     = 50 * time.Millisecond
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 2 * time.Second
)

// asking asks one data plane for news, over and over.
type asking struct {
	url     *url.URL
	client  *http.Client
	answers chan answer

	// What is known.
	instance string
	version  uint64
	// failed says that the last request did: the next one wants an answer soon,
	// be it that nothing is new.
	failed bool
}

// answer is what came of one request.
type answer struct {
	// snapshot is nil if nothing has changed.
	snapshot *Snapshot
	err      error
}

// newClient is a client that does not stay with a data plane that is gone.
func newClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTime}).DialContext,
		TLSHandshakeTimeout: dialTime,
		MaxIdleConns:        1,
		IdleConnTimeout:     pollTime,
	}}
}

// run asks until ctx ends.
func (a *asking) run(ctx context.Context) {
	backoff := firstBackoff
	for {
		snapshot, pause, err := a.ask(ctx)
		if ctx.Err() != nil {
			return
		}
		if a.failed = err != nil; a.failed {
			a.client.CloseIdleConnections()
			pause = backoff + rand.N(backoff/4)
			backoff = min(2*backoff, maxBackoff)
		} else {
			backoff = firstBackoff
		}
		if snapshot != nil {
			a.instance, a.version = snapshot.Instance, snapshot.Version
		}
		select {
		case a.answers <- answer{snapshot, err}:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

func (a *asking) query() url.Values {
	wait := pollWait
	if a.failed {
		wait = firstWait
	}
	return url.Values{
		"instance": {a.instance}, "version": {strconv.FormatUint(a.version, 10)}, "wait": {wait.String()},
	}
}

// ask makes one request. pause is how long to wait until the next one. The
// error does not name the URL.
func (a *asking) ask(ctx context.Context) (s *Snapshot, pause time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, pollTime)
	defer cancel()
	u := *a.url
	u.RawQuery = a.query().Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, 0, err
	}
	response, err := a.client.Do(request)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, 0, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		s, err = readSnapshot(response.Body, maxSnapshot)
		return s, shortest, err
	case http.StatusNoContent:
		if a.instance == "" {
			return nil, 0, errors.New("it says that nothing is new, but has not said anything yet")
		}
		if response.Header.Get("Retry-After") != "" {
			return nil, time.Second, nil
		}
		return nil, shortest, nil
	}
	return nil, 0, fmt.Errorf("status %d%s", response.StatusCode, reason(response.Body))
}

// readSnapshot reads an answer of at most limit bytes.
func readSnapshot(body io.Reader, limit int64) (*Snapshot, error) {
	text, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("its answer cannot be read: %w", err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("its answer is longer than the allowed %d bytes", limit)
	}
	s := &Snapshot{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("its answer is not a snapshot: %w", err)
	}
	if s.Instance == "" {
		return nil, errors.New("its answer is not a snapshot: it names no instance")
	}
	return s, nil
}

// reason is the beginning of an error's text as it may stand in a sentence.
func reason(body io.Reader) string {
	text, err := io.ReadAll(io.LimitReader(body, maxReason))
	if err != nil || len(text) == 0 {
		return ""
	}
	printable := strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(string(text), ""))
	return ": " + strings.Join(strings.Fields(printable), " ")
}
