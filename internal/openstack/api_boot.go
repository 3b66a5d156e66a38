package openstack

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"quarantine/internal/quarantine"
)

// BootServer implements quarantine.CloudWriter. The volumes must be in the
// wanted project, and the credential must have a role there: Nova makes
// servers in the caller's project only.
//
// The smallest flavor is the one with the least memory, then the fewest CPUs,
// among those without ephemeral and swap disks if there are any; a flavor's
// disk does not matter to a server that boots from a volume.
func (a *API) BootServer(ctx context.Context, o quarantine.ServerOrder) (quarantine.Made, error) {
	m, err := a.bootServer(ctx, o)
	if err != nil {
		return quarantine.Made{}, fmt.Errorf("boot server %s from volume %s: %w", strconv.Quote(o.Name), o.Root, err)
	}
	return m, nil
}

func (a *API) bootServer(ctx context.Context, o quarantine.ServerOrder) (quarantine.Made, error) {
	m := quarantine.Made{Kind: quarantine.ResourceVM, Name: o.Name}
	switch {
	case o.Name == "":
		return m, fmt.Errorf("%w: no name", quarantine.ErrInvalid)
	case o.Defanged && o.Network != "":
		return m, fmt.Errorf("%w: a defanged server has no network", quarantine.ErrInvalid)
	}
	volumes := append([]string{o.Root}, o.Data...)
	for i, id := range volumes {
		if uuid(text(id)) != id || id == "" || slices.Contains(volumes[:i], id) {
			return m, fmt.Errorf("%w: volume %q is no id, or is given twice", quarantine.ErrInvalid, id)
		}
	}
	own, err := a.session(ctx)
	if err != nil {
		return m, err
	}
	if m.Project, err = own.findProject(ctx, o.Project, o.Domain); err != nil {
		return m, err
	}
	s, err := own.within(ctx, m.Project)
	if err != nil {
		return m, err
	}
	c, err := s.service(ctx, compute)
	if err != nil {
		return m, err
	}
	if !has(c, "2.37") {
		return m, fmt.Errorf("cloud %s: %w: Nova is too old: 2.37 is needed to choose the network", a.cfg.Cloud, quarantine.ErrInvalid)
	}
	flavor, err := s.findFlavor(ctx, o.Flavor)
	if err != nil {
		return m, err
	}
	var networks any = "none"
	if o.Network != "" {
		id, err := s.findNetwork(ctx, o.Network)
		if err != nil {
			return m, err
		}
		networks = []map[string]string{{"uuid": id}}
	}
	var devices []map[string]any
	for i, id := range volumes {
		device := map[string]any{
			"uuid": id, "source_type": "volume", "destination_type": "volume", "boot_index": -1, "delete_on_termination": false,
		}
		if i == 0 {
			device["boot_index"] = 0
		}
		devices = append(devices, device)
	}
	mark := rand.Text()
	order := map[string]any{
		"name": o.Name, "flavorRef": flavor, "networks": networks, "block_device_mapping_v2": devices,
		"metadata": marked(o.Metadata, mark), "config_drive": false,
	}
	var answer struct{ Server apiServer }
	if err := s.call(ctx, compute, http.MethodPost, "servers", nil, map[string]any{"server": order}, &answer); err != nil {
		return m, s.unmake(ctx, err, mark, s.markedServer, s.deleteServer)
	}
	if m.ID = answer.Server.ident(); m.ID == "" {
		err := fmt.Errorf("cloud %s: %w: Nova's answer has no id of the server", a.cfg.Cloud, quarantine.ErrUnavailable)
		return m, s.unmake(ctx, err, mark, s.markedServer, s.deleteServer)
	}
	err = s.serverReady(ctx, m.ID, o.Defanged)
	if err == nil {
		return m, nil
	}
	undo, cancel := undoing(ctx)
	defer cancel()
	if derr := s.deleteServer(undo, m.ID); derr != nil {
		return m, fmt.Errorf("server %s: %w; it could not be deleted: %s", m.ID, err, derr)
	}
	for _, id := range volumes {
		if verr := s.volumeReady(undo, id); verr != nil {
			return m, fmt.Errorf("server %s: %w; volume %s is not free again: %s", m.ID, err, id, verr)
		}
	}
	return m, fmt.Errorf("server %s: %w", m.ID, err)
}

