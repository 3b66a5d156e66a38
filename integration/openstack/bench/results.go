package main

import (
	"fmt"
	"io"
	"quarantine/integration/measure"
	"slices"
	"text/tabwriter"
	"time"
)

// times are how long deletes took.
type times []time.Duration

// median is the middle one, or the mean of the two in the middle; 0 of none.
func (t times) median() time.Duration {
	if len(t) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// side is what was measured with the service, or without it.
type side struct{ servers, volumes times }

// race counts how often the service was faster than the cloud.
type race struct{ won, lost int }

func (r race) rate() float64 { return float64(r.won) / float64(r.won+r.lost) }

// results are all measures.
type results struct {
	with, without side
	nova, cinder  race
	// captured are the disks that died in the rounds with the service and are in
	// quarantine, missing those that are not.
	captured, missing int
}

// print writes the table of absolute numbers.
func (r *results) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\ndelete of\twith\twithout\tmedian with\tmedian without\tslowest with\tslowest without")
	row := func(what string, with, without times) {
		ms := func(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t%s\n", what, len(with), len(without), ms(with.median()), ms(without.median()), ms(slices.Max(with)), ms(slices.Max(without)))
	}
	row("servers, a round at once", r.with.servers, r.without.servers)
	row("volumes, one by one", r.with.volumes, r.without.volumes)
	fmt.Fprintf(t, "\nseized from\twon\tof\nNova\t%d\t%d\nCinder\t%d\t%d\n\n", r.nova.won, r.nova.won+r.nova.lost, r.cinder.won, r.cinder.won+r.cinder.lost)
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print the results: %w", err)
	}
	return nil
}

const (
	// barDelete: nobody may notice that the service is there.
	barDelete = 1.10
	// barCoverage is in percent: the guard loses nothing.
	barCoverage = 100
	// barSeize: a race has none.
	barSeize = 0
)

// verdicts holds the results against the bars.
func (r *results) verdicts() []measure.Verdict {
	ratio := func(name string, with, without times) measure.Verdict {
		return measure.Verdict{Name: name, Value: with.median().Seconds() / without.median().Seconds(), Unit: "ratio-max", Bar: barDelete, AtMost: true}
	}
	return []measure.Verdict{
		ratio("delete_with_vs_without", r.with.servers, r.without.servers),
		ratio("delete_volume_with_vs_without", r.with.volumes, r.without.volumes),
		{Name: "seize_nova_hit_rate", Value: r.nova.rate(), Unit: "ratio", Bar: barSeize},
		{Name: "seize_cinder_hit_rate", Value: r.cinder.rate(), Unit: "ratio", Bar: barSeize},
		{Name: "coverage", Value: 100 * race{r.captured, r.missing}.rate(), Unit: "percent", Bar: barCoverage},
	}
}
