package fakeneutron

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// extensions are those that Nova asks for.
var extensions = []string{"binding", "port-security", "security-group", "quotas", "provider", "net-mtu", "l2_adjacency", "external-net", "router"}

var errNotFound = errors.New("could not be found")

// service serves a State.
type service struct {
	mu      sync.Mutex
	state   *State
	changed func(serverID string)
}

// Handler serves the API. When a floating IP was given to a server or taken
// from it, changed is called with the server's id, as Neutron tells Nova; it
// must not block.
func Handler(s *State, changed func(serverID string)) http.Handler {
	v := &service{state: s, changed: changed}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		link := object{"rel": "self", "href": "http://" + r.Host + "/v2.0/"}
		reply(w, http.StatusOK, object{"versions": []object{{"id": "v2.0", "status": "CURRENT", "links": []object{link}}}})
	})
	mux.HandleFunc("/v2.0/{kind}", v.serve)
	mux.HandleFunc("/v2.0/{kind}/{id}", v.serve)
	return mux
}

func (v *service) serve(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var body map[string]object
	if r.ContentLength != 0 {
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
	}
	kind, id := strings.TrimSuffix(r.PathValue("kind"), ".json"), strings.TrimSuffix(r.PathValue("id"), ".json")
	var doc object
	var err error
	switch kind {
	case "ports":
		doc, err = v.change(r.Method, id, body["port"], "port", v.state.Ports, v.state.newPort, v.updatePort)
	case "floatingips":
		doc, err = v.change(r.Method, id, body["floatingip"], "floatingip", v.state.Floating, v.state.newFloating, v.state.associate)
	default:
		doc, err = v.look(kind, id)
	}
	if err == nil && r.Method != http.MethodGet {
		err = v.state.Save()
	}
	switch {
	case errors.Is(err, errNotFound):
		refuse(w, http.StatusNotFound, err)
	case err != nil:
		refuse(w, http.StatusInternalServerError, err)
	case r.Method == http.MethodPost:
		reply(w, http.StatusCreated, doc)
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	default:
		if id == "" {
			doc = filter(doc, r.URL.Query())
		}
		reply(w, http.StatusOK, doc)
	}
}

// change serves a kind of resources that are made and changed.
func (v *service) change(method, id string, asked object, one string, all map[string]object,
	make func(object, string) (object, error), update func(o, asked object) error) (object, error) {
	if method == http.MethodPost {
		o, err := make(asked, newID())
		if err == nil && one == "floatingip" {
			v.tell(o)
		}
		return object{one: o}, err
	}
	if id == "" {
		list := []object{}
		for _, o := range all {
			list = append(list, o)
		}
		slices.SortFunc(list, func(a, b object) int { return cmp.Compare(text(a, "id"), text(b, "id")) })
		return object{one + "s": list}, nil
	}
	o, ok := all[id]
	if !ok {
		return nil, fmt.Errorf("%s %s %w", one, id, errNotFound)
	}
	switch method {
	case http.MethodPut:
		if one == "floatingip" {
			v.tell(o) // whom it leaves
			defer v.tell(o)
		}
		if err := update(o, asked); err != nil {
			return nil, err
		}
	case http.MethodDelete:
		if one == "floatingip" {
			defer v.tell(o)
		} else {
			v.free(id)
		}
		delete(all, id)
	}
	return object{one: o}, nil
}

func (v *service) updatePort(p, asked object) error {
	for k, x := range asked {
		p[k] = x
	}
	v.state.bind(p)
	return nil
}

// free takes the floating IPs from a port that goes.
func (v *service) free(port string) {
	for _, f := range v.state.Floating {
		if text(f, "port_id") == port {
			f["port_id"], f["fixed_ip_address"], f["status"] = nil, nil, "DOWN"
		}
	}
}

// tell reports the server that a floating IP leads to.
func (v *service) tell(f object) {
	port, ok := v.state.Ports[text(f, "port_id")]
	if device := text(port, "device_id"); ok && device != "" && v.changed != nil {
		v.changed(device)
	}
}

// look serves what is fixed.
func (v *service) look(kind, id string) (object, error) {
	switch kind {
	case "extensions":
		list := []object{}
		for _, a := range extensions {
			list = append(list, object{"alias": a, "name": a, "description": "", "updated": "2013-01-01T00:00:00-00:00", "links": []object{}})
		}
		return object{"extensions": list}, nil
	case "networks":
		list := []object{}
		for _, n := range v.state.Networks {
			list = append(list, n.show())
		}
		return pick("network", list, id)
	case "subnets":
		list := []object{}
		for _, n := range v.state.Networks {
			for _, s := range n.Subnets {
				o, err := s.show(n.ID)
				if err != nil {
					return nil, err
				}
				list = append(list, o)
			}
		}
		return pick("subnet", list, id)
	case "security-groups":
		group := object{"id": "33333333-3333-4333-8333-333333333333", "name": "default", "description": "", "tenant_id": "", "project_id": "", "security_group_rules": []object{}}
		return pick("security_group", []object{group}, id)
	case "quotas":
		return object{"quota": object{"port": -1, "network": -1, "subnet": -1, "security_group": -1, "security_group_rule": -1, "floatingip": -1}}, nil
	}
	return object{strings.ReplaceAll(kind, "-", "_"): []object{}}, nil // none of that
}

// pick is the one with the id, or all.
func pick(one string, list []object, id string) (object, error) {
	if id == "" {
		return object{one + "s": list}, nil
	}
	for _, o := range list {
		if o["id"] == id {
			return object{one: o}, nil
		}
	}
	return nil, fmt.Errorf("%s %s %w", one, id, errNotFound)
}

// filter keeps of a listing what the query's keys match. Keys that resources
// do not have say how to list, and everybody sees the shared networks.
func filter(doc object, query url.Values) object {
	out := object{}
	for kind, v := range doc {
		list, ok := v.([]object)
		if !ok {
			return doc
		}
		kept := []object{}
		for _, o := range list {
			if matches(o, query, kind) {
				kept = append(kept, o)
			}
		}
		out[kind] = kept
	}
	return out
}

func matches(o object, query url.Values, kind string) bool {
	everybodys := kind == "networks" || kind == "subnets" || kind == "security_groups"
	for k, values := range query {
		x, has := o[k]
		if !has || k == "fields" || everybodys && (k == "tenant_id" || k == "project_id") {
			continue
		}
		if !slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, fmt.Sprint(x)) }) {
			return false
		}
	}
	return true
}

func reply(w http.ResponseWriter, status int, doc object) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(doc) // the client is gone
}

func refuse(w http.ResponseWriter, status int, err error) {
	reply(w, status, object{"NeutronError": object{"type": http.StatusText(status), "message": err.Error(), "detail": ""}})
}

// newID makes a random (version 4) UUID.
func newID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
