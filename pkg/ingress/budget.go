package ingress

import "sync/atomic"

// A Budget bounds the memory of all requests under way together: what of their
// headers and bodies is beyond what each may have for itself. It is one number,
// which small requests never touch. It may be used by many goroutines at once.
type Budget struct{ left atomic.Int64 }

// minBudget is the least that a Budget has: 64 MiB.
const minBudget = 64 << 20

// NewBudget returns the Budget of a data plane whose bodies have at most
// maxBody bytes (0 means DefaultMaxBodyBytes): 64 MiB, or room for four of the
// largest bodies.
func NewBudget(maxBody int64) *Budget {
	if maxBody <= 0 {
		maxBody = DefaultMaxBodyBytes
	}
	b := &Budget{}
	b.left.Store(max(minBudget, 4*maxBody))
	return b
}

// take takes n bytes, all or none.
func (b *Budget) take(n int64) bool {
	if b.left.Add(-n) >= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

// give gives back what was taken.
func (b *Budget) give(n int64) {
	if n > 0 {
		b.left.Add(n)
	}
}
