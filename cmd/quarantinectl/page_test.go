package main

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
)

// Whatever the width, ids are whole, no line is wider than it while there is
// room for the columns that must be there, and columns beside them come back
// one after the other as there is room.
func TestGridFits(t *testing.T) {
	t.Parallel()
	columns := []column{{title: "ID"}, {title: "NAME", fit: cut}, {title: "SIZE", extra: true, right: true}, {title: "WHO", fit: cut, extra: true}, {title: "WHY", fit: wrap}}
	row := []string{"3fa1c09be2d47a55", strings.Repeat("n", 30), "1.5 GiB", strings.Repeat("日", 12), strings.Repeat("reason ", 12)}
	before := 0
	for _, width := range []int{20, 60, 72, 80, 100, 132, 300} {
		p := &page{width: width}
		p.grid(columns, [][]string{slices.Clone(row)})
		if !strings.Contains(p.String(), row[0]) {
			t.Errorf("%d columns: the id is cut:\n%s", width, p)
		}
		for line := range strings.Lines(p.String()) {
			if n := text.StringWidthWithoutEscSequences(strings.TrimRight(line, "\n")); width >= 60 && n > width {
				t.Errorf("%d columns: a line has %d:\n%s", width, n, p)
			}
			if strings.HasSuffix(line, " \n") {
				t.Errorf("%d columns: spaces at the end of %q", width, line)
			}
		}
		titles := len(strings.Fields(strings.SplitN(p.String(), "\n", 2)[0]))
		if titles < before {
			t.Errorf("%d columns: %d titles, fewer than before:\n%s", width, titles, p)
		}
		before = titles
	}
	if before != len(columns) {
		t.Errorf("the widest table has %d columns", before)
	}
}

// Sizes have IEC units, and no unit is reached by rounding: 1024 MiB is 1 GiB.
func TestSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		-1: "-", 0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 1 << 30: "1 GiB", 1<<30 - 1: "1 GiB",
		1288490189: "1.2 GiB", 20 << 40: "20 TiB", math.MaxInt64: "8 EiB",
	} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
}

// A date is the beginning of its day in UTC, a time is turned into UTC.
func TestParseTime(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"2026-11-17": "2026-11-17T00:00:00Z", "2026-11-17T14:05:00Z": "2026-11-17T14:05:00Z", "2026-11-17T00:30:00+01:00": "2026-11-16T23:30:00Z",
	} {
		got, err := parseTime(in)
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("parseTime(%q) = %v, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "17.11.2026", "2026-11-31", "2026-11-17T14:05:00", "14d"} {
		if got, err := parseTime(in); err == nil {
			t.Errorf("parseTime(%q) = %v", in, got)
		}
	}
}
