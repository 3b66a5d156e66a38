package openstacklab

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// NetworkID returns the id of the network with the name ("private", "other",
// "public"), or what it was given if that is an id.
func (s *Session) NetworkID(ctx context.Context, name string) (string, error) {
	var list struct{ Networks []struct{ ID, Name string } }
	if err := s.Do(ctx, http.MethodGet, "network", "/networks", nil, &list); err != nil {
		return "", err
	}
	for _, n := range list.Networks {
		if n.Name == name || n.ID == name {
			return n.ID, nil
		}
	}
	return "", fmt.Errorf("network %s: %w", name, errNotThere)
}

// FloatingIP gives a server, by its first port, a floating IP that was never
// used before, and returns its id and address. It returns when Nova shows it.
func (s *Session) FloatingIP(ctx context.Context, server string) (id, address string, err error) {
	var ports struct{ Ports []struct{ ID string } }
	if err := s.Do(ctx, http.MethodGet, "network", "/ports?device_id="+url.QueryEscape(server), nil, &ports); err != nil {
		return "", "", err
	}
	if len(ports.Ports) == 0 {
		return "", "", fmt.Errorf("port of server %s: %w", server, errNotThere)
	}
	var made struct {
		FloatingIP struct {
			ID      string
			Address string `json:"floating_ip_address"`
		}
	}
	body := object{"floatingip": object{"port_id": ports.Ports[0].ID, "project_id": s.ProjectID}}
	if err := s.Do(ctx, http.MethodPost, "network", "/floatingips", body, &made); err != nil {
		return "", "", err
	}
	id, address = made.FloatingIP.ID, made.FloatingIP.Address
	err = poll(ctx, func() (bool, error) {
		v, err := s.Server(ctx, server)
		for _, ip := range v.IPs() {
			if ip == address {
				return true, err
			}
		}
		return false, err
	}, func() string { return "server " + server + " does not show " + address })
	return id, address, err
}

// DeleteFloatingIP gives a floating IP back.
func (s *Session) DeleteFloatingIP(ctx context.Context, id string) error {
	return s.Do(ctx, http.MethodDelete, "network", "/floatingips/"+id, nil, nil)
}
