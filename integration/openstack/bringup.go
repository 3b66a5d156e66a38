package openstacklab

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"quarantine/integration/lab"
	"quarantine/integration/openstack/fakeneutron"
)

// Bridges is how the names of the lab's network bridges begin. Linux allows 15
// bytes.
func (s site) Bridges() string { return "brq" + s.Name + "-" }

// bringUp makes the lab. What does not wait for each other runs side by side;
// the time goes into starting some thirty Python programs.
func (l *Lab) bringUp(ctx context.Context, o Options) error {
	name := make([]byte, 3)
	rand.Read(name) // never fails
	l.site = site{
		Dir: l.Dir, Keep: o.Keep, Name: hex.EncodeToString(name), CephDir: o.Ceph.Dir, CephFSID: o.Ceph.FSID, SecretUUID: newUUID(),
	}
	l.site.CephUser = "openstack-" + l.site.Name
	var err error
	if l.site.CephMon, err = cephMon(o.Ceph.Conf); err != nil {
		return err
	}
	marks, err := l.site.Ports.reserve()
	if err != nil {
		return err
	}
	if err = l.prepare(ctx); err == nil {
		err = l.launch(ctx, o, marks)
	}
	lab.Release(marks) // the supervisor has its own
	if err != nil {
		return err
	}
	var pools Pools
	if err := perform(ctx, l.log, l.tasks(!o.Unguarded, &pools)); err != nil {
		return err
	}
	l.site.Pools = pools
	return nil
}

// prepare writes all that the lab's processes find in its directory.
func (l *Lab) prepare(ctx context.Context) error {
	if err := l.directories(); err != nil {
		return err
	}
	if err := l.program(ctx); err != nil {
		return err
	}
	if err := fakeneutron.New(l.networksFile(), l.site.Bridges()).Save(); err != nil {
		return err
	}
	files := map[string]string{l.path("etc/rabbitmq-plugins"): "[].\n"}
	for project := range readers {
		files[l.override(project)] = "[DEFAULT]\n"
	}
	for file, text := range files {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return fmt.Errorf("write the lab's configuration: %w", err)
		}
	}
	return l.configuration(l.site)
}

// tasks are the steps of a lab's start. One of them names the pools; the others
// read l.site meanwhile, so it is not changed before they are done.
func (l *Lab) tasks(guarded bool, pools *Pools) []task {
	start := func(name string, after ...string) task {
		return task{name, after, func(ctx context.Context) error { return l.StartService(ctx, name) }}
	}
	return []task{
		{"ceph", nil, func(ctx context.Context) error {
			if err := l.cephSide(ctx, guarded, pools); err != nil {
				return err
			}
			s := l.site
			s.Pools = *pools
			return l.configuration(s)
		}},
		{"databases", nil, l.databases},
		start("epmd"), start("rabbitmq", "epmd"), start("libvirtd"), start("neutron"),
		{"secret", []string{"libvirtd", "ceph"}, l.secret},
		start("keystone", "databases"),
		start("placement", "databases"),
		// These sign in while they start.
		start("nova-conductor", "keystone", "placement", "rabbitmq", "ceph"),
		start("nova-scheduler", "keystone", "placement", "rabbitmq", "ceph"),
		start("nova-compute", "keystone", "placement", "rabbitmq", "secret"),
		start("nova-api", "databases", "rabbitmq", "ceph"),
		start("glance-api", "databases", "rabbitmq", "ceph"),
		start("cinder-api", "databases", "rabbitmq", "ceph"),
		start("cinder-volume", "databases", "rabbitmq", "ceph"),
		// It asks what backends there are when it starts. Where none listens yet it waits
		// a minute, takes orders, and fails every volume until the next report.
		start("cinder-scheduler", "cinder-volume"),
		{"images", []string{"keystone", "glance-api"}, l.images},
	}
}

// directories makes those that programs expect, and the keys of Keystone's
// tokens.
func (l *Lab) directories() error {
	for _, target := range over {
		if err := os.MkdirAll(l.path("over"+target), 0o755); err != nil {
			return fmt.Errorf("make the lab's directories: %w", err)
		}
	}
	for _, d := range []string{
		"run", "log", "tmp", "home", "ceph", "etc/placement", "var/mysql", "var/rabbit", "var/rabbit-config", "var/nova/instances",
		"var/cinder/volumes", "var/cinder/coord", "var/cinder/conversion", "var/glance/staging", "var/glance/work", "var/locks",
		"var/keystone/fernet", "var/keystone/credential", "bin",
	} {
		if err := os.MkdirAll(l.path(d), 0o700); err != nil {
			return fmt.Errorf("make the lab's directories: %w", err)
		}
	}
	// libvirtd asks every emulator that it finds what it can do, and Nova asks
	// libvirtd again for each: there shall be one.
	for _, program := range []string{"qemu-system-x86_64", "ip"} {
		path, err := exec.LookPath(program)
		if err == nil {
			err = os.Symlink(path, l.path("bin/"+program))
		}
		if err != nil {
			return fmt.Errorf("make the lab's directories: %w", err)
		}
	}
	// Similar to: keystone-manage fernet_setup, credential_setup.
	for _, repository := range []string{"fernet", "credential"} {
		for _, number := range []string{"0", "1"} {
			key := make([]byte, 32)
			rand.Read(key) // never fails
			file := filepath.Join(l.path("var/keystone"), repository, number)
			if err := os.WriteFile(file, []byte(base64.URLEncoding.EncodeToString(key)), 0o600); err != nil {
				return fmt.Errorf("make keystone's keys: %w", err)
			}
		}
	}
	return nil
}

// configuration writes the files of all programs.
func (l *Lab) configuration(s site) error {
	for name, file := range map[string]string{
		"keystone.conf": l.config("keystone"), "placement.conf": l.config("placement"), "glance-api.conf": l.config("glance"),
		"cinder.conf": l.config("cinder"), "nova.conf": l.config("nova"), "rabbitmq.conf": l.path("etc/rabbitmq.conf"),
		"libvirtd.conf": l.path("etc/libvirtd.conf"), "qemu.conf": l.path("over/etc/libvirt/qemu.conf"), "secret.xml": l.path("etc/secret.xml"),
		"ceph.conf": l.path("ceph/ceph.conf"), "databases.sql": l.path("etc/databases.sql"),
	} {
		if err := s.write(name, file); err != nil {
			return err
		}
	}
	// QEMU and os-brick look there when no file is named.
	if err := s.write("ceph.conf", l.path("over/etc/ceph/ceph.conf")); err != nil {
		return err
	}
	return s.save()
}

func (l *Lab) networksFile() string { return l.path("var/networks.json") }

// secret gives libvirt the cloud's key.
func (l *Lab) secret(ctx context.Context) error {
	if _, err := l.Virsh(ctx, "secret-define", l.path("etc/secret.xml")); err != nil {
		return err
	}
	key, err := l.cephKey()
	if err != nil {
		return err
	}
	_, err = l.Virsh(ctx, "secret-set-value", l.site.SecretUUID, key)
	return err
}
