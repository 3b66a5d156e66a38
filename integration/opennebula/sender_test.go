package frontend_test

import (
	"fmt"
	"net/http"
	"testing"
)

// A driver's report that the daemon will not take does not hold up the messages
// of hooks, however many wait behind it.
func TestHookBatchBehindReport(t *testing.T) {
	eachShell(t, func(t *testing.T, w *world) {
		w.write("spool/1600000000000000000-a.tm-delete", 0o600, "report")
		var want []string
		for i := range 40 {
			m := fmt.Sprint("message ", i)
			w.write(fmt.Sprintf("spool/17000000000000000%02d-a.hook", i), 0o600, m)
			want = append(want, m)
		}
		w.daemon.answer(func(r *http.Request, body string) (int, string) {
			if body == "report" {
				return 503, "not now"
			}
			return accepted(r, body)
		})
		ended(t, w.hook("", "--drain"), 1, "1 messages wait", "not now")
		equalAll(t, "received", w.daemon.bodies(), append([]string{"report"}, want...)...)
		equalAll(t, "waits", w.waits(), "report")
	})
}
