package opennebula

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"quarantine/internal/quarantine"
)

// HookTemplate is a hook that the front-end is to have.
type HookTemplate struct {
	Name string
	// XML is its template, as one.hook.allocate takes it; NAME is Name.
	XML string
}

// Hook is a hook that the front-end has.
type Hook struct {
	ID   int
	Name string
	Type string // "state" or "api"
	// Attributes are those of its template.
	Attributes map[string]string
}

// What becomes of a hook.
const (
	HookCreate = "create"
	HookUpdate = "update"
	// HookReplace: it is deleted and made again, because its type or its resource
	// cannot be changed.
	HookReplace = "replace"
	HookDelete  = "delete"
)

// HookChange is what was done to a hook, or would be.
type HookChange struct {
	Name string
	// What is one of HookCreate, HookUpdate, HookReplace, HookDelete.
	What string
	// ID is the hook's; -1 where it is not made yet.
	ID int
	// Differs names the attributes that were otherwise.
	Differs []string
}

// HookInstaller makes hooks of a front-end. It never touches one that has
// another name than those that it is given.
type HookInstaller struct{ api *API }

// NewHookInstaller makes an installer. The API's session must be oneadmin's.
func NewHookInstaller(a *API) *HookInstaller { return &HookInstaller{a} }

// Hooks lists the hooks that the front-end has. Similar to: onehook list.
func (h *HookInstaller) Hooks(ctx context.Context) ([]Hook, error) {
	var found []Hook
	err := h.api.insist(ctx, func(ctx context.Context) error {
		found = nil
		doc, err := h.api.document(ctx, "one.hookpool.info", -2, -1, -1)
		if err != nil {
			return err
		}
		return inPool(doc, "HOOK_POOL", "HOOK", func(v hookXML) error {
			id, err := number(v.ID)
			if err != nil {
				return unreadable("a hook has no id")
			}
			found = append(found, Hook{id, v.Name, v.Type, v.Template})
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("cloud %s: list the hooks: %w", h.api.cfg.Cloud, err)
	}
	return found, nil
}

// Install makes the hooks that are missing, changes those that differ, and
// leaves the others alone; it can be run again at any time. With dry it only
// tells what it would do. The changes that were made are returned with an error,
// too. ErrInvalid if a template cannot be right; nothing was changed then.
func (h *HookInstaller) Install(ctx context.Context, wanted []HookTemplate, dry bool) ([]HookChange, error) {
	hooks := make([]wantedHook, 0, len(wanted))
	for i, t := range wanted {
		if slices.ContainsFunc(wanted[:i], func(o HookTemplate) bool { return o.Name == t.Name }) {
			return nil, invalidf("hook %q is given twice", t.Name)
		}
		w, err := parseHook(t)
		if err != nil {
			return nil, err
		}
		hooks = append(hooks, w)
	}
	have, err := h.named(ctx)
	if err != nil {
		return nil, err
	}
	var done []HookChange
	for _, w := range hooks {
		c, ok := w.change(have)
		if !ok {
			continue
		}
		if !dry {
			if err := h.apply(ctx, w, &c); err != nil {
				return done, fmt.Errorf("cloud %s: %s hook %s: %w", h.api.cfg.Cloud, c.What, c.Name, err)
			}
		}
		done = append(done, c)
	}
	return done, nil
}

// Uninstall deletes the hooks of these names; those that are not there are left
// out. As for Install.
func (h *HookInstaller) Uninstall(ctx context.Context, names []string, dry bool) ([]HookChange, error) {
	have, err := h.named(ctx)
	if err != nil {
		return nil, err
	}
	var done []HookChange
	for _, name := range names {
		hook, ok := have[name]
		if !ok {
			continue
		}
		if !dry {
			if err := h.remove(ctx, hook.ID); err != nil {
				return done, fmt.Errorf("cloud %s: delete hook %s: %w", h.api.cfg.Cloud, name, err)
			}
		}
		done = append(done, HookChange{Name: name, What: HookDelete, ID: hook.ID})
		delete(have, name)
	}
	return done, nil
}

// named are the hooks by name, which OpenNebula has but once.
func (h *HookInstaller) named(ctx context.Context) (map[string]Hook, error) {
	all, err := h.Hooks(ctx)
	if err != nil {
		return nil, err
	}
	have := map[string]Hook{}
	for _, hook := range all {
		if _, twice := have[hook.Name]; twice {
			return nil, fmt.Errorf("cloud %s: there are two hooks %q: %w", h.api.cfg.Cloud, cut(hook.Name, maxName), quarantine.ErrConflict)
		}
		have[hook.Name] = hook
	}
	return have, nil
}

func (h *HookInstaller) apply(ctx context.Context, w wantedHook, c *HookChange) error {
	if c.What == HookUpdate {
		const replace = 0
		return h.api.insist(ctx, func(ctx context.Context) error {
			_, err := h.api.call(ctx, "one.hook.update", c.ID, w.update(), replace)
			return err
		})
	}
	if c.What == HookReplace {
		if err := h.remove(ctx, c.ID); err != nil {
			return err
		}
		c.ID = -1
	}
	// A name that is taken says that a lost answer was a good one: it is found by
	// the next run.
	id, err := h.api.number(ctx, "one.hook.allocate", w.template.XML)
	if err == nil {
		c.ID = id
	}
	return err
}

func (h *HookInstaller) remove(ctx context.Context, id int) error {
	tried := false
	return h.api.insist(ctx, func(ctx context.Context) error {
		_, err := h.api.call(ctx, "one.hook.delete", id)
		if tried && errors.Is(err, quarantine.ErrNotFound) {
			err = nil // the try before has done it
		}
		tried = true
		return err
	})
}

type hookXML struct {
	ID       string        `xml:"ID"`
	Name     string        `xml:"NAME"`
	Type     string        `xml:"TYPE"`
	Template allAttributes `xml:"TEMPLATE"`
}

// allAttributes are all plain attributes of a template.
type allAttributes map[string]string

// UnmarshalXML implements xml.Unmarshaler.
func (a *allAttributes) UnmarshalXML(d *xml.Decoder, _ xml.StartElement) error {
	*a = allAttributes{}
	return attributes(d, func(name, value string) { (*a)[name] = value })
}

// wantedHook is a hook as the front-end will show it.
type wantedHook struct {
	template   HookTemplate
	kind       string
	attributes map[string]string
}

// vmStates are what ON means in a hook of a VM; oned keeps the states and not
// ON (HookStateVM::parse_template).
var vmStates = map[string][2]string{
	"PROLOG": {"ACTIVE", "PROLOG"}, "RUNNING": {"ACTIVE", "RUNNING"}, "SHUTDOWN": {"ACTIVE", "EPILOG"},
	"STOP": {"STOPPED", "LCM_INIT"}, "DONE": {"DONE", "LCM_INIT"}, "UNKNOWN": {"ACTIVE", "UNKNOWN"},
}

func parseHook(t HookTemplate) (wantedHook, error) {
	w := wantedHook{template: t}
	var attributes allAttributes
	if t.Name == "" || xml.Unmarshal([]byte(t.XML), &attributes) != nil {
		return w, invalidf("hook %q: the template is no XML, or has no name", t.Name)
	}
	w.kind = strings.ToLower(attributes["TYPE"])
	switch {
	case attributes["NAME"] != t.Name:
		return w, invalidf("hook %q: the template's NAME is %q", t.Name, attributes["NAME"])
	case w.kind != "state" && w.kind != "api":
		return w, invalidf("hook %q: TYPE is %q", t.Name, attributes["TYPE"])
	case attributes["COMMAND"] == "":
		return w, invalidf("hook %q: no COMMAND", t.Name)
	}
	if s, ok := vmStates[strings.ToUpper(attributes["ON"])]; ok && attributes["RESOURCE"] == "VM" {
		attributes["STATE"], attributes["LCM_STATE"] = s[0], s[1]
	}
	for _, name := range []string{"NAME", "TYPE", "ON"} {
		delete(attributes, name)
	}
	attributes["REMOTE"] = yesNo(attributes["REMOTE"])
	w.attributes = attributes
	return w, nil
}

// yesNo is how oned writes what it takes for a boolean.
func yesNo(s string) string {
	if s := strings.ToUpper(s); s == "YES" || s == "TRUE" {
		return "YES"
	}
	return "NO"
}

// change is what is to be done; false if nothing is.
func (w wantedHook) change(have map[string]Hook) (HookChange, bool) {
	hook, ok := have[w.template.Name]
	if !ok {
		return HookChange{Name: w.template.Name, What: HookCreate, ID: -1}, true
	}
	c := HookChange{Name: w.template.Name, What: HookUpdate, ID: hook.ID}
	is := maps.Clone(hook.Attributes)
	if strings.ToLower(hook.Type) != w.kind || is["RESOURCE"] != w.attributes["RESOURCE"] {
		c.What = HookReplace
	}
	for name := range w.attributes {
		if v, ok := is[name]; !ok || v != w.attributes[name] {
			c.Differs = append(c.Differs, name)
		}
		delete(is, name)
	}
	c.Differs = append(c.Differs, slices.Collect(maps.Keys(is))...)
	slices.Sort(c.Differs)
	return c, len(c.Differs) > 0 || c.What == HookReplace
}

// update is the template for one.hook.update, which reads the states and not ON.
func (w wantedHook) update() string {
	var t template
	for _, name := range slices.Sorted(maps.Keys(w.attributes)) {
		t.add(name, w.attributes[name])
	}
	return t.String()
}
