package main

import (
	"fmt"
	"math"
	"quarantine/integration/measure"
)

// The bars, and why they stand where they stand.
const (
	// barBare: for each disk the service commits to its catalog and to its
	// custody log, twice each, and before a purge it makes sure on the image
	// itself that it may. All of that may cost less than a third of the speed
	// that Ceph has to offer.
	barBare = 0.70
	// barShell: the script waits for a monitor commit for each disk; the
	// service has many disks share one.
	barShell = 10
	// barTrashPurge: freeing a sealed disk is four acts on Ceph, one of which
	// waits for the monitor, where `rbd trash purge` of an unsealed one is one
	// act. It may take twice as long.
	barTrashPurge = 0.50
	// barEpochs: every OSD and client of a cluster gets every epoch of its OSD
	// map. The service may cost it half as many again as the calls themselves.
	barEpochs = 1.50
	// barDecode: 400 deletions an hour, with some hundred notifications of
	// their servers' lives to each, are about 50 a second; a hundred times
	// that for bursts, and for catching up after a stop. It is counted by a
	// second of processor time: being absolute, it must not depend on what
	// else the machine does.
	barDecode = 5000
	// barConsume: the same, of the whole listener, in a process on one core:
	// messages by a second of that core, for the same reason. barRSS is the
	// most memory that the process has, in megabytes.
	barConsume = 5000
	barRSS     = 100
	// barOslo: what a site would write for itself, with the same filter on the
	// same broker. By messages a second of its core, as consume_rate: by the clock
	// the consumer waits for the broker, which on two cores delivers such messages
	// no faster, also to a client that drops them unread. The table shows both.
	barOslo = 10
	// barTerminates: a large site's burst of an hour, 400, in a minute. barHook:
	// the hook's script may cost the front-end that much processor time, in
	// milliseconds; the table shows beside it what a script costs that does
	// nothing.
	barTerminates = 400
	// barPace is by how much the pace of purges may be missed, to either side.
	barPace = 0.10
	// barCollect and barCollectTrash: of disks with data, in a pass of thousands,
	// where neither's ragged end counts.
	// The second is of a Ceph that is far, where who waits for each answer before he
	// asks again is slow. It is out of reach where OSD, monitor and client share two
	// cores and nobody waits: a sealed disk takes 121 RADOS operations, one of `rbd
	// trash purge` 37, and removals alone, in parallel, reach 4.7 times its speed. So
	// what takes three times the operations can reach 1.4 there; it reaches 0.7 to 1.3,
	// and of a Ceph that is far 3.4.
	barCollect, barCollectTrash = 0.80, 2.50
	// barClient is by how much a client's median write may get longer beside a
	// collection at a pace.
	barClient = 0.25
	// barBeside: a collection may cost capture less than a third of its speed.
	barBeside = 0.70
	// barSealEpochs is how many epochs of the OSD map a thousand seals may cost,
	// or as many unseals.
	barSealEpochs = 100
	barHook       = 20
)

