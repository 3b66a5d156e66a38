package opennebula_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// session is what the tests log in with. No error may have a part of it.
const session = "oneadmin:hunter2<&>"

// asked is a call as the front-end got it, without the session: the arguments
// as they are written.
type asked struct {
	method string
	args   []string
}

func (a asked) String() string { return a.method + "(" + strings.Join(a.args, ",") + ")" }

// replay is a front-end that answers with what was recorded.
type replay struct {
	url   string
	close func()

	mu    sync.Mutex
	calls []asked
}

// newReplay answers calls with whole HTTP bodies; an empty one is a call that
// the test does not know.
func newReplay(t testing.TB, answer func(asked) string) *replay {
	t.Helper()
	r := &replay{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		call, err := readCall(req.Body)
		if err != nil {
			t.Errorf("a call cannot be read: %v", err)
		}
		r.mu.Lock()
		r.calls = append(r.calls, call)
		r.mu.Unlock()
		body := answer(call)
		if body == "" {
			t.Errorf("unexpected call %s", call)
		}
		w.Header().Set("Content-Type", "text/xml; charset=utf-8")
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	r.url, r.close = srv.URL+"/RPC2", srv.Close
	return r
}

// made are the calls that were made.
func (r *replay) made() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, c := range r.calls {
		out = append(out, c.String())
	}
	return out
}

// readCall reads an XML-RPC request, and that it bears the session.
func readCall(body io.Reader) (asked, error) {
	var m struct {
		Name   string `xml:"methodName"`
		Params []struct {
			Text []struct {
				Text string `xml:",chardata"`
			} `xml:",any"`
		} `xml:"params>param>value"`
	}
	if err := xml.NewDecoder(body).Decode(&m); err != nil {
		return asked{}, err
	}
	a := asked{method: m.Name}
	for i, p := range m.Params {
		text := ""
		if len(p.Text) > 0 {
			text = p.Text[0].Text
		}
		if i == 0 {
			if text != session {
				return a, fmt.Errorf("the session is %q", text)
			}
			continue
		}
		a.args = append(a.args, text)
	}
	return a, nil
}

// recorded is the whole recorded answer of that name.
func recorded(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "xmlrpc", name+".response.xml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// recordedDoc is the document in it.
func recordedDoc(t testing.TB, name string) string {
	return string(body(t, "xmlrpc/"+name+".response.xml"))
}

// answer wraps a document as oned does.
func answer(doc string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>` + "\r\n<methodResponse>\r\n<params>\r\n<param><value><array><data>\r\n<value><boolean>1</boolean></value>\r\n<value><string>" +
		strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(doc) + "</string></value>\r\n<value><i4>0</i4></value>\r\n</data></array></value></param>\r\n</params>\r\n</methodResponse>\r\n"
}

// refusal is an answer with an error code of oned.
func refusal(code int, text string) string {
	return fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?><methodResponse><params><param><value><array><data><value><boolean>0</boolean></value><value><string>%s</string></value><value><i4>%d</i4></value><value><i4>-1</i4></value><value><i8>-1</i8></value></data></array></value></param></params></methodResponse>`, text, code)
}

// elementsOf returns the elements of that name that a recorded pool has, as
// they are written.
func elementsOf(t testing.TB, doc, name string) []string {
	t.Helper()
	var out []string
	for rest := doc; ; {
		from := strings.Index(rest, "<"+name+">")
		if from < 0 {
			return out
		}
		// The elements of a VM pool hold no other of their name; those of
		// accounting are cut by HISTORY, and hold a VM each.
		to := strings.Index(rest, "</"+name+">")
		if to < from {
			t.Fatalf("the pool's <%s> does not end", name)
		}
		to += len("</" + name + ">")
		out = append(out, rest[from:to])
		rest = rest[to:]
	}
}

