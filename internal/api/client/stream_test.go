package client_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"

	"quarantine/internal/api/client"
	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

const steps = "application/x-ndjson"

// A restore tells its progress and ends with the disk.
func TestRestore(t *testing.T) {
	t.Parallel()
	var asked, accept string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked, accept = r.Method+" "+r.URL.Path+" "+string(body), r.Header.Get("Accept")
		answer(http.StatusOK, steps, "{\"done\":1,\"total\":3}\n{\"done\":3,\"total\":3}\n{\"disk\":{\"id\":\"x\",\"state\":\"quarantined\"}}\n")(w, r)
	})
	var seen []string
	d, err := c.Restore(t.Context(), "x", wire.RestoreRequest{Pool: "p", Name: "n", Reason: "r"}, func(done, total uint64) {
		seen = append(seen, fmt.Sprintf("%d/%d", done, total))
	})
	if err != nil || d.ID != "x" || !slices.Equal(seen, []string{"1/3", "3/3"}) {
		t.Errorf("got %+v, %v, progress %v", d, err, seen)
	}
	if want := `POST /v1/disks/x/restore {"pool":"p","name":"n","reason":"r"}`; asked != want || accept != steps {
		t.Errorf("asked %q for %q", asked, accept)
	}
	if _, err := c.Restore(t.Context(), "x", wire.RestoreRequest{}, nil); err != nil {
		t.Errorf("without progress: %v", err)
	}
}

// A restore that fails says why, at once or in the middle; an answer without
// an end leaves it open whether it was done.
func TestRestoreFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		h         http.HandlerFunc
		is        error
		uncertain bool
	}{
		"at once":       {answer(409, "application/problem+json", `{"detail":"taken","code":"exists"}`), quarantine.ErrExists, false},
		"in the middle": {answer(200, steps, "{\"done\":1,\"total\":3}\n{\"error\":{\"detail\":\"on hold\",\"code\":\"refused\"}}\n"), quarantine.ErrRefused, false},
		"no end":        {answer(200, steps, "{\"done\":1,\"total\":3}\n"), client.ErrUnreachable, true},
		"nothing":       {answer(200, steps, ""), client.ErrUnreachable, true},
		"half a line":   {answer(200, steps, "{\"done\":1,"), client.ErrUnreachable, true},
		"a page":        {answer(200, "text/html", "<html>"), client.ErrUnreachable, true},
		"hung up": {func(w http.ResponseWriter, r *http.Request) {
			answer(200, steps, "{\"done\":1,\"total\":3}\n")(w, r)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, client.ErrUnreachable, true},
	} {
		d, err := serve(t, c.h).Restore(t.Context(), "x", wire.RestoreRequest{Name: "n"}, nil)
		if !errors.Is(err, c.is) || errors.Is(err, client.ErrUncertain) != c.uncertain || d.ID != "" {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
}

// sink keeps what it gets, and may fail, or stop the export at an extent.
type sink struct {
	size   int64
	bytes  []byte
	failAt int64
	stop   func()
}

var errFull = errors.New("disk full")

func (s *sink) Begin(size int64) error {
	s.size, s.bytes = size, make([]byte, size)
	return nil
}

func (s *sink) Extent(offset int64, data []byte) error {
	if s.failAt > 0 && offset >= s.failAt {
		return errFull
	}
	copy(s.bytes[offset:], data)
	if s.stop != nil {
		s.stop()
	}
	return nil
}

// export is a handler that streams a disk of 64 KiB with a hole, up to so many
// bytes of the stream.
func export(t *testing.T, upTo int) (http.HandlerFunc, []byte) {
	t.Helper()
	disk := make([]byte, 64<<10)
	copy(disk, bytes.Repeat([]byte("a"), 1000))
	copy(disk[50000:], "the end")
	var stream bytes.Buffer
	x, err := wire.NewExportWriter(&stream, int64(len(disk)))
	err = errors.Join(err, x.Extent(0, disk[:1000]), x.Extent(50000, disk[50000:50007]), x.End(sha256.Sum256(disk)))
	if err != nil {
		t.Fatal(err)
	}
	b := stream.Bytes()
	if upTo >= 0 {
		b = b[:upTo]
	}
	return answer(http.StatusOK, wire.ExportContentType, string(b)), disk
}

// An export gives all bytes and the daemon's digest.
func TestExport(t *testing.T) {
	t.Parallel()
	h, disk := export(t, -1)
	var got sink
	sum, err := serve(t, h).Export(t.Context(), "x", wire.ReasonRequest{Reason: "r"}, &got)
	if err != nil || sum != sha256.Sum256(disk) || !bytes.Equal(got.bytes, disk) {
		t.Errorf("got %d bytes, digest %x, %v", len(got.bytes), sum, err)
	}
}

// A stream that is cut anywhere is said to be, whatever came before.
func TestExportCutAnywhere(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 7, 15, 16, 20, 28, 500, 1028, 1040, 1047, 1059, 1090} {
		h, _ := export(t, n)
		if _, err := serve(t, h).Export(t.Context(), "x", wire.ReasonRequest{Reason: "r"}, &sink{}); !errors.Is(err, wire.ErrCutShort) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

// A refused export is a problem, an error of the sink is the sink's, and a
// stopped one is the context's.
func TestExportFails(t *testing.T) {
	t.Parallel()
	refused := serve(t, answer(409, "application/problem+json", `{"detail":"disk x is purged","code":"refused"}`))
	if _, err := refused.Export(t.Context(), "x", wire.ReasonRequest{Reason: "r"}, &sink{}); !errors.Is(err, quarantine.ErrRefused) || errors.Is(err, wire.ErrCutShort) {
		t.Errorf("refused: %v", err)
	}
	h, _ := export(t, -1)
	if _, err := serve(t, h).Export(t.Context(), "x", wire.ReasonRequest{Reason: "r"}, &sink{failAt: 1000}); !errors.Is(err, errFull) {
		t.Errorf("a full disk: %v", err)
	}
	half, _ := export(t, 1028)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that a client that goes is noticed
		half(w, r)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := c.Export(ctx, "x", wire.ReasonRequest{Reason: "r"}, &sink{stop: cancel}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}
