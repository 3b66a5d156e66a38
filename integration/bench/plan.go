package main

import "time"

// level is how one concurrency is measured.
type level struct {
	// workers work at once; in each round each side adopts and purges so many
	// disks.
	workers, rounds, disks int
	// judged says that the results are held against the bars.
	judged bool
	// shell and trashPurge are how many images the shell loop and `rbd trash
	// purge` get in each round.
	shell, trashPurge int
}

// plan is how much is measured.
type plan struct {
	levels    []level
	decodeFor time.Duration
	listen    listenPlan
	// terminates is how many VMs of an OpenNebula are terminated at once.
	terminates int
	// paced is how many disks are purged at a pace in one slice: so many that what a
	// pass takes besides, and the last one, which is on its way when its turn has come,
	// are a small part of the time.
	paced   int
	collect collectPlan
	// far is what is collected on a Ceph that is far, which is no other's neighbour.
	far collectPlan
}

// full takes a few minutes. A seal waits for a monitor commit, about a second,
// which all workers share: a round is several times as many disks as workers,
// so that its ragged beginning and end do not decide.
var full = plan{
	levels: []level{
		{workers: 1, rounds: 2, disks: 3},
		{workers: 8, rounds: 2, disks: 24},
		{workers: 32, rounds: 3, disks: 128, judged: true},
		{workers: 64, rounds: 3, disks: 128, judged: true, shell: 4, trashPurge: 96},
	},
	decodeFor:  3 * time.Second,
	listen:     listenPlan{rounds: 4, ours: 12000, oslo: 1500},
	terminates: 400,
	paced:      40,
	collect:    collectPlan{rounds: 2, disks: 250, trashPurge: 64, workers: 32, beside: 2, adopted: 192, turns: 2, slices: 5, quiet: 10 * time.Second},
	far:        collectPlan{rounds: 2, disks: 320, trashPurge: 48, workers: 64, quiet: 10 * time.Second},
}

// manyCollected is the collection alone, of 2,000 disks. The monitors commit once a
// second, and both sides have a commit in each disk: with so many workers that the
// machine is busy all the same, it is the work that is compared, not who needs a
// hundredth more than a second beside the commit. Bare calls are no slower so than
// with half the workers.
var manyCollected = collectPlan{rounds: 4, disks: 500, trashPurge: 96, workers: 64, beside: 3, adopted: 256, turns: 3, slices: 6, quiet: 10 * time.Second}

// manyFar is as many on a Ceph that is far.
var manyFar = collectPlan{rounds: 4, disks: 500, trashPurge: 48, workers: 64, quiet: 20 * time.Second}

// quick goes everywhere once.
var quick = plan{
	levels: []level{
		{workers: 1, rounds: 1, disks: 1},
		{workers: 8, rounds: 1, disks: 2},
		{workers: 32, rounds: 1, disks: 4, judged: true},
		{workers: 64, rounds: 1, disks: 4, judged: true, shell: 1, trashPurge: 2},
	},
	decodeFor:  100 * time.Millisecond,
	listen:     listenPlan{rounds: 1, ours: 1000, oslo: 100},
	terminates: 3,
	paced:      4,
	collect:    collectPlan{rounds: 1, disks: 4, trashPurge: 2, workers: 4, beside: 1, adopted: 4, turns: 1, slices: 2, quiet: 100 * time.Millisecond},
	far:        collectPlan{rounds: 1, disks: 4, trashPurge: 2, workers: 4, quiet: 100 * time.Millisecond},
}

// warmUp is the round whose results are dropped: it makes the connections to
// the OSDs, the first files, and shows how large a record is.
var warmUp = level{workers: 4, disks: 4}
