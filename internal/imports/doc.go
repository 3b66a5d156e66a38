// Package imports holds no code: its tests are the rules of who may import
// what, which library is at home where, and who can reach what destroys.
package imports
