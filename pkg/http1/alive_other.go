//go:build !unix

package http1

// alive cannot look at the connection here, so that no request goes over one that
// was idle: its peer may have closed it, or sent what would pass for a response.
func (c *conn) alive() bool { return false }
