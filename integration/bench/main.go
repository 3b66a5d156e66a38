package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	cephlab "quarantine/integration/ceph"
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
	lab, recordings, policies string
	quick                     bool
}

func run(ctx context.Context, args []string, lab string, now quarantine.Clock, stdout, stderr io.Writer) int {
	var o options
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.lab, "lab", lab, "the `directory` of a running lab Ceph (default $"+cephlab.Env+")")
	fs.StringVar(&o.recordings, "recordings", "internal/openstack/testdata/recordings", "the `directory` with recorded notifications")
	fs.StringVar(&o.policies, "policies", "policies/default.yaml", "the policy `file`")
	fs.BoolVar(&o.quick, "quick", false, "a few images only: shows that the bench works, and measures nothing")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if o.lab == "" || fs.NArg() > 0 {
		fmt.Fprintln(stderr, "usage: bench -lab DIR [-quick] [-recordings DIR] [-policies FILE]")
		return 2
	}
	verdicts, err := measure(ctx, o, now, stdout)
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	status := 0
	for _, v := range verdicts {
		fmt.Fprintln(stdout, v)
		if !v.ok() {
			status = 1
		}
	}
	return status
}

// measure runs everything, prints the machine and a table, and returns what is
// held against the bars.
func measure(ctx context.Context, o options, now quarantine.Clock, stdout io.Writer) (_ []verdict, err error) {
	lab, err := cephlab.Open(o.lab)
	if err != nil {
		return nil, err
	}
	m, err := describeMachine(ctx, lab)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(stdout, m)
	p := full
	if o.quick {
		p = quick
	} else if m.commitInterval != time.Second {
		// Sharing commits is most of what there is to measure.
		return nil, fmt.Errorf("the lab's monitor commits every %s; measurements need Ceph's own second", m.commitInterval)
	}
	var res results
	if res.decode, err = decodeAll(o.recordings, p.decodeFor, now); err != nil {
		return nil, err
	}
	b, err := newBench(ctx, lab, o.policies, now)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := b.close(); err == nil {
			err = cerr
		}
	}()
	if err := b.all(ctx, p, &res); err != nil {
		return nil, err
	}
	if err := res.print(stdout); err != nil {
		return nil, err
	}
	return res.verdicts(), nil
}
