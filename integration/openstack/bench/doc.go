// Command bench measures the service beside a running OpenStack, with and
// without it in one run, and prints each measure beside its bar. `make
// bench-openstack` runs it.
//
// # What is compared
//
// How long the cloud takes to delete servers, all of a round at once, and
// volumes, one after the other: with the service (the daemon runs, the pools
// are guarded) and without it (no daemon, no guard). The sides take turns on
// fresh servers and volumes, another one first in every round, so that whatever
// else the machine does hits both. A round that warms everything up is dropped.
// A result is the ratio of the medians over all rounds. The time of a server
// begins with its DELETE and ends when Nova's listing does not have it any
// more; of a volume likewise.
//
// Then the guard is off and the daemon seizes, in a race with the cloud: the hit
// rate is how many of the disks came into quarantine. It is a measure without a
// bar: the place where nothing can be lost is the guard. Half of Nova's servers
// are stopped, whose disks go soonest.
//
// The coverage is what the service itself computes for the rounds that it was
// there.
//
// # Output
//
// The last lines are the measures, one a line:
//
//	NAME VALUE UNIT bar BAR ok|short
//
// The unit ratio-max marks a ratio that must not exceed its bar; all other
// values must reach theirs. The exit status is 0 if all are ok, 1 if one is
// short or the run failed (then there is a line `error: …` on standard error),
// 2 after a wrong flag.
package main
