package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
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
	lab, recordings, policies string
	quick, listener, oslo     bool
	collect, pace             bool
	sustained                 time.Duration
}

func run(ctx context.Context, args []string, lab string, now quarantine.Clock, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == consumeCommand {
		return runConsume(ctx, args[1:], now, stdout, stderr)
	}
	var o options
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&o.lab, "lab", lab, "the `directory` of a running lab Ceph (default $"+cephlab.Env+")")
	fs.StringVar(&o.recordings, "recordings", "internal/openstack/testdata/recordings", "the `directory` with recorded notifications")
	fs.StringVar(&o.policies, "policies", "policies/default.yaml", "the policy `file`")
	fs.BoolVar(&o.listener, "listener", false, "only listening for notifications, which needs no Ceph")
	fs.BoolVar(&o.collect, "collect", false, "only what a collection does, to itself and to others")
	fs.BoolVar(&o.pace, "pace", false, "only a purge at a pace, and what a client has of it")
	fs.DurationVar(&o.sustained, "sustained", 0, "only adoptions in bursts, for so `long`")
	fs.BoolVar(&o.oslo, "oslo", true, "compare with a listener in Python, which needs python3-oslo.messaging; without it there is no consume_vs_oslo")
	fs.BoolVar(&o.quick, "quick", false, "a few images only: shows that the bench works, and measures nothing")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if o.lab == "" && !o.listener || fs.NArg() > 0 {
		fmt.Fprintln(stderr, "usage: bench -lab DIR [-quick] [-oslo=false] [-recordings DIR] [-policies FILE]\n       bench -listener [-quick] [-oslo=false] [-recordings DIR]")
		return 2
	}
	m := measureAll
	if o.listener {
		m = measureListener
	}
	verdicts, err := m(ctx, o, now, stdout)
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	if !measure.Print(stdout, verdicts) {
		return 1
	}
	return 0
}

// runConsume is the service's side of listening, in a process of its own.
func runConsume(ctx context.Context, args []string, now quarantine.Clock, stdout, stderr io.Writer) int {
	if len(args) != 4 {
		fmt.Fprintln(stderr, "usage: bench", consumeCommand, "URL EXCHANGE QUEUE COUNT")
		return 2
	}
	count, err := strconv.Atoi(args[3])
	if err == nil {
		err = consume(ctx, source{args[0], args[1], args[2], count}, now, stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	return 0
}

// measureAll runs everything, prints the machine and a table, and returns what is
// held against the bars.
func measureAll(ctx context.Context, o options, now quarantine.Clock, stdout io.Writer) (_ []measure.Verdict, err error) {
	lab, err := cephlab.Open(o.lab)
	if err != nil {
		return nil, err
	}
	m, err := measure.Describe(ctx, lab)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(stdout, m)
	p := full
	if o.quick {
		p = quick
	} else if m.CommitInterval != time.Second {
		// Sharing commits is most of what there is to measure.
		return nil, fmt.Errorf("the lab's monitor commits every %s; measurements need Ceph's own second", m.CommitInterval)
	}
	var res results
	b, err := newBench(ctx, lab, o.policies, now)
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := b.close(); err == nil {
			err = cerr
		}
	}()
	switch {
	case o.sustained > 0:
		s, err := b.sustain(ctx, o.sustained)
		if err != nil {
			return nil, fmt.Errorf("adopt in bursts: %w", err)
		}
		s.print(stdout)
		return s.verdicts(), nil
	case o.pace:
		if res.paced, err = b.paced(ctx, p.paced, p.collect, &res.neighbour); err != nil {
			return nil, fmt.Errorf("purge at a pace: %w", err)
		}
		res.printPace(stdout)
		return res.paceVerdicts(), nil
	case o.collect:
		if !o.quick {
			p.collect, p.far = manyCollected, manyFar
		}
		if err := b.collection(ctx, p, &res); err != nil {
			return nil, err
		}
		if err := res.far.measure(ctx, o, p.far, now); err != nil {
			return nil, fmt.Errorf("collect on a Ceph that is far: %w", err)
		}
		return res.collectVerdicts(), res.printCollection(stdout)
	}
	if err := res.listening(ctx, o, p, now); err != nil {
		return nil, err
	}
	if err := b.all(ctx, p, &res); err != nil {
		return nil, err
	}
	if err := res.far.measure(ctx, o, p.far, now); err != nil {
		return nil, fmt.Errorf("collect on a Ceph that is far: %w", err)
	}
	if err := res.print(stdout); err != nil {
		return nil, err
	}
	return res.verdicts(), nil
}

// measureListener measures only what needs no Ceph.
func measureListener(ctx context.Context, o options, now quarantine.Clock, stdout io.Writer) ([]measure.Verdict, error) {
	p := full
	if o.quick {
		p = quick
	}
	var res results
	if err := res.listening(ctx, o, p, now); err != nil {
		return nil, err
	}
	if err := res.printListeners(stdout); err != nil {
		return nil, err
	}
	return res.listenerVerdicts(), nil
}

// listening measures what comes of notifications.
func (r *results) listening(ctx context.Context, o options, p plan, now quarantine.Clock) error {
	messages, err := recordings(o.recordings)
	if err != nil {
		return err
	}
	if r.decode, err = decodeAll(messages, p.decodeFor, now); err != nil {
		return err
	}
	if !o.oslo {
		p.listen.oslo = 0
	}
	r.listen, err = listen(ctx, messages, p.listen)
	return err
}
