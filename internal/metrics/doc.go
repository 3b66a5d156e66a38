// Package metrics counts what happens and shows it to Prometheus. It is the
// only importer of client_golang. It has a registry of its own, so that two of
// them can live in one process.
//
// What the catalog knows (how many disks, how old the oldest pending one is)
// is read at each scrape. A scrape that cannot read it leaves those gauges out
// and counts in quarantine_scrape_errors_total: no number is better than a
// wrong one. No label ever holds the id or name of a VM, a disk or a person.
package metrics
