package openstacklab

import (
	"crypto/rand"
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

const (
	// password is that of every user, of the database and of the broker.
	password = "secret"
	region   = "RegionOne"
	// node is what Nova and Cinder call this machine.
	node = "node1"
)

// site is what tells one lab from another. It is the data of the templates in
// etc and is saved, for Open.
type site struct {
	Dir        string
	Keep       bool
	Name       string // short and the lab's own: in names on the machine
	Ports      ports
	Pools      Pools
	CephDir    string
	CephFSID   string
	CephMon    string
	CephUser   string // without "client."
	SecretUUID string // libvirt's name for the key
}

// databaseNames are those of the services.
var databaseNames = []string{"keystone", "placement", "glance", "cinder", "nova_api", "nova_cell0", "nova"}

// Region is the region's name, for the templates.
func (s site) Region() string { return region }

// Node is the host's name, for the templates.
func (s site) Node() string { return node }

// Password is everybody's, for the templates.
func (s site) Password() string { return password }

// Databases are all databases, for the templates.
func (s site) Databases() []string { return databaseNames }

// DB is the address of a database.
func (s site) DB(name string) string {
	return fmt.Sprintf("mysql+pymysql://openstack:%s@127.0.0.1:%d/%s?charset=utf8mb4", password, s.Ports.Database, name)
}

// Rabbit is the broker's address as oslo.messaging wants it.
func (s site) Rabbit() string {
	return fmt.Sprintf("rabbit://openstack:%s@127.0.0.1:%d/", password, s.Ports.Rabbit)
}

// As adds the user as whom a service signs in.
func (s site) As(user string) any {
	return struct {
		site
		User string
	}{s, user}
}

// etc are the configuration files, as templates.
//
//go:embed etc
var etc embed.FS

// write renders a template of etc to a file.
func (s site) write(name, file string) error {
	t, err := template.ParseFS(etc, "etc/parts.tmpl", "etc/"+name)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	var b strings.Builder
	if err := t.ExecuteTemplate(&b, name, s); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return replace(file, []byte(b.String()))
}

// save writes the file that find reads.
func (s site) save() error {
	b, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return fmt.Errorf("save the lab's data: %w", err)
	}
	return replace(filepath.Join(s.Dir, siteFile), b)
}

// replace writes a file that a program may be reading.
func replace(file string, content []byte) error {
	if err := os.WriteFile(file+".new", content, 0o600); err != nil {
		return fmt.Errorf("write the lab's configuration: %w", err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("write the lab's configuration: %w", err)
	}
	return nil
}

// newUUID makes a random (version 4) UUID.
func newUUID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
