package main

import "fmt"

// verdict is a measure and its bar.
type verdict struct {
	name   string
	value  float64
	unit   string
	bar    float64
	atMost bool // the value must not exceed the bar
}

func (v verdict) ok() bool {
	if v.atMost {
		return v.value <= v.bar
	}
	return v.value >= v.bar
}

// String is the measure's line: NAME VALUE UNIT bar BAR ok|short.
func (v verdict) String() string {
	word := "short"
	if v.ok() {
		word = "ok"
	}
	return fmt.Sprintf("%s %.3f %s bar %.2f %s", v.name, v.value, v.unit, v.bar, word)
}

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
	// same broker. By the clock: whatever else the machine does hits both.
	barOslo = 10
)

// verdicts holds the results against the bars.
func (r *results) verdicts() []verdict {
	var vs []verdict
	ratio := func(name string, value, bar float64) {
		vs = append(vs, verdict{name: name, value: value, unit: "ratio", bar: bar})
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
		verdict{name: "adopt_epochs_per_1000", value: adopt.epochs(), unit: "ratio-max", bar: barEpochs, atMost: true},
		verdict{name: "purge_epochs_per_1000", value: purge.epochs(), unit: "ratio-max", bar: barEpochs, atMost: true})
	return append(vs, r.listenerVerdicts()...)
}

// listenerVerdicts holds what needs no Ceph against the bars.
func (r *results) listenerVerdicts() []verdict {
	vs := []verdict{
		{name: "decode_per_second", value: r.decode.perCPUSecond(), unit: "msg/s", bar: barDecode},
		{name: "consume_rate", value: r.listen.ours.perCPUSecond(), unit: "msg/s", bar: barConsume},
		{name: "consume_rss", value: float64(r.listen.oursRSS) / 1e6, unit: "MB", bar: barRSS, atMost: true},
	}
	if r.listen.oslo.n > 0 {
		vs = append(vs, verdict{name: "consume_vs_oslo", value: r.listen.ours.perSecond() / r.listen.oslo.perSecond(), unit: "x", bar: barOslo})
	}
	return vs
}
