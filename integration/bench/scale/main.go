package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	cephlab "quarantine/integration/ceph"
	"quarantine/integration/measure"
	"quarantine/internal/quarantine"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Getenv(cephlab.Env), time.Now, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// options are the flags.
type options struct {
	lab, binary string
	disks       int
	times       int
}

// leastDisks are enough that each question has an answer.
const leastDisks = 1000

func run(ctx context.Context, args []string, lab string, now quarantine.Clock, stdout, stderr io.Writer) int {
	var o options
	fs := flag.NewFlagSet("scale", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.lab, "lab", lab, "the `directory` of a running lab Ceph (default $"+cephlab.Env+")")
	fs.StringVar(&o.binary, "bin", "bin/quarantined", "the daemon")
	fs.IntVar(&o.disks, "disks", 2_000_000, "how many disks the catalog has")
	fs.IntVar(&o.times, "times", 300, "how often each list is asked for")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if o.lab == "" || fs.NArg() > 0 || o.disks < leastDisks || o.times < 1 {
		fmt.Fprintf(stderr, "usage: scale -lab DIR [-bin FILE] [-disks N, at least %d] [-times N]\n", leastDisks)
		return 2
	}
	verdicts, err := measureAll(ctx, o, now, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	if !measure.Print(stdout, verdicts) {
		return 1
	}
	return 0
}

// The bars: what people and cron wait for with two million disks, and the memory
// of the whole.
const (
	barList  = 50  // ms, the slowest in a hundred of the slowest filter
	barPlan  = 10  // s
	barAgain = 60  // s
	barRSS   = 256 // MB
)

func measureAll(ctx context.Context, o options, now quarantine.Clock, stdout, progress io.Writer) (_ []measure.Verdict, err error) {
	lab, err := cephlab.Open(o.lab)
	if err != nil {
		return nil, err
	}
	m, err := measure.Describe(ctx, lab)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(stdout, m)
	s, h, err := newSite(ctx, lab, o.disks, now, progress)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	d, err := s.start(ctx, o.binary)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Stop()) }()

	// At the start it looks at everything once.
	if err := atRest(ctx, d.Client); err != nil {
		return nil, err
	}
	start, err := highWater(d.PID)
	if err != nil {
		return nil, err
	}
	again, err := reconciled(ctx, d.Client, now)
	if err != nil {
		return nil, err
	}
	plan, items, err := planned(ctx, d.Client, now)
	if err != nil {
		return nil, err
	}
	lists, err := ask(ctx, d, h, o.times, now)
	if err != nil {
		return nil, err
	}
	lasts, err := highWater(d.PID)
	if err != nil {
		return nil, err
	}
	before, err := cpuTime(d.PID)
	if err != nil {
		return nil, err
	}
	sim, err := simulated(ctx, d.Client, h, now)
	if err != nil {
		return nil, err
	}
	busy, err := cpuTime(d.PID)
	if err != nil {
		return nil, err
	}
	rss, err := highWater(d.PID)
	if err != nil {
		return nil, err
	}

	fmt.Fprintf(stdout, "\n%d disks: the catalog has %.0f MB, %.0f bytes a disk; written in %s, %.0f a second\n", o.disks,
		float64(s.size)/1e6, float64(s.size)/float64(o.disks), s.fill.Round(time.Second), float64(o.disks)/s.fill.Seconds())
	fmt.Fprintf(stdout, "reconcile (dry) %s; plan of %d acts %s; policy over all %s, in which the daemon was busy for %s\n", again.Round(time.Millisecond), items, plan.Round(time.Millisecond),
		sim.Round(time.Millisecond), (busy - before).Round(time.Millisecond))
	fmt.Fprintf(stdout, "most memory: %.0f MB after the start's look, %.0f MB after plan and lists, %.0f MB in all\n\nlist by              p50        p99        busy\n", start, lasts, rss)
	var slowest time.Duration
	for _, a := range lists {
		fmt.Fprintf(stdout, "%-20s %-10s %-10s %s\n", a.name, a.p50.Round(10*time.Microsecond), a.p99.Round(10*time.Microsecond), a.cpu.Round(100*time.Microsecond))
		slowest = max(slowest, a.p99)
	}
	fmt.Fprintln(stdout)
	return []measure.Verdict{
		{Name: "list_p99", Value: float64(slowest.Microseconds()) / 1000, Unit: "ms", Bar: barList, AtMost: true},
		{Name: "collect_plan", Value: plan.Seconds(), Unit: "s", Bar: barPlan, AtMost: true},
		{Name: "policy_over_all", Value: sim.Seconds(), Unit: "s", Bar: barAgain, AtMost: true},
		{Name: "daemon_rss", Value: rss, Unit: "MB", Bar: barRSS, AtMost: true},
	}, nil
}
