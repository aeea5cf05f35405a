//go:build !unix

package http1

// alive cannot look at the connection here: one that its peer has closed costs an
// attempt.
func (c *conn) alive() bool { return true }
