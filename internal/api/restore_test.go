package api_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// steps reads a stream of steps.
func steps(t *testing.T, a answer) []wire.Step {
	t.Helper()
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%d %s: %s", a.status, a.header.Get("Content-Type"), a.body)
	}
	var out []wire.Step
	for line := range bytes.Lines(a.body) {
		var s wire.Step
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		out = append(out, s)
	}
	return out
}

// A clone with flatten ends with progress and the disk; the clone is there with
// the disk's bytes.
func TestRestoreClone(t *testing.T) {
	t.Parallel()
	w := start(t)
	content := bytes.Repeat([]byte("evidence"), fakeceph.BlockSize/8)
	d := w.dead(vms, "root", content)
	got := steps(t, w.send(operator, "POST", "/v1/disks/"+d.ID[:6]+"/restore", `{"pool":"one","name":"again","flatten":true,"reason":"needed"}`))
	last := got[len(got)-1]
	if len(got) < 2 || got[0].Done == 0 || got[0].Done != got[0].Total || last.Disk == nil || last.Disk.ID != d.ID || last.Disk.State != "quarantined" {
		t.Errorf("%+v", got)
	}
	key, ok := w.ceph.LookLive(one, "again")
	if !ok {
		t.Fatal("the clone is not there")
	}
	if st, _ := w.ceph.Look(key); !bytes.HasPrefix(st.Content, content) {
		t.Error("the clone has other bytes")
	}
	w.silent()
}

// A restore in place ends with the disk, in a stream as well.
func TestRestoreInPlace(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(nsed, "root")
	got := steps(t, w.send(operator, "POST", "/v1/disks/"+d.ID+"/restore", `{"in_place":true,"reason":"needed"}`))
	if len(got) != 1 || got[0].Disk == nil || got[0].Disk.State != "restored" || got[0].Disk.RestoredTo != "root" {
		t.Errorf("%+v", got)
	}
	if _, ok := w.ceph.LookLive(nsed, "root"); !ok {
		t.Error("the image is not live")
	}
}

// What fails before the first step is a plain problem: an unknown disk, a
// hold, a name that is taken, a Ceph that does not answer.
func TestRestoreRefused(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root")
	if _, err := w.ceph.CloudCreate(vms, "taken", fakeceph.BlockSize); err != nil {
		t.Fatal(err)
	}
	path := "/v1/disks/" + d.ID + "/restore"
	accept := []string{"Accept", "application/x-ndjson"}
	w.refused(w.send(operator, "POST", "/v1/disks/0123456789abcdef/restore", `{"name":"x","reason":"r"}`, accept...), http.StatusNotFound, wire.CodeNotFound, "otto")
	w.refused(w.send(operator, "POST", path, `{"name":"taken","reason":"r"}`, accept...), http.StatusConflict, wire.CodeExists, "otto")
	w.ceph.FailNext("LiveImages", 1, fmt.Errorf("no answer: %w", quarantine.ErrUnavailable))
	a := w.send(operator, "POST", path, `{"name":"x","reason":"r"}`, accept...)
	w.refused(a, http.StatusServiceUnavailable, wire.CodeUnavailable, "otto")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if a := w.send(operator, "POST", "/v1/disks/"+d.ID+"/hold", `{"case_id":"C-1","reason":"r"}`); a.status != http.StatusOK {
		t.Fatalf("%d", a.status)
	}
	w.refused(w.send(operator, "POST", path, `{"in_place":true,"reason":"r"}`, accept...), http.StatusConflict, wire.CodeRefused, "otto")
}

// Progress is told at most four times a second: the first and the last always.
func TestRestoreProgress(t *testing.T) {
	t.Parallel()
	out := &lineWriter{written: make(chan string, 2000)}
	var told []string
	w := start(t, func(w *world) {
		w.cfg.Restorer = restorer(func(_ context.Context, id string, progress quarantine.Progress) (quarantine.Disk, error) {
			for i := range uint64(1000) {
				progress(i+1, 1000)
				if i%250 == 0 || i == 999 { // told: wait, so that no newer one replaces it
					told = append(told, <-out.written)
				}
				w.clock.add(time.Millisecond)
			}
			return w.disk(id), nil
		})
	})
	d := w.dead(vms, "root")
	r := httptest.NewRequest("POST", "/v1/disks/"+d.ID+"/restore", strings.NewReader(`{"name":"x","flatten":true,"reason":"r"}`))
	r.Header.Set("Authorization", "Bearer "+operator)
	w.server.Handler().ServeHTTP(out, r)
	close(out.written)
	for line := range out.written {
		told = append(told, line)
	}
	want := []string{`{"done":1,"total":1000}`, `{"done":251,"total":1000}`, `{"done":501,"total":1000}`, `{"done":751,"total":1000}`, `{"done":1000,"total":1000}`}
	if len(told) != 6 || !slices.Equal(told[:5], want) || !strings.Contains(told[5], d.ID) {
		t.Errorf("%d lines: %q", len(told), told)
	}
	w.silent()
}