// verdicts holds the results against the bars.
func (r *results) verdicts() []measure.Verdict {
	var vs []measure.Verdict
	ratio := func(name string, value, bar float64) {
		vs = append(vs, measure.Verdict{Name: name, Value: value, Unit: "ratio", Bar: bar})
	}
	var best, bestPurge float64
	var adopt, purge contest
	for _, l := range r.levels {
		best = max(best, l.adopt.ours.perSecond())
		if l.judged {
			bestPurge = max(bestPurge, l.purge.ours.perSecond())
			adopt.add(l.adopt)
			purge.add(l.purge)
			ratio(fmt.Sprintf("adopt_vs_bare_%d", l.workers), l.adopt.speed(), barBare)
		}
	}
	ratio("adopt_vs_shell", best/r.shell.perSecond(), barShell)
	for _, l := range r.levels {
		if l.judged {
			ratio(fmt.Sprintf("purge_vs_bare_%d", l.workers), l.purge.speed(), barBare)
		}
	}
	ratio("purge_vs_trash_purge", bestPurge/r.trashPurge.perSecond(), barTrashPurge)
	vs = append(vs,
		measure.Verdict{Name: "adopt_epochs_per_1000", Value: adopt.epochs(), Unit: "ratio-max", Bar: barEpochs, AtMost: true},
		measure.Verdict{Name: "purge_epochs_per_1000", Value: purge.epochs(), Unit: "ratio-max", Bar: barEpochs, AtMost: true})
	vs = append(vs, r.collectVerdicts()...)
	vs = append(vs,
		measure.Verdict{Name: "terminates_per_minute", Value: float64(r.terminates.captured) / r.terminates.took.Minutes(), Unit: "VMs", Bar: barTerminates},
		measure.Verdict{Name: "hook_cpu", Value: float64(r.terminates.hook.Microseconds()) / 1000, Unit: "ms", Bar: barHook, AtMost: true})
	return append(vs, r.listenerVerdicts()...)
}

// collectVerdicts holds what a collection does against the bars.
func (r *results) collectVerdicts() []measure.Verdict {
	nb := &r.neighbour
	return append(r.paceVerdicts(), []measure.Verdict{
		{Name: "adopt_under_collect", Value: nb.beside.perSecond() / nb.alone.perSecond(), Unit: "ratio", Bar: barBeside},
		{Name: "collect_vs_bare", Value: nb.collect.speed(), Unit: "ratio", Bar: barCollect},
		{Name: "collect_vs_trash_purge", Value: nb.vsTrashPurge(), Unit: "ratio", Bar: barCollectTrash},
		{Name: "collect_vs_bare_far", Value: r.far.collect.collect.speed(), Unit: "ratio", Bar: barCollect},
		{Name: "collect_vs_trash_purge_far", Value: r.far.collect.vsTrashPurge(), Unit: "ratio", Bar: barCollectTrash},
		{Name: "epochs_per_1000_seals", Value: nb.seals.epochsPer1000(), Unit: "epochs", Bar: barSealEpochs, AtMost: true},
		{Name: "epochs_per_1000_unseals", Value: nb.collect.ours.epochsPer1000(), Unit: "epochs", Bar: barSealEpochs, AtMost: true},
	}...)
}

// vsTrashPurge is how many times as fast as `rbd trash purge` disks were collected.
func (n *neighbour) vsTrashPurge() float64 {
	return n.collect.ours.perSecond() / n.trashPurge.perSecond()
}

// paceVerdicts holds a purge at a pace, and what it did to a client beside it,
// against the bars.
func (r *results) paceVerdicts() []measure.Verdict {
	return []measure.Verdict{
		{Name: "pace_missed_by", Value: math.Abs(r.paced.perSecond()/pace - 1), Unit: "ratio-max", Bar: barPace, AtMost: true},
		{Name: "client_latency_growth", Value: r.neighbour.growth(), Unit: "ratio-max", Bar: barClient, AtMost: true},
	}
}

// listenerVerdicts holds what needs no Ceph against the bars.
func (r *results) listenerVerdicts() []measure.Verdict {
	vs := []measure.Verdict{
		{Name: "decode_per_second", Value: r.decode.perCPUSecond(), Unit: "msg/s", Bar: barDecode},
		{Name: "consume_rate", Value: r.listen.ours.perCPUSecond(), Unit: "msg/s", Bar: barConsume},
		{Name: "consume_rss", Value: float64(r.listen.oursRSS) / 1e6, Unit: "MB", Bar: barRSS, AtMost: true},
	}
	if r.listen.oslo.n > 0 {
		vs = append(vs, measure.Verdict{Name: "consume_vs_oslo", Value: r.listen.ours.perCPUSecond() / r.listen.oslo.perCPUSecond(), Unit: "x", Bar: barOslo})
	}
	return vs
}
