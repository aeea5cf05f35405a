package engine

import (
	"context"
	"time"
)

// SeqAt is the seq of the first record of a stream that was appended at t or
// later, Head+1 if there is none yet. It reads a few records. Where the wall
// clock was set back, times do not rise with the seqs and it may be one of the
// neighbouring places at which they pass t.
func SeqAt(ctx context.Context, s Stream, t time.Time) (Seq, error) {
	state, err := s.State(ctx)
	if err != nil {
		return 0, err
	}
	from, to := state.First, state.Head+1
	for from < to {
		middle := from + (to-from)/2
		records, err := s.Read(ctx, middle, 1)
		switch {
		case err != nil:
			return 0, err
		case len(records) == 0: // all was trimmed meanwhile
			return to, nil
		case records[0].Time.Before(t):
			from = records[0].Seq + 1
		default:
			to = middle
		}
	}
	return from, nil
}
