package openstack

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// fakeBroker stands for RabbitMQ's side of a channel: what it waits for, and what
// became of it.
type fakeBroker struct {
	t        rapid.TB
	open     []uint64
	acked    map[uint64]bool
	rejected map[uint64]bool
	writes   int
}

func newFakeBroker(t rapid.TB) *fakeBroker {
	return &fakeBroker{t: t, acked: map[uint64]bool{}, rejected: map[uint64]bool{}}
}

// Ack is as strict as RabbitMQ: it closes the channel where the tag is not one
// that it waits for.
func (b *fakeBroker) Ack(tag uint64, multiple bool) error {
	b.writes++
	i := slices.Index(b.open, tag)
	if i < 0 {
		b.t.Fatalf("acknowledgement of %d, which is unknown or answered", tag)
	}
	from := i
	if multiple {
		from = 0
	}
	for _, tag := range b.open[from : i+1] {
		b.acked[tag] = true
	}
	b.open = slices.Delete(b.open, from, i+1)
	return nil
}

func (b *fakeBroker) Reject(tag uint64, requeue bool) error {
	i := slices.Index(b.open, tag)
	if i < 0 || requeue {
		b.t.Fatalf("rejection of %d (requeue %v)", tag, requeue)
	}
	b.rejected[tag] = true
	b.open = slices.Delete(b.open, i, i+1)
	return nil
}

// TestWindow proves, whatever the order in which messages come to their end:
// the broker never hears of one that is not at its end, nor twice of one, nor
// of an acknowledgement for one that was rejected; after a flush it knows all;
// a full window is never left full of messages that are done; and no more is
// remembered than the broker waits for.
func TestWindow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const size = 8
		b := newFakeBroker(t)
		w := newWindow(b, size)
		var next uint64
		var work []uint64
		finished, rejected := map[uint64]bool{}, map[uint64]bool{}
		pick := func(t *rapid.T) (tag uint64, ok bool) {
			if len(work) == 0 {
				return 0, false
			}
			i := rapid.IntRange(0, len(work)-1).Draw(t, "which")
			tag = work[i]
			work = slices.Delete(work, i, i+1)
			return tag, true
		}
		t.Repeat(map[string]func(*rapid.T){
			"deliver": func(t *rapid.T) {
				if len(b.open) == size {
					return
				}
				next++
				b.open = append(b.open, next)
				w.begin(next)
				work = append(work, next)
			},
			"finish": func(t *rapid.T) {
				tag, ok := pick(t)
				if !ok {
					return
				}
				finished[tag] = true
				full := len(b.open) == size
				w.finish(tag)
				if full && len(b.open) == size {
					t.Fatal("the window stays full")
				}
			},
			"reject": func(t *rapid.T) {
				tag, ok := pick(t)
				if !ok {
					return
				}
				rejected[tag] = true
				w.reject(tag)
			},
			"flush": func(t *rapid.T) {
				w.flush()
				if len(b.acked) != len(finished) || len(b.open) != len(work) {
					t.Fatalf("%d of %d are acknowledged, %d of %d are open", len(b.acked), len(finished), len(b.open), len(work))
				}
			},
			"": func(t *rapid.T) {
				if len(w.messages) != len(b.open) {
					t.Fatalf("%d messages are remembered, the broker waits for %d", len(w.messages), len(b.open))
				}
				for tag := range b.acked {
					if !finished[tag] {
						t.Fatalf("%d is acknowledged, and not done", tag)
					}
				}
				if len(b.rejected) != len(rejected) {
					t.Fatalf("%d of %d are rejected", len(b.rejected), len(rejected))
				}
			},
		})
	})
}

// TestWindowBatches proves that a hundred messages in a row cost a few writes,
// and that one which takes long holds up neither the others nor their answers.
func TestWindowBatches(t *testing.T) {
	t.Parallel()
	b := newFakeBroker(t)
	w := newWindow(b, 16)
	tag := uint64(0)
	deliver := func() uint64 {
		tag++
		b.open = append(b.open, tag)
		w.begin(tag)
		return tag
	}
	for range 100 {
		w.finish(deliver())
	}
	if b.writes != 25 {
		t.Errorf("%d writes, want 25", b.writes)
	}
	slow := deliver()
	for range 100 {
		w.finish(deliver())
		if len(b.open) > 16 {
			t.Fatalf("the broker waits for %d messages", len(b.open))
		}
	}
	w.finish(slow)
	w.flush()
	if len(b.open) != 0 || len(b.acked) != 201 {
		t.Errorf("%d open, %d acknowledged", len(b.open), len(b.acked))
	}
}

// TestWindowWhileOneIsHeld proves that a message which is held for hours, as one
// is that cannot be recorded, costs no memory for those that go on, whether they
// are acknowledged or rejected, and however seldom there is a flush.
func TestWindowWhileOneIsHeld(t *testing.T) {
	t.Parallel()
	const size, messages = 64, 100_000
	for name, flushEvery := range map[string]uint64{"often": 7, "seldom": messages} {
		b := newFakeBroker(t)
		w := newWindow(b, size)
		for tag := uint64(1); tag <= messages; tag++ {
			b.open = append(b.open, tag)
			w.begin(tag)
			switch {
			case tag == 1: // held
			case tag%5 == 0:
				w.reject(tag)
			default:
				w.finish(tag)
			}
			if tag%flushEvery == 0 {
				w.flush()
			}
			if len(w.messages) > size || cap(w.messages) > 2*size || len(b.open) > size {
				t.Fatalf("%s: %d messages are remembered, in memory for %d; the broker waits for %d", name, len(w.messages), cap(w.messages), len(b.open))
			}
		}
		w.finish(1)
		w.flush()
		if len(b.open) != 0 || len(b.acked)+len(b.rejected) != messages {
			t.Errorf("%s: %d are open, %d acknowledged, %d rejected", name, len(b.open), len(b.acked), len(b.rejected))
		}
	}
}
