package openstack

import "testing"

// BenchmarkDecode decodes all recorded messages, most of which report no
// deletion, as on a real bus.
func BenchmarkDecode(b *testing.B) {
	var bodies [][]byte
	size := 0
	for _, scenario := range scenarios(b) {
		for _, r := range recording(b, scenario) {
			bodies = append(bodies, r.Body)
			size += len(r.Body)
		}
	}
	b.ReportAllocs()
	b.SetBytes(int64(size))
	for b.Loop() {
		for _, body := range bodies {
			if _, err := Decode(cloudName, body); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(bodies)), "ns/message")
}

// BenchmarkWindow takes messages into a window and acknowledges them: in the
// order in which they came, with sixty-four in work at a time, and behind one
// that is held.
func BenchmarkWindow(b *testing.B) {
	const behind = 64
	for name, held := range map[string]bool{"ordinary": false, "one held": true} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			w := newWindow(deafChannel{}, defaultPrefetch)
			tag := uint64(0)
			if held {
				tag++
				w.begin(tag)
			}
			first := tag + 1
			for b.Loop() {
				tag++
				w.begin(tag)
				if tag-first < behind {
					continue
				}
				w.finish(tag - behind)
				if tag%512 == 0 {
					w.flush() // as after ackDelay
				}
			}
		})
	}
}

// deafChannel takes answers.
type deafChannel struct{}

func (deafChannel) Ack(uint64, bool) error { return nil }

func (deafChannel) Reject(uint64, bool) error { return nil }
