package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// score is what a number of acts took, summed over rounds.
type score struct {
	n      int
	took   time.Duration
	cpu    time.Duration // of this process
	epochs int           // of the OSD map
}

func (s *score) add(o score) {
	s.n += o.n
	s.took += o.took
	s.cpu += o.cpu
	s.epochs += o.epochs
}

func (s score) perSecond() float64     { return float64(s.n) / s.took.Seconds() }
func (s score) perHour() float64       { return 3600 * s.perSecond() }
func (s score) perCPUSecond() float64  { return float64(s.n) / s.cpu.Seconds() }
func (s score) epochsPer1000() float64 { return 1000 * float64(s.epochs) / float64(s.n) }

// millicpu is the processor time for each act, in milliseconds.
func (s score) millicpu() float64 { return 1000 / s.perCPUSecond() }

// contest is one kind of work, done by both sides.
type contest struct{ ours, bare score }

// speed is ours as a part of bare's.
func (c contest) speed() float64 { return c.ours.perSecond() / c.bare.perSecond() }

// epochs is ours as a multiple of bare's.
func (c contest) epochs() float64 { return c.ours.epochsPer1000() / c.bare.epochsPer1000() }

func (c *contest) add(o contest) {
	c.ours.add(o.ours)
	c.bare.add(o.bare)
}

type levelResult struct {
	level
	adopt, purge contest
}

// results are all scores.
type results struct {
	levels            []levelResult
	shell, trashPurge score
	decode            score
	listen            listening
	terminates        terminates
	paced             score
	neighbour         neighbour
	far               far
}

// print writes the table of absolute numbers.
func (r *results) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nwork\tworkers\tdisks\tours/h\tbare/h\tours ÷ bare\tepochs/1,000\tbare\tCPU ms/disk\tbare")
	row, script := rows(t)
	for _, l := range r.levels {
		row("adopt and seal", l.workers, l.adopt)
	}
	for _, l := range r.levels {
		row("purge", l.workers, l.purge)
	}
	script("shell: rbd trash mv, snap create", r.shell)
	script("rbd trash purge, no seals", r.trashPurge)
	fmt.Fprintln(t)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the results: %w", err)
	}
	if err := r.printCollection(w); err != nil {
		return err
	}
	h := r.terminates
	fmt.Fprintf(w, "%d VMs of an OpenNebula terminated in %s, %d captured; the hook's script costs %s of a processor, one that does nothing %s: %.1f times\n\n",
		h.vms, h.took.Round(time.Millisecond), h.captured, h.hook.Round(10*time.Microsecond), h.nothing.Round(10*time.Microsecond), h.hook.Seconds()/h.nothing.Seconds())
	return r.printListeners(w)
}

// rows write a line of a contest, and of what has none.
func rows(t io.Writer) (row func(string, int, contest), script func(string, score)) {
	row = func(work string, workers int, c contest) {
		fmt.Fprintf(t, "%s\t%d\t%d\t%.0f\t%.0f\t%.2f\t%.0f\t%.0f\t%.1f\t%.1f\n", work, workers, c.ours.n,
			c.ours.perHour(), c.bare.perHour(), c.speed(), c.ours.epochsPer1000(), c.bare.epochsPer1000(),
			c.ours.millicpu(), c.bare.millicpu())
	}
	script = func(work string, s score) {
		fmt.Fprintf(t, "%s\t\t%d\t%.0f\t\t\t%.0f\n", work, s.n, s.perHour(), s.epochsPer1000())
	}
	return row, script
}

// printCollection writes what a collection did in absolute numbers.
func (r *results) printCollection(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "collection\tworkers\tdisks\tper hour\tbare/h\tours ÷ bare\tepochs/1,000\tbare\tCPU ms/disk\tbare")
	row, script := rows(t)
	nb := &r.neighbour
	row("disks with data", nb.workers, nb.collect)
	script("rbd trash purge, no seals, with data", nb.trashPurge)
	script("bare removals of such, and nothing else", nb.removals)
	script("adopt and seal before it", nb.seals)
	script("adopt and seal without one", nb.alone)
	script("adopt and seal beside one at a pace", nb.beside)
	fmt.Fprintf(t, "\non a Ceph that is far\tworkers\tdisks\tper hour\tbare/h\tours ÷ bare\tepochs/1,000\tbare\tCPU ms/disk\tbare\n")
	far := &r.far.collect
	row("disks with data", far.workers, far.collect)
	script("rbd trash purge, no seals, with data", far.trashPurge)
	script("bare removals of such, and nothing else", far.removals)
	script("adopt and seal before it", far.seals)
	fmt.Fprintln(t)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the results: %w", err)
	}
	fmt.Fprintf(w, "each message to the far OSD is held back for up to %s, and by its timers: a client's median write takes %s there, %s on the loopback\n", farDelay, r.far.write.Round(time.Microsecond), nb.quiet().Round(time.Microsecond))
	r.printPace(w)
	return nil
}

// printPace writes what a purge at a pace did.
func (r *results) printPace(w io.Writer) {
	nb := &r.neighbour
	fmt.Fprintf(w, "%d disks purged in %s, told %d a second: %.2f a second\n", r.paced.n, r.paced.took.Round(time.Millisecond), pace, r.paced.perSecond())
	fmt.Fprintln(w, "while Ceph clears up after each slice of it, what the client writes counts for neither side")
	for _, t := range nb.client {
		fmt.Fprintf(w, "a client's median write took %s without that, %s beside it: %+.1f %%\n",
			median(t.quiet).Round(time.Microsecond), median(t.busy).Round(time.Microsecond), 100*t.growth())
	}
	fmt.Fprintln(w)
}

// printListeners writes the table of what they did in absolute numbers.
func (r *results) printListeners(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "listener\tmessages\tmsg/s\tmsg/CPU s\tMB")
	row := func(name string, s score, rss int64) {
		fmt.Fprintf(t, "%s\t%d\t%.0f\t%.0f\t%.1f\n", name, s.n, s.perSecond(), s.perCPUSecond(), float64(rss)/1e6)
	}
	row("ours", r.listen.ours, r.listen.oursRSS)
	if r.listen.oslo.n > 0 {
		row("oslo.messaging", r.listen.oslo, r.listen.osloRSS)
	}
	fmt.Fprintln(t)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the results: %w", err)
	}
	return nil
}