// lineWriter hands over each line that is written.
type lineWriter struct {
	httptest.ResponseRecorder
	written chan string
}

func (l *lineWriter) Write(b []byte) (int, error) {
	l.written <- strings.TrimSpace(string(b))
	return len(b), nil
}

// An error after the first step is the last line, and one line in the log.
func TestRestoreFails(t *testing.T) {
	t.Parallel()
	w := start(t, func(w *world) {
		w.cfg.Restorer = restorer(func(_ context.Context, _ string, progress quarantine.Progress) (quarantine.Disk, error) {
			progress(1, 2)
			return quarantine.Disk{}, fmt.Errorf("flatten: %w", quarantine.ErrUnavailable)
		})
	})
	d := w.dead(vms, "root")
	got := steps(t, w.send(operator, "POST", "/v1/disks/"+d.ID+"/restore", `{"name":"x","flatten":true,"reason":"r"}`))
	last := got[len(got)-1]
	if len(got) != 2 || last.Disk != nil || last.Error == nil || last.Error.Status != 503 || !errors.Is(last.Error, quarantine.ErrUnavailable) {
		t.Errorf("%+v", got)
	}
	w.logged(503, "otto", "flatten")
	if r := w.requests.take(); len(r) != 1 || r[0].status != 503 {
		t.Errorf("counted %+v", r)
	}
}

// A step is sent when it is told, not when the restore has ended.
func TestRestoreIsFlushed(t *testing.T) {
	t.Parallel()
	seen := make(chan struct{})
	w := start(t, func(w *world) {
		w.cfg.Restorer = restorer(func(ctx context.Context, id string, progress quarantine.Progress) (quarantine.Disk, error) {
			progress(1, 2)
			select {
			case <-seen:
			case <-ctx.Done():
				return quarantine.Disk{}, ctx.Err()
			}
			return quarantine.Disk{ID: id}, nil
		})
	})
	d := w.dead(vms, "root")
	resp := w.open(w.ctx, operator, "POST", "/v1/disks/"+d.ID+"/restore", strings.NewReader(`{"name":"x","reason":"r"}`))
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	if line, err := lines.ReadString('\n'); err != nil || line != `{"done":1,"total":2}`+"\n" {
		t.Fatalf("%q %v", line, err)
	}
	close(seen)
	if rest, err := io.ReadAll(lines); err != nil || !strings.Contains(string(rest), d.ID) {
		t.Errorf("%q %v", rest, err)
	}
}

// A client that goes away ends its restore, whose goroutine ends too.
func TestRestoreEndsWithItsClient(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	w := start(t, func(w *world) {
		w.cfg.Restorer = restorer(func(ctx context.Context, _ string, progress quarantine.Progress) (quarantine.Disk, error) {
			progress(1, 2)
			<-ctx.Done()
			ended <- ctx.Err()
			return quarantine.Disk{}, fmt.Errorf("flatten: %w", ctx.Err())
		})
	})
	d := w.dead(vms, "root")
	ctx, leave := context.WithCancel(w.ctx)
	resp := w.open(ctx, operator, "POST", "/v1/disks/"+d.ID+"/restore", strings.NewReader(`{"name":"x","reason":"r"}`))
	defer resp.Body.Close()
	if _, err := bufio.NewReader(resp.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	leave()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	w.requests.take()
	w.logged(499, "otto", "context canceled")
	noGoroutine(t, "api.(*steps)")
}

// A restore that panics after its first step cuts the connection, so that the
// stream is not taken for whole, and leaves no goroutine.
func TestRestorePanics(t *testing.T) {
	t.Parallel()
	w := start(t, func(w *world) {
		w.cfg.Restorer = restorer(func(_ context.Context, _ string, progress quarantine.Progress) (quarantine.Disk, error) {
			progress(1, 2)
			panic("a bug")
		})
	})
	d := w.dead(vms, "root")
	req, err := http.NewRequestWithContext(w.ctx, "POST", w.http.URL+"/v1/disks/"+d.ID+"/restore", strings.NewReader(`{"name":"x","reason":"r"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+operator)
	resp, err := w.client.Do(req)
	if err == nil { // what was flushed before may come, the end may not
		_, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	if err == nil {
		t.Error("the answer looks whole")
	}
	w.logged(500, "otto", "panic: a bug")
	noGoroutine(t, "api.(*steps)")
}
