package quarantine

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Window is a time of each day, in UTC, during which space is freed.
type Window struct {
	// From is when it begins, To when it is over, since midnight. To before From
	// reaches over midnight.
	From, To time.Duration
}

// ParseWindow reads "22:00-06:00".
func ParseWindow(s string) (Window, error) {
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		return Window{}, invalidf("window %q is not of the form 22:00-06:00", s)
	}
	var w Window
	var err error
	if w.From, err = timeOfDay(from); err == nil {
		w.To, err = timeOfDay(to)
	}
	if err != nil || w.From == w.To || w.From == 24*time.Hour {
		return Window{}, invalidf("window %q is not of the form 22:00-06:00", s)
	}
	return w, nil
}

func timeOfDay(s string) (time.Duration, error) {
	if s == "24:00" {
		return 24 * time.Hour, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil {
		return 0, err
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// Contains reports whether the time is in the window.
func (w Window) Contains(t time.Time) bool {
	t = t.UTC()
	at := t.Sub(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC))
	if w.From < w.To {
		return w.From <= at && at < w.To
	}
	return at >= w.From || at < w.To
}

// String is what ParseWindow reads.
func (w Window) String() string {
	hm := func(d time.Duration) string { return fmt.Sprintf("%02d:%02d", d/time.Hour, d%time.Hour/time.Minute) }
	return hm(w.From) + "-" + hm(w.To)
}

// errWindow is why no removal begins outside the windows. It is no failure: the
// disks stay as they are until the next window.
var errWindow = errors.New("removals wait for the next window")

// inWindow returns nil when space may be freed at the time, else errWindow.
func (s *Safety) inWindow(t time.Time) error {
	if len(s.Windows) == 0 {
		return nil
	}
	var all []string
	for _, w := range s.Windows {
		if w.Contains(t) {
			return nil
		}
		all = append(all, w.String())
	}
	return fmt.Errorf("%w (%s UTC)", errWindow, strings.Join(all, ", "))
}
