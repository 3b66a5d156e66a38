package custody

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
)

// BenchmarkAppend measures durable entries: alone for the latency, with 32
// callers for the shared fsync.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 32} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			l := open(b, filepath.Join(b.TempDir(), "custody.jsonl"))
			defer shut(b, l)
			work := make(chan int)
			done := make(chan error, callers)
			b.ResetTimer()
			for range callers {
				go func() {
					var failed error
					for n := range work {
						if err := l.Append(context.Background(), entryOf("d", n)); err != nil {
							failed = err
						}
					}
					done <- failed
				}()
			}
			for n := range b.N {
				work <- n
			}
			close(work)
			for range callers {
				if err := <-done; err != nil {
					b.Error(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
		})
	}
}

// BenchmarkOpen measures reading and checking a log of 100,000 lines, and
// BenchmarkEntries one disk's history in it.
func BenchmarkOpen(b *testing.B) {
	path := bigLog(b)
	for b.Loop() {
		l, err := Open(path, slog.New(slog.DiscardHandler), clock)
		if err != nil {
			b.Fatal(err)
		}
		shut(b, l)
	}
}

func BenchmarkEntries(b *testing.B) {
	l := open(b, bigLog(b))
	defer shut(b, l)
	for b.Loop() {
		if es := entries(b, l, "disk777"); len(es) != 5 {
			b.Fatalf("%d entries", len(es))
		}
	}
}

func bigLog(b *testing.B) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "custody.jsonl")
	l := open(b, path)
	defer shut(b, l)
	g := growth{head: l.head, last: map[uint64]int64{}}
	for n := range 100_000 {
		if err := l.add(&g, entryOf(fmt.Sprint("disk", n%20_000), n)); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.put(&g); err != nil {
		b.Fatal(err)
	}
	return path
}
