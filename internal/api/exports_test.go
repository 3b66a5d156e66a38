package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
)

// evidence makes a disk with two extents, a hole between them and one at its
// end, and returns its bytes.
func (w *world) evidence() (quarantine.Disk, []byte) {
	w.t.Helper()
	first, second := bytes.Repeat([]byte("1st."), fakeceph.BlockSize/4), bytes.Repeat([]byte("2nd."), fakeceph.BlockSize/4)
	d := w.dead(vms, "root", first, second)
	st, ok := w.ceph.Look(d.Key)
	if !ok || !bytes.Contains(st.SealedContent, second) || len(st.SealedContent) != 5*fakeceph.BlockSize {
		w.t.Fatal("the disk is not what the test needs")
	}
	return d, st.SealedContent
}

// A raw export has the disk's bytes, zeros included. It has their number at the
// beginning, or for a client that takes trailers their digest at the end; over
// HTTP/2 both. The custody log has the digest in any case.
func TestRawExport(t *testing.T) {
	t.Parallel()
	w := start(t)
	d, want := w.evidence()
	sum := sha256.Sum256(want)
	digest := hex.EncodeToString(sum[:])
	secure := httptest.NewUnstartedServer(w.server.Handler())
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	for name, c := range map[string]struct {
		te      string
		server  *httptest.Server
		length  int64
		trailer string
	}{
		"HTTP/1.1":              {server: w.http, length: int64(len(want))},
		"HTTP/1.1 and trailers": {te: "deflate;q=0.5, Trailers", server: w.http, length: -1, trailer: digest},
		"HTTP/2":                {server: secure, length: int64(len(want)), trailer: digest},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(w.ctx, "POST", c.server.URL+"/v1/disks/"+d.ID[:8]+"/export", strings.NewReader(`{"reason":"look"}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+operator)
			if c.te != "" {
				req.Header.Set("TE", c.te)
			}
			resp, err := c.server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes, %v; want the %d of the disk", len(got), err, len(want))
			}
			if resp.ContentLength != c.length || resp.Trailer.Get("X-Checksum-Sha256") != c.trailer {
				t.Errorf("length %d, trailer %q; want %d, %q", resp.ContentLength, resp.Trailer, c.length, c.trailer)
			}
			if ct := resp.Header.Get("Content-Type"); ct != "application/octet-stream" {
				t.Errorf("Content-Type %q", ct)
			}
			if e := w.custody.last(); e.Actor != "otto" || e.Reason != "look" || e.Detail["sha256"] != digest {
				t.Errorf("custody: %+v", e)
			}
		})
	}
	w.silent()
}

// A sparse export has the extents only, and the digest of it all.
func TestSparseExport(t *testing.T) {
	t.Parallel()
	w := start(t)
	d, want := w.evidence()
	for _, accept := range []string{wire.ExportContentType, "text/plain, " + wire.ExportContentType + ";q=0.9"} {
		a := w.send(operator, "POST", "/v1/disks/"+d.ID+"/export", `{"reason":"look"}`, "Accept", accept)
		if a.status != http.StatusOK || a.header.Get("Content-Type") != wire.ExportContentType {
			t.Fatalf("%d %v", a.status, a.header)
		}
		got, extents, sum := sparse(t, a.body)
		if !bytes.Equal(got, want) || sum != sha256.Sum256(want) || extents != 2 {
			t.Errorf("%d bytes in %d extents", len(got), extents)
		}
	}
}

func sparse(t *testing.T, body []byte) (content []byte, extents int, sum [32]byte) {
	t.Helper()
	sum, err := wire.ReadExport(bytes.NewReader(body), func(size int64) error {
		content = make([]byte, size)
		return nil
	}, func(offset int64, data []byte) error {
		extents++
		copy(content[offset:], data)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return content, extents, sum
}

// A disk of no bytes is exported as such.
func TestEmptyExport(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256(nil)
	w := start(t, func(w *world) {
		w.cfg.Exporter = exporter(func(_ context.Context, id string, sink quarantine.ExportSink) (string, error) {
			return hex.EncodeToString(sum[:]), sink.Begin(quarantine.Disk{ID: id})
		})
	})
	d := w.dead(vms, "root")
	a := w.send(operator, "POST", "/v1/disks/"+d.ID+"/export", `{"reason":"look"}`)
	if a.status != http.StatusOK || len(a.body) != 0 || a.header.Get("Content-Length") != "0" || a.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%+v", a)
	}
	a = w.send(operator, "POST", "/v1/disks/"+d.ID+"/export", `{"reason":"look"}`, "Accept", wire.ExportContentType)
	if content, extents, got := sparse(t, a.body); len(content) != 0 || extents != 0 || got != sum {
		t.Errorf("%d bytes in %d extents", len(content), extents)
	}
	w.silent()
}

// An extent larger than a reader takes is sent in pieces.
func TestLargeExtent(t *testing.T) {
	t.Parallel()
	want := bytes.Repeat([]byte("0123456789abcdef"), (40<<20)/16)
	w := start(t, func(w *world) {
		w.cfg.Exporter = exporter(func(_ context.Context, id string, sink quarantine.ExportSink) (string, error) {
			sum := sha256.Sum256(want)
			err := errors.Join(sink.Begin(quarantine.Disk{ID: id, SizeBytes: int64(len(want))}), sink.Extent(0, want))
			return hex.EncodeToString(sum[:]), err
		})
	})
	d := w.dead(vms, "root")
	a := w.send(operator, "POST", "/v1/disks/"+d.ID+"/export", `{"reason":"look"}`, "Accept", wire.ExportContentType)
	if got, extents, _ := sparse(t, a.body); extents != 3 || !bytes.Equal(got, want) {
		t.Errorf("%d bytes in %d extents", len(got), extents)
	}
}

// What fails before the first byte is a plain problem: a disk that may not be
// exported, and one that cannot be read.
func TestExportRefused(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root")
	w.ceph.FailNext("ReadSealed", 1, fmt.Errorf("no answer: %w", quarantine.ErrUnavailable))
	a := w.send(operator, "POST", "/v1/disks/"+d.ID+"/export", `{"reason":"r"}`)
	w.refused(a, http.StatusServiceUnavailable, wire.CodeUnavailable, "otto")
	if got := a.header.Get("Content-Length"); got != strconv.Itoa(len(a.body)) {
		t.Errorf("Content-Length %q of %d bytes", got, len(a.body))
	}
	w.ceph.FailNext("ReadSealed", 1, fmt.Errorf("no answer: %w", quarantine.ErrUnavailable))
	a = w.send(operator, "POST", "/v1/disks/"+d.ID+"/export", `{"reason":"r"}`, "TE", "trailers")
	w.refused(a, http.StatusServiceUnavailable, wire.CodeUnavailable, "otto")
	if got := a.header.Get("Trailer"); got != "" {
		t.Errorf("Trailer %q", got)
	}
	if a := w.send(admin, "POST", "/v1/disks/"+d.ID+"/restore", `{"in_place":true,"reason":"r"}`); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	w.refused(w.send(operator, "POST", "/v1/disks/"+d.ID+"/export", `{"reason":"r"}`, "Accept", wire.ExportContentType), http.StatusConflict, wire.CodeRefused, "otto")
}

// export reads a raw export and returns what came and how it ended.
func (w *world) export(id string, headers ...string) ([]byte, error) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.ctx, "POST", w.http.URL+"/v1/disks/"+id+"/export", strings.NewReader(`{"reason":"look"}`))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+operator)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// An export that fails in the middle is cut, in every form: what came is never
// taken for whole. It is one line in the log, and counted as failed.
func TestExportCut(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	for name, c := range map[string]struct {
		headers []string
		fail    func(sink quarantine.ExportSink) (string, error)
		status  int
	}{
		"raw":          {nil, readFails, 503},
		"with trailer": {[]string{"TE", "trailers"}, readFails, 503},
		"sparse":       {[]string{"Accept", wire.ExportContentType}, readFails, 503},
		"out of order": {nil, func(s quarantine.ExportSink) (string, error) { return "", s.Extent(0, make([]byte, 1)) }, 500},
		"beyond the end": {nil, func(s quarantine.ExportSink) (string, error) {
			return strings.Repeat("0", 64), s.Extent(size, make([]byte, 1))
		}, 500},
		"no digest": {[]string{"Accept", wire.ExportContentType}, func(quarantine.ExportSink) (string, error) { return "", nil }, 500},
		"panic":     {nil, func(quarantine.ExportSink) (string, error) { panic("a bug") }, 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, func(w *world) {
				w.cfg.Exporter = exporter(func(_ context.Context, id string, sink quarantine.ExportSink) (string, error) {
					if err := errors.Join(sink.Begin(quarantine.Disk{ID: id, SizeBytes: size}), sink.Extent(4096, make([]byte, size/2))); err != nil {
						return "", err
					}
					return c.fail(sink)
				})
			})
			d := w.dead(vms, "root")
			got, err := w.export(d.ID, c.headers...)
			if err == nil {
				t.Errorf("%d bytes look whole", len(got))
			}
			// The client may see the end before the line is written.
			w.http.Close()
			w.logged(c.status, "otto", "")
			if r := w.requests.take(); len(r) != 1 || r[0].status != c.status {
				t.Errorf("counted %+v", r)
			}
		})
	}
}

func readFails(quarantine.ExportSink) (string, error) {
	return "", fmt.Errorf("read: %w", quarantine.ErrUnavailable)
}

// A client that goes away during an export ends the reading, which is one line
// in the log.
func TestExportEndsWithItsClient(t *testing.T) {
	t.Parallel()
	for name, headers := range map[string][]string{"raw": nil, "sparse": {"Accept", wire.ExportContentType}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan error, 1)
			w := start(t, func(w *world) { w.cfg.Exporter = endlessExport(ended) })
			d := w.dead(vms, "root")
			ctx, leave := context.WithCancel(w.ctx)
			resp := w.open(ctx, operator, "POST", "/v1/disks/"+d.ID+"/export", strings.NewReader(`{"reason":"r"}`), headers...)
			defer resp.Body.Close()
			if _, err := io.ReadFull(resp.Body, make([]byte, 1<<20)); err != nil {
				t.Fatal(err)
			}
			leave()
			if err := <-ended; err == nil {
				t.Error("the read did not fail")
			}
			if r := w.requests.take(); len(r) != 1 || r[0].status != 499 {
				t.Errorf("counted %+v", r)
			}
			w.logged(499, "otto", "")
		})
	}
}

// endlessExport reads until the sink fails, and tells why.
func endlessExport(ended chan<- error) exporter {
	return func(_ context.Context, id string, sink quarantine.ExportSink) (string, error) {
		err := sink.Begin(quarantine.Disk{ID: id, SizeBytes: 1 << 50})
		for at := int64(0); err == nil; at += 1 << 20 {
			err = sink.Extent(at, make([]byte, 1<<20))
		}
		ended <- err
		return "", err
	}
}

// An export whose client does not read ends when the server's context does:
// the write that waits for the client is given up.
func TestExportEndsWithTheServer(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	w := start(t, func(w *world) { w.cfg.Exporter = endlessExport(ended) })
	d := w.dead(vms, "root")
	base, stop := context.WithCancel(w.ctx)
	srv := httptest.NewUnstartedServer(w.server.Handler())
	srv.Config.BaseContext = func(net.Listener) context.Context { return base }
	srv.Start()
	t.Cleanup(srv.Close)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const body = `{"reason":"r"}`
	if _, err := fmt.Fprintf(conn, "POST /v1/disks/%s/export HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", d.ID, operator, len(body), body); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err) // the answer has begun; nobody reads the rest
	}
	stop()
	if err := <-ended; err == nil {
		t.Error("the read did not fail")
	}
	w.requests.take()
	w.logged(499, "otto", "")
}