// pageOf answers a call for a page of the elements: by offset where the third
// argument is negative, as oned does.
func pageOf(t testing.TB, root string, all []string, call asked) string {
	t.Helper()
	var offset, end int
	if _, err := fmt.Sscan(call.args[1]+" "+call.args[2], &offset, &end); err != nil || end >= -1 || offset < 0 {
		t.Errorf("%s asks for no page", call)
		return ""
	}
	offset = min(offset, len(all))
	return answer("<" + root + ">" + strings.Join(all[offset:min(len(all), offset-end)], "") + "</" + root + ">")
}

// now is the clock of the tests: after all that was recorded.
var now = time.Unix(1795400000, 0).UTC()

// newAPI makes a client of the front-end. Change what is to be another way in
// set.
func newAPI(t testing.TB, url string, set func(*opennebula.APIConfig)) *opennebula.API {
	t.Helper()
	auth := filepath.Join(t.TempDir(), "one_auth")
	if err := os.WriteFile(auth, []byte(session+"\nignored\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := opennebula.APIConfig{Cloud: cloud, Endpoint: url, AuthFile: auth, Timeout: time.Minute, Clock: func() time.Time { return now }}
	if set != nil {
		set(&cfg)
	}
	api, err := opennebula.NewAPI(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// collected returns what a listing gives.
func collected(list func(each func(quarantine.Deletion) error) error) ([]quarantine.Deletion, error) {
	var out []quarantine.Deletion
	err := list(func(d quarantine.Deletion) error {
		if err := d.Validate(); err != nil {
			return err
		}
		out = append(out, d)
		return nil
	})
	slices.SortFunc(out, func(a, b quarantine.Deletion) int { return strings.Compare(line(a), line(b)) })
	return out, err
}

func equalJSON(t testing.TB, a, b any) bool {
	t.Helper()
	x, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(x) == string(y)
}

// idOf is the ID of an element.
func idOf(t testing.TB, element string) string {
	t.Helper()
	_, rest, ok := strings.Cut(element, "<ID>")
	id, _, closed := strings.Cut(rest, "</ID>")
	if !ok || !closed {
		t.Fatalf("no id in %.80s", element)
	}
	return id
}

// infoset answers a call for VMs by their ids, the highest first, as oned does.
func infoset(t testing.TB, vms map[string]string, call asked) string {
	t.Helper()
	if len(call.args) != 2 || call.args[1] != "1" {
		t.Errorf("%s does not ask for extended VMs", call)
	}
	var found []string
	for id := range strings.SplitSeq(call.args[0], ",") {
		if vm, ok := vms[id]; ok {
			found = append(found, vm)
		}
	}
	slices.SortFunc(found, func(a, b string) int {
		return len(idOf(t, b))*1000 - len(idOf(t, a))*1000 + strings.Compare(idOf(t, b), idOf(t, a))
	})
	return answer("<VM_POOL>" + strings.Join(found, "") + "</VM_POOL>")
}

// accounting answers with the recorded history records that ended after the one
// time, or have not ended, and began before the other.
func accounting(t testing.TB, call asked) string {
	t.Helper()
	var filter, from, to int64
	if _, err := fmt.Sscan(strings.Join(call.args, " "), &filter, &from, &to); err != nil {
		t.Errorf("%s: %v", call, err)
	}
	var found []string
	for _, h := range elementsOf(t, recordedDoc(t, "vmpool_accounting"), "HISTORY") {
		began, ended := intIn(t, h, "STIME"), intIn(t, h, "ETIME")
		if (from == -1 || ended > from || ended == 0) && (to == -1 || began < to) {
			found = append(found, h)
		}
	}
	return answer("<HISTORY_RECORDS>" + strings.Join(found, "") + "</HISTORY_RECORDS>")
}

// intIn is the first number of that name in an element.
func intIn(t testing.TB, element, name string) int64 {
	t.Helper()
	_, rest, _ := strings.Cut(element, "<"+name+">")
	text, _, _ := strings.Cut(rest, "</")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}
