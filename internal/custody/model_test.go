package custody

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"quarantine/internal/quarantine"
)

// Whatever is appended, with whatever in it, and however often the log is
// closed or torn between, it verifies, and each disk's entries are those that
// were acknowledged, in order.
func TestLogIsWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "custody-model-")
		if err != nil {
			t.Fatalf("make a directory: %v", err)
		}
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "custody.jsonl")
		l := open(t, path)
		defer func() { shut(t, l) }()
		disk := rapid.SampledFrom([]string{"", "a", "b", `c"\`})
		want := map[string][]quarantine.Entry{}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				e := quarantine.Entry{
					At: t0, Disk: disk.Draw(t, "disk"), Act: rapid.String().Draw(t, "act"), Outcome: "done",
					Reason: rapid.String().Draw(t, "reason"),
					Detail: rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "detail"),
				}
				if err := l.Append(context.Background(), e); err != nil {
					t.Fatalf("append: %v", err)
				}
				want[e.Disk] = append(want[e.Disk], e)
			},
			"reopen": func(t *rapid.T) {
				shut(t, l)
				l = open(t, path)
			},
			"crash": func(t *rapid.T) {
				shut(t, l)
				torn := rapid.StringMatching(`[^\n]{1,40}`).Draw(t, "torn")
				write(t, path, append(read(t, path), torn...))
				l = open(t, path)
			},
			"check": func(t *rapid.T) {
				verify(t, l)
				for d, es := range want {
					same(t, entries(t, l, d), es)
				}
			},
		})
		verify(t, l)
	})
}
