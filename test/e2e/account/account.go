// Package account is what the probe of the end-to-end tests and the tests tell
// each other.
package account

// Send is what to send.
type Send struct {
	// URL takes binary events.
	URL string `json:"url"`
	// Type of the events.
	Type string `json:"type"`
	// Count is how many; their IDs are NAME-0 to NAME-(Count-1).
	Count int `json:"count"`
	// PerSecond is how many new ones; those that wait for their acknowledgment
	// do not slow it down, as long as they are not too many.
	PerSecond float64 `json:"perSecond"`
}

// Sent is what has become of it.
type Sent struct {
	// Acknowledged are the IDs that were answered with 2xx.
	Acknowledged []string `json:"acknowledged"`
	// Answers counts the attempts by status code, or "no answer".
	Answers map[string]int `json:"answers"`
	// LastTrouble is the last attempt without an acknowledgment.
	LastTrouble string `json:"lastTrouble"`
	// LongestSilence is the longest time without an acknowledgment between two
	// of them, in seconds.
	LongestSilence float64 `json:"longestSilence"`
	// Done is set once nothing is being sent any more.
	Done bool `json:"done"`
}

// Taken is what came to a route, by the event's ID.
type Taken struct {
	Events map[string]Event `json:"events"`
}

// Event is what is known of an event that came, from its last delivery.
type Event struct {
	// Times it was delivered.
	Times      int               `json:"times"`
	Type       string            `json:"type"`
	Extensions map[string]string `json:"extensions,omitempty"`
}
