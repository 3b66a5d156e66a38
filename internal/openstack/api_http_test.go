package openstack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

const pools = "GET /volume/v3/" + recordedProject + "/scheduler-stats/get_pools"

// TestAPIConnectsLazily proves that the cloud need not be up when the API is
// made; that a cloud that is down is ErrUnavailable; and that it is found when
// it comes.
func TestAPIConnectsLazily(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + listener.Addr().String()
	listener.Close()
	cfg := config(t, address)
	cfg.Retries = 1
	a, err := NewAPI(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.VolumePool(t.Context(), ""); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("nobody listens: %v", err)
	}
	f := newFakeCloud(t)
	a.login.IdentityEndpoint = f.URL + "/identity/v3"
	if _, err := a.VolumePool(t.Context(), ""); err != nil {
		t.Errorf("the cloud is up now: %v", err)
	}
	if f.loginCount() != 1 || !f.agents["quarantine/test gophercloud/v2.15.0"] || len(f.agents) != 1 {
		t.Errorf("%d logins, user agents %v", f.loginCount(), f.agents)
	}
}

// TestAPILogsInAgain proves that an expired token is renewed by itself and the
// request sent again, and that a login that is refused meanwhile is an error
// that does not hold the password, although the service repeats it.
func TestAPILogsInAgain(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f)
	for range 3 {
		if _, err := a.VolumePool(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		f.expire()
	}
	if n := f.loginCount(); n != 3 {
		t.Errorf("%d logins, want 3", n)
	}
	f.on("POST /identity/v3/auth/tokens", func(w http.ResponseWriter, r *http.Request) {
		reply(http.StatusUnauthorized, fmt.Sprintf(`{"error": {"message": "who is %s?"}}`, testPassword))(w, r)
	})
	_, err := a.VolumePool(t.Context(), "")
	if !errors.Is(err, quarantine.ErrRefused) || !strings.Contains(err.Error(), "who is …?") || strings.Contains(err.Error(), testPassword) {
		t.Errorf("refused login: %v", err)
	}
}

// TestAPIStatuses proves what the statuses of a service mean to callers.
func TestAPIStatuses(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]error{
		302: quarantine.ErrUnavailable, 400: quarantine.ErrInvalid, 403: quarantine.ErrRefused, 404: quarantine.ErrNotFound,
		409: quarantine.ErrBusy, 413: quarantine.ErrInvalid, 429: quarantine.ErrUnavailable, 500: quarantine.ErrUnavailable, 503: quarantine.ErrUnavailable,
	} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			f := newFakeCloud(t)
			a := newTestAPI(t, f, func(c *APIConfig) { c.Retries = -1 })
			f.on(pools, reply(status, `{"x": {"message": "because\nof\u0000 that", "code": 1}}`))
			_, err := a.VolumePool(t.Context(), "")
			if !errors.Is(err, want) || !strings.Contains(err.Error(), "because of that") {
				t.Errorf("%v, want %v", err, want)
			}
			if status == 403 && !strings.Contains(err.Error(), "role admin") {
				t.Errorf("no hint in %q", err)
			}
		})
	}
}

