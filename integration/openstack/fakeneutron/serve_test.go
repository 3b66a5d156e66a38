package fakeneutron

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// api is a client of a service.
type api struct {
	t   *testing.T
	url string
}

// do sends a request, expects the status and returns the answer.
func (a api) do(status int, method, path, body string) map[string]any {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	if resp.StatusCode != status {
		a.t.Fatalf("%s %s: status %d, want %d: %s", method, path, resp.StatusCode, status, b)
	}
	var doc map[string]any
	if len(b) > 0 {
		if err := json.Unmarshal(b, &doc); err != nil {
			a.t.Fatalf("%s %s: %v in %s", method, path, err, b)
		}
	}
	return doc
}

// start serves a new state and returns its file and the servers that were
// told.
func start(t *testing.T, s *State) (a api, told *[]string) {
	t.Helper()
	told = new([]string)
	server := httptest.NewServer(Handler(s, func(id string) { *told = append(*told, id) }))
	t.Cleanup(server.Close)
	return api{t, server.URL + "/v2.0"}, told
}

// port makes a port on the network and returns its id and addresses.
func (a api) port(network, device string) (id string, ips []string) {
	a.t.Helper()
	body := `{"port":{"network_id":"` + network + `","device_id":"` + device + `","tenant_id":"p","binding:host_id":"node1"}}`
	p := a.do(http.StatusCreated, http.MethodPost, "/ports", body)["port"].(map[string]any)
	return text(p, "id"), addresses(p)
}

// Ports get an address in each subnet of their network; no address comes back,
// neither after the port was deleted nor after a restart of the service.
func TestAddressesAreGivenOnce(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "networks.json")
	s := New(file, "brq-")
	a, _ := start(t, s)
	first, ips := a.port(s.Networks[1].ID, "server")
	if want := []string{"10.78.0.10", "fd00:78::a"}; !slices.Equal(ips, want) {
		t.Errorf("the first port has %q, want %q", ips, want)
	}
	a.do(http.StatusNoContent, http.MethodDelete, "/ports/"+first, "")
	a.do(http.StatusNotFound, http.MethodGet, "/ports/"+first, "")
	again, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	a, _ = start(t, again)
	if _, ips := a.port(s.Networks[1].ID, "server"); !slices.Equal(ips, []string{"10.78.0.11", "fd00:78::b"}) {
		t.Errorf("the second port has %q", ips)
	}
	again.Next["10.78.0.0/16"] = 255
	if _, ips := a.port(s.Networks[1].ID, "server"); ips[0] != "10.78.0.255" {
		t.Errorf("the port has %q", ips)
	}
	if _, ips := a.port(s.Networks[1].ID, "server"); ips[0] != "10.78.1.0" {
		t.Errorf("the port after it has %q", ips)
	}
	again.Next["10.78.0.0/16"] = 1 << 16
	a.do(http.StatusInternalServerError, http.MethodPost, "/ports", `{"port":{"network_id":"`+s.Networks[1].ID+`"}}`)
}

// A port that has a host is bound to a bridge of the lab; the queries that Nova
// asks find it.
func TestPortsAreBoundAndFound(t *testing.T) {
	t.Parallel()
	s := New(filepath.Join(t.TempDir(), "networks.json"), "brq-")
	a, _ := start(t, s)
	id, ips := a.port(s.Networks[0].ID, "one")
	a.port(s.Networks[0].ID, "two")
	p := a.do(http.StatusOK, http.MethodGet, "/ports/"+id, "")["port"].(map[string]any)
	details, _ := p["binding:vif_details"].(map[string]any)
	if p["binding:vif_type"] != "bridge" || details["bridge_name"] != "brq-0" || p["project_id"] != "p" || ips[0] != "10.77.0.10" {
		t.Errorf("the port is %v", p)
	}
	for query, want := range map[string]int{
		"device_id=one": 1, "device_id=none": 0, "tenant_id=p": 2, "tenant_id=q": 0, "device_id=one&fields=id": 1, "": 2,
	} {
		if list := a.do(http.StatusOK, http.MethodGet, "/ports?"+query, "")["ports"].([]any); len(list) != want {
			t.Errorf("?%s finds %d ports, want %d", query, len(list), want)
		}
	}
	for query, want := range map[string]int{
		"tenant_id=x&shared=True": 2, "tenant_id=x&shared=False": 1, "id=" + s.Networks[1].ID: 1, "router:external=True": 1,
	} {
		if list := a.do(http.StatusOK, http.MethodGet, "/networks?"+query, "")["networks"].([]any); len(list) != want {
			t.Errorf("?%s finds %d networks, want %d", query, len(list), want)
		}
	}
	p = a.do(http.StatusOK, http.MethodPut, "/ports/"+id, `{"port":{"binding:host_id":""}}`)["port"].(map[string]any)
	if p["binding:vif_type"] != "unbound" {
		t.Errorf("without a host the port is %v", p["binding:vif_type"])
	}
	a.do(http.StatusNotFound, http.MethodPost, "/ports", `{"port":{"network_id":"none"}}`)
	a.do(http.StatusBadRequest, http.MethodPost, "/ports", `{`)
}

// A floating IP leads to the port that it was given, tells its server when it
// comes and goes, and is freed by the port's end.
func TestFloatingIPs(t *testing.T) {
	t.Parallel()
	s := New(filepath.Join(t.TempDir(), "networks.json"), "brq-")
	a, told := start(t, s)
	one, ips := a.port(s.Networks[1].ID, "one")
	two, _ := a.port(s.Networks[0].ID, "two")
	f := a.do(http.StatusCreated, http.MethodPost, "/floatingips", `{"floatingip":{"port_id":"`+one+`"}}`)["floatingip"].(map[string]any)
	if f["floating_ip_address"] != "198.18.0.10" || f["fixed_ip_address"] != ips[0] || f["project_id"] != "p" {
		t.Errorf("the floating IP is %v", f)
	}
	query := "/floatingips?fixed_ip_address=" + ips[0] + "&port_id=" + one
	if list := a.do(http.StatusOK, http.MethodGet, query, "")["floatingips"].([]any); len(list) != 1 {
		t.Errorf("Nova's query finds %v", list)
	}
	path := "/floatingips/" + text(f, "id")
	a.do(http.StatusOK, http.MethodPut, path, `{"floatingip":{"port_id":"`+two+`","fixed_ip_address":null}}`)
	if want := []string{"one", "one", "two"}; !slices.Equal(*told, want) {
		t.Errorf("told were %q, want %q", *told, want)
	}
	a.do(http.StatusNoContent, http.MethodDelete, "/ports/"+two, "")
	f = a.do(http.StatusOK, http.MethodGet, path, "")["floatingip"].(map[string]any)
	if f["port_id"] != nil || f["fixed_ip_address"] != nil {
		t.Errorf("after its port's end the floating IP is %v", f)
	}
	a.do(http.StatusNotFound, http.MethodPut, path, `{"floatingip":{"port_id":"none"}}`)
	a.do(http.StatusNoContent, http.MethodDelete, path, "")
	a.do(http.StatusNotFound, http.MethodDelete, path, "")
}
