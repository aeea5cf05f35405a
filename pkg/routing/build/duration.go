package build

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Years and months are those of the Gregorian calendar on average, as in the
// library that upstream uses.
const (
	day   = 24 * time.Hour
	year  = 365.2425 * float64(day)
	month = year / 12
)

const number = `(?:(\d+(?:[.,]\d*)?|[.,]\d+)`

// isoPattern is an ISO-8601 duration with a fraction allowed in every field.
var isoPattern = regexp.MustCompile(`^([+-]?)P` + number + `Y)?` + number + `M)?` + number + `W)?` + number + `D)?` +
	`(?:T` + number + `H)?` + number + `M)?` + number + `S)?)?$`)

// isoUnits are the lengths of isoPattern's fields, in its order.
var isoUnits = []float64{year, month, 7 * float64(day), float64(day), float64(time.Hour), float64(time.Minute), float64(time.Second)}

// maxDurationText is more than any sensible duration needs.
const maxDurationText = 64

var errNotISO = errors.New("it is no ISO-8601 duration such as PT0.2S")

// parseISO reads an ISO-8601 duration that is not negative. It is written by
// hand because github.com/rickb777/date/period, which upstream uses, drops what
// is below a tenth of a second (PT0.05S becomes zero), overflows silently and
// panics on a lone sign.
func parseISO(s string) (time.Duration, error) {
	if len(s) > maxDurationText {
		return 0, errNotISO
	}
	if s == "P0" {
		return 0, nil
	}
	groups := isoPattern.FindStringSubmatch(s)
	if groups == nil {
		return 0, errNotISO
	}
	total, fields := 0.0, 0
	for i, text := range groups[2:] {
		if text == "" {
			continue
		}
		n, err := strconv.ParseFloat(strings.Replace(text, ",", ".", 1), 64)
		if err != nil {
			return 0, errNotISO
		}
		total += n * isoUnits[i]
		fields++
	}
	switch {
	case fields == 0:
		return 0, errNotISO
	case groups[1] == "-" && total > 0:
		return 0, errors.New("it is negative")
	case total >= math.MaxInt64:
		return math.MaxInt64, nil
	}
	return time.Duration(math.Round(total)), nil
}

// ParseDuration reads a duration as annotations and settings have it: a Go
// duration (48h) or an ISO-8601 one (P2D) that is not negative.
func ParseDuration(s string) (time.Duration, error) { return parseDuration(s) }

// parseDuration reads a Go duration (48h) or an ISO-8601 one (P2D).
func parseDuration(s string) (time.Duration, error) {
	if len(s) > maxDurationText {
		return 0, errors.New("it is no duration")
	}
	if d, err := time.ParseDuration(s); err == nil {
		if d < 0 {
			return 0, errors.New("it is negative")
		}
		return d, nil
	}
	d, err := parseISO(s)
	if errors.Is(err, errNotISO) {
		return 0, fmt.Errorf("it is neither a Go duration such as 48h nor an ISO-8601 one such as P2D")
	}
	return d, err
}