// markedServer returns the id of the server with the mark, if there is one.
func (s *session) markedServer(ctx context.Context, mark string) (string, error) {
	found := ""
	err := s.listServers(ctx, url.Values{}, func(v apiServer) error {
		if v.Metadata[markKey] == mark {
			found = v.ident()
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}

// serverReady waits until the server runs.
func (s *session) serverReady(ctx context.Context, id string, defanged bool) error {
	return s.api.wait(ctx, func(ctx context.Context) (bool, error) {
		v, err := s.server(ctx, id)
		switch {
		case err != nil:
			return false, err
		case v.Status == "ERROR":
			return false, fmt.Errorf("%w: Nova cannot make the server: %s", quarantine.ErrInvalid, s.redact(orDefault(string(v.Fault.value.Message), "no reason given")))
		case defanged && v.Config != "":
			return false, fmt.Errorf("%w: the site gives every server a config drive (force_config_drive), so it cannot be defanged", quarantine.ErrRefused)
		}
		return v.Status == "ACTIVE", nil
	})
}

type apiFlavor struct {
	ID        text `json:"id"`
	Name      text `json:"name"`
	Memory    int  `json:"ram"`
	CPUs      int  `json:"vcpus"`
	Ephemeral int  `json:"OS-FLV-EXT-DATA:ephemeral"`
	Swap      any  `json:"swap"` // "" or a number, by microversion
	Disabled  bool `json:"OS-FLV-DISABLED:disabled"`
}

func (f apiFlavor) ident() string { return string(f.ID) }

// localDisks tells whether a server of the flavor has disks beside its root.
func (f apiFlavor) localDisks() int {
	if swap, ok := f.Swap.(float64); ok && swap > 0 || f.Ephemeral > 0 {
		return 1
	}
	return 0
}

// findFlavor returns the id of the flavor of that id or name, or of the
// smallest.
func (s *session) findFlavor(ctx context.Context, wanted string) (string, error) {
	var flavors []apiFlavor
	err := list(ctx, s, compute, "flavors/detail", "flavors", url.Values{}, func(f apiFlavor) error {
		if wanted == "" && !f.Disabled || string(f.ID) == wanted || string(f.Name) == wanted {
			flavors = append(flavors, f)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if len(flavors) == 0 {
		return "", fmt.Errorf("cloud %s: flavor %q: %w", s.api.cfg.Cloud, wanted, quarantine.ErrNotFound)
	}
	return string(slices.MinFunc(flavors, func(a, b apiFlavor) int {
		return cmp.Or(a.localDisks()-b.localDisks(), a.Memory-b.Memory, a.CPUs-b.CPUs, cmp.Compare(a.ID, b.ID))
	}).ID), nil
}

// findNetwork returns the id of the network of that id or name.
func (s *session) findNetwork(ctx context.Context, wanted string) (string, error) {
	if id := uuid(text(wanted)); id != "" {
		return id, nil
	}
	var answer struct {
		Networks []struct {
			ID   text `json:"id"`
			Name text `json:"name"`
		} `json:"networks"`
	}
	if err := s.get(ctx, network, "networks", url.Values{"name": {wanted}}, &answer); err != nil {
		return "", err
	}
	var found []string
	for _, n := range answer.Networks {
		if string(n.Name) == wanted {
			found = append(found, string(n.ID))
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("cloud %s: network %q: %w", s.api.cfg.Cloud, wanted, quarantine.ErrNotFound)
	}
	return "", fmt.Errorf("cloud %s: network %q: %w: %d have that name; give the id", s.api.cfg.Cloud, wanted, quarantine.ErrInvalid, len(found))
}

// deleteServer deletes a server and waits until it is gone. A site may keep
// deleted servers for a while (reclaim_instance_interval), and with them their
// volumes: then the deletion is forced.
func (s *session) deleteServer(ctx context.Context, id string) error {
	err := s.call(ctx, compute, http.MethodDelete, "servers/"+id, nil, nil, nil)
	if err != nil && !errors.Is(err, quarantine.ErrNotFound) {
		return err
	}
	forced := false
	return s.api.gone(ctx, func(ctx context.Context) (string, error) {
		v, err := s.server(ctx, id)
		if err == nil && v.softDeleted() && !forced {
			err = s.call(ctx, compute, http.MethodPost, "servers/"+id+"/action", nil, map[string]any{"forceDelete": nil}, nil)
			forced = err == nil
			if errors.Is(err, quarantine.ErrBusy) {
				err = nil // it is tried again
			}
		}
		if v.State != "deleted" && v.Status == "ERROR" {
			return "", err // it may have been in ERROR before the delete
		}
		return string(v.Status), err
	})
}
