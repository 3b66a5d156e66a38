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

	"quarantine/integration/measure"
	openstacklab "quarantine/integration/openstack"
	"quarantine/internal/quarantine"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Getenv(openstacklab.Variable), time.Now, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// options are the flags.
type options struct {
	lab, bin string
	quick    bool
}

func run(ctx context.Context, args []string, lab string, now quarantine.Clock, stdout, stderr io.Writer) int {
	var o options
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.lab, "lab", lab, "the `directory` of a running lab OpenStack (default $"+openstacklab.Variable+")")
	fs.StringVar(&o.bin, "bin", "bin", "the `directory` of quarantined")
	fs.BoolVar(&o.quick, "quick", false, "a few servers only: shows that the bench works, and measures nothing")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if o.lab == "" || fs.NArg() > 0 {
		fmt.Fprintln(stderr, "usage: bench -lab DIR [-bin DIR] [-quick]")
		return 2
	}
	verdicts, err := measureAll(ctx, o, now, stdout)
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	if !measure.Print(stdout, verdicts) {
		return 1
	}
	return 0
}

// measureAll runs everything, prints the machine and a table, and returns what is
// held against the bars.
func measureAll(ctx context.Context, o options, now quarantine.Clock, stdout io.Writer) (_ []measure.Verdict, err error) {
	lab, err := openstacklab.Open(o.lab)
	if err != nil {
		return nil, err
	}
	m, err := measure.Describe(ctx, lab.Ceph)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(stdout, m)
	b, err := newBench(ctx, lab, o, now, stdout)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := b.close(context.WithoutCancel(ctx)); err == nil {
			err = cerr
		}
	}()
	res, err := b.all(ctx)
	if err != nil {
		return nil, err
	}
	if err := res.print(stdout); err != nil {
		return nil, err
	}
	return res.verdicts(), nil
}
