// Package lab is what the project's labs have in common: ports on the loopback
// interface and a directory of their own.
package lab
