package openstacklab

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strings"
)

// secretHash is the bcrypt hash of password. Keystone takes the costs of
// hashing from the hash, and the least is in this one.
const secretHash = "$2b$04$.fN.rt7IZGcPAabqOVE2i.o1vWSmv6LOxDbkw4QYuDugwlL3amNHq"

// identity are the statements that make domains, projects, users, roles and
// the catalogue. Keystone's bootstrap and its API would make the same rows
// (these were taken from there), in sixty calls and half a minute.
func (s site) identity() string {
	var b strings.Builder
	add := func(format string, args ...any) { fmt.Fprintf(&b, "INSERT INTO keystone."+format+";\n", args...) }
	const root = "<<keystone.domain.root>>"
	add("project VALUES ('default', 'Default', '{}', '', 1, '%s', NULL, 1)", root)
	add("project VALUES ('%s', 'research', '{}', '', 1, '%s', NULL, 1)", id("research"), root)
	for _, p := range []struct{ name, domain string }{{"admin", "default"}, {"service", "default"}, {"demo", "default"}, {"alice", id("research")}} {
		add("project VALUES ('%s', '%s', '{}', '', 1, '%[3]s', '%[3]s', 0)", id("project "+p.name), p.name, p.domain)
	}
	for _, role := range []string{"admin", "member", "reader", "service"} {
		add("role VALUES ('%s', '%s', '{}', '<<null>>', NULL)", id("role "+role), role)
	}
	add("implied_role VALUES ('%s', '%s')", id("role admin"), id("role member"))
	add("implied_role VALUES ('%s', '%s')", id("role member"), id("role reader"))
	for i, u := range []struct {
		name, domain, project string
		roles                 []string
	}{
		{"admin", "default", "admin", []string{"admin"}},
		{"demo", "default", "demo", []string{"member"}},
		{"alice", id("research"), "alice", []string{"member"}},
		{"nova", "default", "service", []string{"admin", "service"}},
		{"cinder", "default", "service", []string{"admin", "service"}},
		{"glance", "default", "service", []string{"admin", "service"}},
		{"placement", "default", "service", []string{"admin", "service"}},
		{"neutron", "default", "service", []string{"admin", "service"}},
	} {
		user := id("user " + u.name)
		add("user VALUES ('%s', '{}', 1, NULL, NOW(), NULL, '%s')", user, u.domain)
		add("local_user VALUES (%d, '%s', '%s', '%s', 0, NULL)", i+1, user, u.domain, u.name)
		add("password VALUES (%[1]d, %[1]d, NULL, 0, '%[2]s', UNIX_TIMESTAMP()*1000000, NULL, NOW())", i+1, secretHash)
		for _, role := range u.roles {
			add("assignment VALUES ('UserProject', '%s', '%s', '%s', 0)", user, id("project "+u.project), id("role "+role))
		}
	}
	add("system_assignment VALUES ('UserSystem', '%s', 'system', '%s', 0)", id("user admin"), id("role admin"))
	add("region VALUES ('%s', '', NULL, '{}')", region)
	for _, e := range s.endpoints() {
		add(`service VALUES ('%s', '%s', 1, '{"name": "%s"}')`, id("service "+e.kind), e.kind, e.name)
		for _, face := range []string{"public", "internal", "admin"} {
			add("endpoint VALUES ('%s', NULL, '%s', '%s', '%s', '{}', 1, '%s')",
				id(face+" "+e.kind), face, id("service "+e.kind), e.url, region)
		}
	}
	return b.String()
}

// id makes an id as Keystone has them.
func id(name string) string {
	sum := md5.Sum([]byte(name))
	return hex.EncodeToString(sum[:])
}

// endpoint is a service of the catalogue.
type endpoint struct{ kind, name, url string }

func (s site) endpoints() []endpoint {
	at := func(port int, path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", port, path) }
	p := s.Ports
	return []endpoint{
		{"identity", "keystone", at(p.Identity, "/v3")},
		{"compute", "nova", at(p.Compute, "/v2.1")},
		{"placement", "placement", at(p.Placement, "")},
		{"image", "glance", at(p.Image, "")},
		{"volumev3", "cinderv3", at(p.Volume, "/v3/%(project_id)s")},
		{"block-storage", "cinder", at(p.Volume, "/v3/%(project_id)s")},
		{"network", "neutron", at(p.Network, "")},
	}
}
