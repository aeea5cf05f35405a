package ingress

import (
	"errors"
	"net/http"

	"leat.dev/leat/pkg/cloudevent"
	"leat.dev/leat/pkg/engine"
)

// Errors of a request, besides those of the gate and of package cloudevent.
var (
	errMethod     = errors.New("only POST is allowed here")
	errPath       = errors.New("the path must be /{namespace}/{broker} or /channels/{namespace}/{channel}, or / with the host of a channel")
	errTooLarge   = errors.New("the body is too large")
	errMalformed  = errors.New("the body is not framed as its headers say")
	errSlow       = errors.New("the request took too long to come in")
	errUnreadable = errors.New("the body could not be read to its end")
	errBusy       = errors.New("too much is under way at present")
)

// answers says which status an error gets, and after how many seconds the
// sender should try again. Nothing was stored in any of these cases.
var answers = []struct {
	err        error
	status     int
	retryAfter string
}{
	{errMethod, http.StatusMethodNotAllowed, ""},
	{errPath, http.StatusBadRequest, ""},
	{errTooLarge, http.StatusRequestEntityTooLarge, ""},
	{errMalformed, http.StatusBadRequest, ""},
	{errSlow, http.StatusRequestTimeout, ""},
	{errBusy, http.StatusServiceUnavailable, "1"},
	{errUnreadable, http.StatusInternalServerError, ""},
	{ErrNoStream, http.StatusNotFound, ""},
	{ErrHops, http.StatusBadRequest, ""},
	{engine.ErrFull, http.StatusInsufficientStorage, "10"},
	{engine.ErrClosed, http.StatusServiceUnavailable, "1"},
}

// answerTo returns the status, the sentence for the sender, and when to try
// again. What is not in the table is the engine's trouble: 500 and a sentence
// that tells nothing of it.
func answerTo(err error) (status int, text, retryAfter string) {
	if err == nil {
		return http.StatusAccepted, "", ""
	}
	var invalid *cloudevent.InvalidError
	if errors.As(err, &invalid) {
		return http.StatusBadRequest, invalid.Reason, ""
	}
	for _, a := range answers {
		if errors.Is(err, a.err) {
			return a.status, a.err.Error(), a.retryAfter
		}
	}
	return http.StatusInternalServerError, "the event could not be stored", ""
}

// Status returns the HTTP status that a request gets when Admit returns err.
func Status(err error) int {
	status, _, _ := answerTo(err)
	return status
}

// answer answers for err and returns the status.
func answer(w http.ResponseWriter, err error) int {
	status, text, retryAfter := answerTo(err)
	if status == http.StatusAccepted {
		w.WriteHeader(status)
		return status
	}
	if status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allowed)
	}
	if retryAfter != "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	http.Error(w, text, status)
	return status
}
