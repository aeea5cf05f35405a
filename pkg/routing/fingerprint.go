package routing

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Fingerprint is equal for two routes exactly if they are served in the same
// way: it covers every field but a destination's Local, which is about the way
// and not about the aim. It is stable from one version of Leat to the next, so
// that a controller and a data plane of neighbouring versions agree.
func (r *Route) Fingerprint() string {
	text, err := json.Marshal(r)
	if err != nil {
		panic("BUG: a route is plain values: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12])
}
