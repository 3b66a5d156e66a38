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
