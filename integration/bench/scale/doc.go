// Scale measures the service with millions of disks: a catalog and the trash of
// a real pool are filled with a made-up history, a daemon is started over them as
// an operator runs it, and its answers are timed.
//
// The images themselves are missing: the trash is the omap of one object, and
// that is all that lists, plans and the reconciler look at. Nothing is expired or
// purged.
package main