// TestAPIRetries proves that a request is sent again after 503 (waiting as
// Retry-After says), 429 and a lost answer, a bounded number of times, and not
// after an answer that will not change.
func TestAPIRetries(t *testing.T) {
	t.Parallel()
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"pools": [`))
	}
	later := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "1")
		reply(http.StatusServiceUnavailable, ``)(w, r)
	}
	for name, c := range map[string]struct {
		answers []http.HandlerFunc
		sent    int
		ok      bool
		least   time.Duration
	}{
		"503 twice":   {[]http.HandlerFunc{reply(503, ``), reply(503, `<html>`), nil}, 3, true, 0},
		"Retry-After": {[]http.HandlerFunc{later, nil}, 2, true, time.Second},
		"429":         {[]http.HandlerFunc{reply(429, ``), nil}, 2, true, 0},
		"cut off":     {[]http.HandlerFunc{cut, nil}, 2, true, 0},
		"503 always":  {[]http.HandlerFunc{reply(503, ``)}, 4, false, 0},
		"cut always":  {[]http.HandlerFunc{cut}, 4, false, 0},
		"500":         {[]http.HandlerFunc{reply(500, ``)}, 1, false, 0},
		"no JSON":     {[]http.HandlerFunc{reply(200, `<html>log in</html>`)}, 1, false, 0},
		"other JSON":  {[]http.HandlerFunc{reply(200, `{"pools": {"a": 1}}`)}, 1, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeCloud(t)
			a := newTestAPI(t, f, func(c *APIConfig) { c.Retries = 3 })
			for i, h := range c.answers {
				if h == nil {
					recorded := f.recorded[pools+"?detail=true"]
					c.answers[i] = reply(recorded.Status, string(recorded.Body))
				}
			}
			f.on(pools, inTurn(c.answers...))
			began := time.Now()
			_, err := a.VolumePool(t.Context(), "")
			if c.ok != (err == nil) || !c.ok && !errors.Is(err, quarantine.ErrUnavailable) {
				t.Errorf("error %v", err)
			}
			if sent := len(f.requests(pools)); sent != c.sent || time.Since(began) < c.least {
				t.Errorf("sent %d times within %s, want %d", sent, time.Since(began), c.sent)
			}
		})
	}
}

// TestAPIDoesNotRepeatWrites proves that a request that makes something is not
// sent again when it may have been worked on, and is when it was refused with
// 503.
func TestAPIDoesNotRepeatWrites(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f)
	const manage = "POST /volume/v3/" + recordedProject + "/manageable_volumes"
	f.on(manage, inTurn(reply(503, ``), reply(504, ``)))
	f.on("GET /volume/v3/"+recordedProject+"/volumes/detail", reply(200, `{"volumes": []}`))
	_, err := a.AdoptVolume(t.Context(), quarantine.VolumeOrder{Source: "q", Name: "n"})
	if sent := len(f.requests(manage)); !errors.Is(err, quarantine.ErrUnavailable) || sent != 2 {
		t.Errorf("sent %d times, want 2: %v", sent, err)
	}
}

// TestAPISlowAnswer proves that an answer that does not come, or does not end,
// is ErrUnavailable after the time limit, and at once when the context ends.
func TestAPISlowAnswer(t *testing.T) {
	t.Parallel()
	for name, partly := range map[string]bool{"nothing": false, "a part": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeCloud(t)
			hang := func(w http.ResponseWriter, r *http.Request) {
				if partly {
					_, _ = w.Write([]byte(`{"pools": [`))
					w.(http.Flusher).Flush()
				}
				<-r.Context().Done()
			}
			f.on(pools, hang)
			a := newTestAPI(t, f, func(c *APIConfig) { c.Timeout = 100 * time.Millisecond; c.Retries = -1 })
			if _, err := a.VolumePool(t.Context(), ""); !errors.Is(err, quarantine.ErrUnavailable) {
				t.Errorf("time limit: %v", err)
			}
			a = newTestAPI(t, f, func(c *APIConfig) { c.Timeout = time.Hour })
			ctx, cancel := context.WithCancel(t.Context())
			f.on(pools, func(w http.ResponseWriter, r *http.Request) { cancel(); hang(w, r) })
			if _, err := a.VolumePool(ctx, ""); !errors.Is(err, quarantine.ErrUnavailable) || !errors.Is(err, context.Canceled) {
				t.Errorf("end of the context: %v", err)
			}
		})
	}
}

// TestAPIEndlessAnswer proves that an answer without end is given up at the
// limit, and does not fill the memory.
func TestAPIEndlessAnswer(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f, func(c *APIConfig) { c.Timeout = 5 * time.Minute })
	sent := make(chan int, 1)
	f.on("GET /identity/v3/users/92", func(w http.ResponseWriter, _ *http.Request) {
		n := 0
		for chunk := []byte(strings.Repeat(" ", 1<<20)); ; {
			m, err := w.Write(chunk)
			if n += m; err != nil {
				sent <- n
				return
			}
		}
	})
	s, err := a.session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.userName(t.Context(), "92"); !errors.Is(err, quarantine.ErrUnavailable) || !strings.Contains(err.Error(), errTooLong.Error()) {
		t.Errorf("%v", err)
	}
	if n := <-sent; n > maxAnswer+(32<<20) { // what is in the buffers comes on top
		t.Errorf("%d bytes were taken", n)
	}
}

// TestAPIDoesNotFollowRedirects proves that the token goes nowhere else.
func TestAPIDoesNotFollowRedirects(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	a := newTestAPI(t, f)
	f.on(pools, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) })
	if _, err := a.VolumePool(t.Context(), ""); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if went := f.requests("GET /elsewhere"); len(went) > 0 {
		t.Errorf("%v", went)
	}
}
