package fakeneutron

import (
	"fmt"
	"net/netip"
	"slices"
)

// show is a network as the API shows it.
func (n Network) show() object {
	subnets := []string{}
	for _, s := range n.Subnets {
		subnets = append(subnets, s.ID)
	}
	public := n.Name == "public"
	return object{
		"id": n.ID, "name": n.Name, "tenant_id": "", "project_id": "", "admin_state_up": true, "status": "ACTIVE",
		"shared": !public, "router:external": public, "subnets": subnets, "mtu": 1450, "port_security_enabled": false,
		"provider:network_type": "local", "provider:physical_network": nil, "provider:segmentation_id": nil,
		"l2_adjacency": true, "availability_zones": []string{}, "tags": []string{},
	}
}

// show is a subnet as the API shows it.
func (s Subnet) show(networkID string) (object, error) {
	p, err := netip.ParsePrefix(s.CIDR)
	if err != nil {
		return nil, fmt.Errorf("show subnet %s: %w", s.ID, err)
	}
	version := 4
	var mode any
	if p.Addr().Is6() {
		version, mode = 6, "dhcpv6-stateful"
	}
	return object{
		"id": s.ID, "name": s.CIDR, "network_id": networkID, "tenant_id": "", "project_id": "", "cidr": s.CIDR,
		"ip_version": version, "gateway_ip": p.Addr().Next().String(), "enable_dhcp": false,
		"dns_nameservers": []string{}, "host_routes": []string{}, "allocation_pools": []object{},
		"ipv6_ra_mode": mode, "ipv6_address_mode": mode,
	}, nil
}

// newPort makes a port from what was asked for.
func (s *State) newPort(asked object, id string) (object, error) {
	at, ok := s.network(text(asked, "network_id"))
	if !ok {
		return nil, fmt.Errorf("network %q: %w", text(asked, "network_id"), errNotFound)
	}
	p := object{
		"id": id, "name": "", "tenant_id": "", "project_id": "", "device_id": "", "device_owner": "",
		"admin_state_up": true, "mac_address": s.mac(), "security_groups": []string{}, "binding:host_id": "",
		"binding:vnic_type": "normal", "binding:profile": object{}, "port_security_enabled": false,
		"allowed_address_pairs": []object{}, "extra_dhcp_opts": []object{}, "resource_request": nil, "tags": []string{},
	}
	fixed := asked["fixed_ips"]
	delete(asked, "fixed_ips")
	for k, v := range asked {
		p[k] = v
	}
	owner(p)
	ips, err := s.fixedIPs(s.Networks[at], fixed)
	if err != nil {
		return nil, err
	}
	p["fixed_ips"] = ips
	s.bind(p)
	s.Ports[id] = p
	return p, nil
}

// fixedIPs are the addresses that were asked for, or one of each subnet.
func (s *State) fixedIPs(n Network, asked any) ([]object, error) {
	var ips []object
	list, _ := asked.([]any)
	for _, a := range list {
		m, _ := a.(map[string]any)
		ip, subnet := text(m, "ip_address"), text(m, "subnet_id")
		i := slices.IndexFunc(n.Subnets, func(s Subnet) bool {
			p, err := netip.ParsePrefix(s.CIDR)
			at, atErr := netip.ParseAddr(ip)
			return s.ID == subnet || ip != "" && err == nil && atErr == nil && p.Contains(at)
		})
		if i < 0 {
			return nil, fmt.Errorf("fixed IP %v: %w", a, errNotFound)
		}
		if ip == "" {
			var err error
			if ip, err = s.address(n.Subnets[i].CIDR); err != nil {
				return nil, err
			}
		}
		ips = append(ips, object{"subnet_id": n.Subnets[i].ID, "ip_address": ip})
	}
	if len(ips) > 0 {
		return ips, nil
	}
	for _, sub := range n.Subnets {
		ip, err := s.address(sub.CIDR)
		if err != nil {
			return nil, err
		}
		ips = append(ips, object{"subnet_id": sub.ID, "ip_address": ip})
	}
	return ips, nil
}

// bind is what Neutron's agents would do: a port on a host is wired.
// port_filter says that filtering is done, so that Nova leaves the host's
// iptables alone.
func (s *State) bind(p object) {
	if text(p, "binding:host_id") == "" {
		p["binding:vif_type"], p["binding:vif_details"], p["status"] = "unbound", object{}, "DOWN"
		return
	}
	at, _ := s.network(text(p, "network_id")) // was found when it was made
	p["binding:vif_type"], p["status"] = "bridge", "ACTIVE"
	p["binding:vif_details"] = object{"port_filter": true, "connectivity": "l2", "bridge_name": fmt.Sprint(s.Bridges, at)}
}

// newFloating makes a floating IP, for the port that is asked for, if any.
func (s *State) newFloating(asked object, id string) (object, error) {
	ip, err := s.address(floatingCIDR)
	if err != nil {
		return nil, err
	}
	f := object{
		"id": id, "tenant_id": "", "project_id": "", "floating_ip_address": ip, "description": "", "router_id": nil,
		"port_id": nil, "fixed_ip_address": nil, "status": "DOWN", "tags": []string{},
		"floating_network_id": s.Networks[len(s.Networks)-1].ID, "port_details": nil,
	}
	if err := s.associate(f, asked); err != nil {
		return nil, err
	}
	s.Floating[id] = f
	return f, nil
}

// associate changes a floating IP: the port it leads to, above all.
func (s *State) associate(f, asked object) error {
	for k, v := range asked {
		f[k] = v
	}
	port, ok := s.Ports[text(f, "port_id")]
	if !ok && text(f, "port_id") != "" {
		return fmt.Errorf("port %s: %w", text(f, "port_id"), errNotFound)
	}
	if !ok {
		f["port_id"], f["fixed_ip_address"], f["status"] = nil, nil, "DOWN"
		return nil
	}
	f["status"] = "ACTIVE"
	if text(f, "fixed_ip_address") == "" {
		for _, ip := range addresses(port) {
			if a, err := netip.ParseAddr(ip); err == nil && a.Is4() {
				f["fixed_ip_address"] = ip
				break
			}
		}
	}
	if text(f, "project_id") == "" && text(f, "tenant_id") == "" {
		f["project_id"] = port["project_id"]
	}
	owner(f)
	return nil
}

// owner gives both names of the project the value of either.
func owner(o object) {
	if id := text(o, "tenant_id"); id != "" {
		o["project_id"] = id
	}
	o["tenant_id"] = o["project_id"]
}

// addresses are the port's, whether just made or read from JSON.
func addresses(port object) []string {
	var ips []string
	switch list := port["fixed_ips"].(type) {
	case []object:
		for _, ip := range list {
			ips = append(ips, text(ip, "ip_address"))
		}
	case []any:
		for _, e := range list {
			if ip, ok := e.(map[string]any); ok {
				ips = append(ips, text(ip, "ip_address"))
			}
		}
	}
	return ips
}

// text is the value of the key if that is a string.
func text[M ~map[string]any](o M, key string) string {
	s, _ := o[key].(string)
	return s
}
