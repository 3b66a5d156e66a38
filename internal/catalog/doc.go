// Package catalog keeps disks, Deletions, marks, and what was last seen of the
// clouds' resources and of the pools' images, in one SQLite file. It is the
// only importer of SQLite and goose.
//
// # What is true
//
// Disks, Deletions and sightings are kept whole, as JSON, in a column named
// record; that is what is read back. The other columns, and the table
// disk_terms, are derived from it in one place (columns.go, terms.go, for
// Deletions and sightings beside the statement), to be searched and sorted by.
// Times are microseconds since 1970 in UTC, and are cut to that when written;
// the zero time is the number that it has by that count.
//
// # Durability
//
// The file is in WAL mode with synchronous=FULL: a method that returned nil
// has its change on the disk. All changes go through one goroutine, which puts
// those that wait at the same time into one transaction, so that one flush of
// the disk serves many; savepoints keep one change's failure from the others.
// Reads have connections of their own, which cannot write, and see all that
// was committed before they began.
//
// # Other stores
//
// Package catalogtest says, as tests, what any store of disks and Deletions
// must do; this one passes them, and another must pass them too.
package catalog
