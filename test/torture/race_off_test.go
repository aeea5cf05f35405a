//go:build !race

package torture

const (
	// memoryFactor is how much more memory the race detector may take.
	memoryFactor = 1
	// workFactor is by how much less is done with it.
	workFactor = 1
)
