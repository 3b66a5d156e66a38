package opennebula_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// ask makes one call, and checks that no part of the session is in its error.
func ask(t testing.TB, api *opennebula.API) error {
	t.Helper()
	_, _, err := api.Dying(t.Context(), tmDelete("7", "/disk.0"))
	checkError(t, err)
	return err
}

func checkError(t testing.TB, err error) {
	t.Helper()
	if err != nil && (strings.Contains(err.Error(), "hunter2") || len(err.Error()) > 700) {
		t.Errorf("the error has the session, or is long: %v", err)
	}
}

// served is the URL of a server with that handler.
func served(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL + "/RPC2"
}

// What the front-end says is told by its error code; where it says nothing that
// can be understood, nothing is concluded.
func TestAPIErrors(t *testing.T) {
	t.Parallel()
	secret := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(session)
	array := func(values string) string {
		return `<?xml version="1.0"?><methodResponse><params><param><value><array><data>` + values + `</data></array></value></param></params></methodResponse>`
	}
	const yes, no = "<value><boolean>1</boolean></value>", "<value><boolean>0</boolean></value>"
	for name, tt := range map[string]struct {
		body string
		err  error
		says string
	}{
		"no such VM":               {recorded(t, "vm_info_nonexistent"), quarantine.ErrNotFound, "Error getting virtual machine"},
		"not authorized":           {recorded(t, "image_allocate_source_as_user"), quarantine.ErrRefused, "restricted attribute"},
		"not authenticated":        {recorded(t, "vm_info_bad_auth"), quarantine.ErrUnavailable, "the session is refused"},
		"not in this state":        {recorded(t, "vm_action_bad_action"), quarantine.ErrBusy, "not supported"},
		"a fault":                  {recorded(t, "acct_nonexistent"), quarantine.ErrUnavailable, "not defined"},
		"a wrong parameter":        {refusal(4096, "x"), quarantine.ErrInvalid, "x"},
		"an internal error":        {refusal(8192, "the database is locked"), quarantine.ErrUnavailable, "locked"},
		"an unknown code":          {refusal(77, "x"), quarantine.ErrUnavailable, "x"},
		"locked":                   {refusal(32768, "x"), quarantine.ErrBusy, "x"},
		"the session repeated":     {refusal(256, "user "+secret+" and hunter2&lt;&amp;&gt;"), quarantine.ErrUnavailable, "…"},
		"the session in a fault":   {strings.Replace(recorded(t, "acct_nonexistent"), "one.acct", secret, 1), quarantine.ErrUnavailable, "…"},
		"a long message":           {refusal(1024, strings.Repeat("é", 5000)), quarantine.ErrNotFound, "éé"},
		"a message with escapes":   {refusal(1024, "a\x1b[31m\nb"), quarantine.ErrNotFound, "a?[31m b"},
		"nothing":                  {"", quarantine.ErrUnavailable, ""},
		"HTML":                     {"<html><body><p>It works!</body></html>", quarantine.ErrUnavailable, ""},
		"no XML":                   {"502 Bad Gateway", quarantine.ErrUnavailable, ""},
		"JSON":                     {`{"error": "x"}`, quarantine.ErrUnavailable, ""},
		"an empty array":           {array(""), quarantine.ErrUnavailable, ""},
		"yes, and nothing":         {array(yes), quarantine.ErrUnavailable, ""},
		"no, and nothing":          {array(no), quarantine.ErrUnavailable, ""},
		"no code":                  {array(yes + "<value><string>&lt;VM&gt;&lt;/VM&gt;</string></value>"), quarantine.ErrUnavailable, ""},
		"a code that is a text":    {array(yes + "<value><string>x</string></value><value><string>0</string></value>"), quarantine.ErrUnavailable, ""},
		"no array":                 {`<methodResponse><params><param><value><string>x</string></value></param></params></methodResponse>`, quarantine.ErrUnavailable, ""},
		"a number for a document":  {array(yes + "<value><i4>7</i4></value><value><i4>0</i4></value>"), quarantine.ErrUnavailable, "too early"},
		"no values":                {"<methodResponse></methodResponse>", quarantine.ErrUnavailable, ""},
		"an array of arrays":       {array("<value><array><data></data></array></value>"), quarantine.ErrUnavailable, ""},
		"cut short":                {answer(vmOf(7, ""))[:200], quarantine.ErrUnavailable, ""},
		"an entity bomb":           {strings.ReplaceAll(bomb(), "VM", "methodResponse"), quarantine.ErrUnavailable, ""},
		"an external entity":       {`<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + array(yes+"<value><string>&x;</string></value><value><i4>0</i4></value>"), quarantine.ErrUnavailable, ""},
		"another document":         {answer("<IMAGE><ID>7</ID></IMAGE>"), quarantine.ErrUnavailable, "IMAGE"},
		"a document that is text":  {answer("hello"), quarantine.ErrUnavailable, "text"},
		"deep nesting":             {strings.Repeat("<value><array><data>", 20_000), quarantine.ErrUnavailable, ""},
		"a document, deeply so":    {answer("<VM><ID>7</ID><STATE>3</STATE>" + strings.Repeat("<A>", 200_000) + strings.Repeat("</A>", 200_000) + "</VM>"), nil, ""},
		"a VM of many attributes":  {answer("<VM " + strings.Repeat(`a="" `, 300_000) + "><ID>7</ID><STATE>3</STATE></VM>"), nil, ""},
		"a VM of many elements":    {answer("<VM><ID>7</ID><STATE>3</STATE><TEMPLATE>" + strings.Repeat("<DISK/>", 100_000) + "</TEMPLATE></VM>"), nil, ""},
		"a VM of a long attribute": {answer(`<VM a="` + strings.Repeat(">", 300_000) + `"><ID>7</ID><STATE>3</STATE></VM>`), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newAPI(t, served(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tt.body) }), nil)
			err := ask(t, api)
			if !errors.Is(err, tt.err) || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %v that says %q", err, tt.err, tt.says)
			}
		})
	}
}

// An answer that is no success is none, whatever its body says; a redirect is
// not followed, because it would take the session elsewhere.
func TestAPIStatus(t *testing.T) {
	t.Parallel()
	elsewhere := served(t, func(w http.ResponseWriter, _ *http.Request) {
		t.Error("the session was sent elsewhere")
		_, _ = io.WriteString(w, answer(vmOf(7, "")))
	})
	for _, status := range []int{201, 302, 307, 308, 400, 401, 404, 500, 503} {
		api := newAPI(t, served(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, answer(vmOf(7, "")))
		}), nil)
		err := ask(t, api)
		if status/100 == 2 {
			if err != nil {
				t.Errorf("%d: %v", status, err)
			}
			continue
		}
		if !errors.Is(err, quarantine.ErrUnavailable) || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

// A front-end that is not there, or does not answer in time, or not to the end,
// is unavailable; the end of the context ends the call.
func TestAPISlow(t *testing.T) {
	t.Parallel()
	if err := ask(t, newAPI(t, "http://127.0.0.1:1/RPC2", nil)); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("nobody is there: %v", err)
	}
	whole := answer(vmOf(7, ""))
	for name, begin := range map[string]string{"no answer": "", "half an answer": whole[:200]} {
		h := func(w http.ResponseWriter, req *http.Request) {
			_, _ = io.ReadAll(req.Body) // else the server does not notice that the client goes
			_, _ = io.WriteString(w, begin)
			if begin != "" {
				_ = http.NewResponseController(w).Flush()
			}
			<-req.Context().Done()
		}
		err := ask(t, newAPI(t, served(t, h), func(c *opennebula.APIConfig) { c.Timeout = 50 * time.Millisecond }))
		if !errors.Is(err, quarantine.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		reached := make(chan struct{}, 1)
		api := newAPI(t, served(t, func(w http.ResponseWriter, req *http.Request) {
			reached <- struct{}{}
			h(w, req)
		}), nil)
		why := errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { <-reached; cancel(why) }()
		if _, _, err := api.Dying(ctx, tmDelete("7", "/disk.0")); !errors.Is(err, quarantine.ErrUnavailable) || !errors.Is(err, why) {
			t.Errorf("%s, and the context ends: %v", name, err)
		}
	}
	short := served(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
		_, _ = io.WriteString(w, whole[:len(whole)-50])
	})
	if err := ask(t, newAPI(t, short, nil)); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("a body that ends too early: %v", err)
	}
}

// The session is read anew for each call. Without one the front-end is not
// asked.
func TestAPISession(t *testing.T) {
	t.Parallel()
	bodies := make(chan string, 10)
	url := served(t, func(w http.ResponseWriter, req *http.Request) {
		b, _ := io.ReadAll(req.Body)
		bodies <- string(b)
		_, _ = io.WriteString(w, answer(vmOf(7, "")))
	})
	file := filepath.Join(t.TempDir(), "one_auth")
	api := newAPI(t, url, func(c *opennebula.APIConfig) { c.AuthFile = file })
	for content, want := range map[string]string{
		"":                  "", // none, or the file is not there
		"oneadmin":          "",
		"\noneadmin:x":      "",
		"oneadmin:first":    "<string>oneadmin:first</string>",
		" a:b:c \nnext:one": "<string>a:b:c</string>",
	} {
		if content != "" {
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		} else {
			_ = os.Remove(file)
		}
		err := ask(t, api)
		if want == "" {
			if !errors.Is(err, quarantine.ErrUnavailable) || len(bodies) != 0 {
				t.Errorf("%q: %v, asked %d times", content, err, len(bodies))
			}
			continue
		}
		if err != nil || len(bodies) != 1 {
			t.Fatalf("%q: %v, asked %d times", content, err, len(bodies))
		}
		if got := <-bodies; !strings.Contains(got, want) {
			t.Errorf("%q: asked %q", content, got)
		}
	}
}

// A pool of 50 MB is read, in a multiple of its length of memory; one that is
// longer than allowed ends the reading.
func TestAPILongAnswer(t *testing.T) {
	vm := recordedDoc(t, "vm_info_done")
	vm = strings.NewReplacer("<STATE>6<", "<STATE>3<", "<ID>0<", "<ID>%d<", "%", "%%").Replace(vm)
	const n = 3400
	var b strings.Builder
	for id := range n {
		fmt.Fprintf(&b, vm, id)
	}
	long := answer(vmPool(b.String()))
	if len(long) < 50<<20 {
		t.Fatalf("it has only %d bytes", len(long))
	}
	last := answer(vmPool(fmt.Sprintf(vm, n-1)))
	url := newReplay(t, func(c asked) string {
		switch {
		case c.method == "one.imagepool.info":
			return noImages(c)
		case c.args[1] == "0":
			return long
		}
		return last
	}).url
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := livingIDs(t, newAPI(t, url, func(c *opennebula.APIConfig) { c.PageSize = 5000 }))
	runtime.ReadMemStats(&after)
	if err != nil || len(got) != n {
		t.Fatalf("%d VMs, %v", len(got), err)
	}
	// All that was ever allocated, by the server of the test too.
	t.Logf("%d MiB for %d MiB", (after.TotalAlloc-before.TotalAlloc)>>20, len(long)>>20)
	if n := after.TotalAlloc - before.TotalAlloc; n > 40*uint64(len(long)) {
		t.Errorf("%d MiB allocated", n>>20)
	}
	api := newAPI(t, served(t, func(w http.ResponseWriter, req *http.Request) { _, _ = io.WriteString(w, long) }),
		func(c *opennebula.APIConfig) { c.MaxAnswer = 1 << 20 })
	if err := ask(t, api); !errors.Is(err, quarantine.ErrUnavailable) || !strings.Contains(err.Error(), "too long") {
		t.Errorf("got %v", err)
	}
}
