//go:build !linux && !darwin

package server

// connsOf is limit where file descriptors are not counted.
func connsOf(limit int) int { return limit }
