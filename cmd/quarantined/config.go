package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/robfig/cron/v3"

	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// config is the daemon's configuration file. It is decoded strictly: an
// unknown key is an error, so that a misspelt margin is never silently the
// default. Every zero value means the default named beside it.
type config struct {
	// Listen is the address of the API, default 127.0.0.1:8840.
	Listen string    `yaml:"listen"`
	TLS    tlsConfig `yaml:"tls"`
	// StateDir holds the catalog and the custody log, default
	// /var/lib/quarantine.
	StateDir string `yaml:"state_dir"`
	// Catalog and Custody are files, default catalog.db and custody.jsonl in
	// StateDir.
	Catalog string `yaml:"catalog"`
	Custody string `yaml:"custody"`
	// Policies is a policy file or a directory of them.
	Policies string          `yaml:"policies"`
	Tokens   []tokenConfig   `yaml:"tokens"`
	Clusters []clusterConfig `yaml:"clusters"`
	Clouds   []cloudConfig   `yaml:"clouds"`
	// MaxBody bounds a hook's body in bytes, default 8 MiB.
	MaxBody int64 `yaml:"max_body"`

	Capture   captureConfig   `yaml:"capture"`
	Collect   collectConfig   `yaml:"collect"`
	Capacity  capacityConfig  `yaml:"capacity"`
	Reconcile reconcileConfig `yaml:"reconcile"`
	Guard     guardConfig     `yaml:"guard"`
	Flatten   flattenConfig   `yaml:"flatten"`
	Isolate   isolateConfig   `yaml:"isolate"`
	Approvals approvalsConfig `yaml:"approvals"`
	Inquire   inquireConfig   `yaml:"inquire"`
	// Jitter delays each cron run by a random part of it, default 30s.
	Jitter duration  `yaml:"jitter"`
	Log    logConfig `yaml:"log"`
}

type tlsConfig struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// tokenConfig is one bearer token. Its name is who acts, in the custody log.
type tokenConfig struct {
	Name string `yaml:"name"`
	// Role is viewer, operator, admin or hook.
	Role string `yaml:"role"`
	// Cloud is the cloud that a hook token speaks for.
	Cloud string `yaml:"cloud"`
	// SHA256 is the hex digest of the token; or File holds the token itself.
	SHA256 string `yaml:"sha256"`
	File   string `yaml:"file"`
}

type clusterConfig struct {
	Name    string `yaml:"name"`
	Conf    string `yaml:"conf"`
	User    string `yaml:"user"` // without "client."; default quarantine
	Keyring string `yaml:"keyring"`
	// OpTimeout is rados_mon_op_timeout and rados_osd_op_timeout, default 30s:
	// how long a call may hang before it fails, and so how long a stop may
	// take while Ceph hangs.
	OpTimeout duration `yaml:"op_timeout"`
	// Workers bounds the calls under way at once, default 64.
	Workers int `yaml:"workers"`
	// Protect is the protection time of trash entries, default 10y.
	Protect duration     `yaml:"protect"`
	Pools   []poolConfig `yaml:"pools"`
	// Evidence is where isolated copies are kept; without it nothing is isolated.
	Evidence *evidenceConfig `yaml:"evidence"`
	// Audit is a key that may run `ceph auth ls`, for the check that no cloud
	// key could switch a guard off. Such a key can read every key of the
	// cluster: leave it out and run the check elsewhere (doctor --ceph-auth)
	// where that is too much.
	Audit *auditConfig `yaml:"audit"`
}

type auditConfig struct {
	User    string `yaml:"user"`
	Keyring string `yaml:"keyring"`
}

type poolConfig struct {
	Name      string `yaml:"name"`
	Namespace string `yaml:"namespace"`
	Cloud     string `yaml:"cloud"`
	// Guard is true unless the pool may not be guarded; then disks are seized.
	Guard *bool `yaml:"guard"`
	// Capacity says when the pool is too full, and disks go before their time; by
	// default none ever does.
	Capacity *watermarksConfig `yaml:"capacity"`
}

type cloudConfig struct {
	Name string `yaml:"name"`
	Type string `yaml:"type"` // openstack, opennebula or generic
	// Notifications are the message buses of an OpenStack cloud: one, or a list
	// where cells have brokers or virtual hosts of their own.
	Notifications notificationsList `yaml:"notifications"`
	// Events is where an OpenNebula front-end's hook manager publishes, as
	// tcp://127.0.0.1:2101; empty: it is not listened to.
	Events string `yaml:"events"`
	// API is the cloud's own APIs.
	API *apiConfig `yaml:"api"`
}

// notificationsList is written as a list or, where there is one only, as that.
type notificationsList []notificationsConfig

func (l *notificationsList) UnmarshalYAML(unmarshal func(any) error) error {
	var form any
	if err := unmarshal(&form); err != nil {
		return err
	}
	if _, ok := form.([]any); ok {
		var several []notificationsConfig
		err := unmarshal(&several)
		*l = several
		return err
	}
	*l = make(notificationsList, 1)
	return unmarshal(&(*l)[0])
}

type notificationsConfig struct {
	// Name tells the buses of one cloud apart, in status, metrics and log;
	// default is its number in the list, from 1.
	Name string   `yaml:"name"`
	URLs []string `yaml:"urls"`
	// URLFile holds one amqp(s):// URL a line, so that passwords stay out of
	// this file.
	URLFile   string   `yaml:"url_file"`
	Exchanges []string `yaml:"exchanges"` // default nova, openstack, glance
	Queue     string   `yaml:"queue"`
	QueueType string   `yaml:"queue_type"` // classic (default) or quorum
	// DeliveryLimit is how often a quorum queue delivers a message before it is
	// a dead letter, default 200.
	DeliveryLimit int    `yaml:"delivery_limit"`
	Prefetch      int    `yaml:"prefetch"` // default 1024
	CACert        string `yaml:"ca_cert"`
	ClientCert    string `yaml:"client_cert"`
	ClientKey     string `yaml:"client_key"`
}

type captureConfig struct {
	// Settle is how long new trash entries gather before they are adopted
	// together, default 2s.
	Settle duration `yaml:"settle"`
	// Workers is how many disks are adopted at once, default 64.
	Workers int `yaml:"workers"`
}

type reconcileConfig struct {
	Schedule  string   `yaml:"schedule"`   // default "*/15 * * * *"
	LostAfter duration `yaml:"lost_after"` // default 1h
}

type guardConfig struct {
	// Schedule is when a canary is let go; default "*/5 * * * *".
	Schedule string `yaml:"schedule"`
	// Watch is how often the pools' settings, and what Ceph has removed of
	// snapshots, are looked at; default 2s.
	Watch duration `yaml:"watch"`
}

type logConfig struct {
	Level  string `yaml:"level"`  // debug, info (default), warn, error
	Format string `yaml:"format"` // text (default) or json
}

// duration is a time.Duration written as 14d, 36h or 90s.
type duration struct{ time.Duration }

func (d *duration) UnmarshalYAML(b []byte) error {
	var s string
	if err := yaml.Unmarshal(b, &s); err != nil {
		return err
	}
	v, err := quarantine.ParseDuration(s)
	if err != nil {
		return err
	}
	d.Duration = v
	return nil
}

// loadConfig reads the file, fills in the defaults and refuses what cannot be
// right.
func loadConfig(path string) (*config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	var c config
	dec := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict(), yaml.DisallowUnknownField())
	if err := dec.Decode(&c); err != nil {
		return nil, fmt.Errorf("configuration %s: %s", path, yaml.FormatError(err, false, true))
	}
	var second any
	if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
		// It would be left out, unseen.
		return nil, fmt.Errorf("configuration %s: it has more than one YAML document (---)", path)
	}
	c.defaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return &c, nil
}

func or[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (c *config) defaults() {
	safety := quarantine.DefaultSafety()
	or(&c.Listen, "127.0.0.1:8840")
	or(&c.StateDir, "/var/lib/quarantine")
	or(&c.Catalog, filepath.Join(c.StateDir, "catalog.db"))
	or(&c.Custody, filepath.Join(c.StateDir, "custody.jsonl"))
	or(&c.Policies, "/etc/quarantine/policies")
	or(&c.MaxBody, 8<<20)
	or(&c.Jitter, duration{30 * time.Second})
	or(&c.Capture.Settle, duration{2 * time.Second})
	or(&c.Capture.Workers, 64)
	or(&c.Collect.Schedule, "17 * * * *")
	or(&c.Collect.Grace, duration{safety.Grace})
	or(&c.Collect.MaxClockJump, duration{safety.MaxClockJump})
	or(&c.Collect.MaxDisks, safety.MaxDisks)
	or(&c.Collect.MaxBytes, safety.MaxBytes)
	or(&c.Collect.Workers, safety.Workers)
	or(&c.Collect.MaxLatency, duration{safety.MaxLatency})
	or(&c.Reconcile.Schedule, "*/15 * * * *")
	or(&c.Reconcile.LostAfter, duration{time.Hour})
	or(&c.Guard.Schedule, "*/5 * * * *")
	or(&c.Guard.Watch, duration{2 * time.Second})
	or(&c.Capacity.MinAge, duration{quarantine.DefaultMinAge})
	c.Flatten.defaults()
	c.Isolate.defaults()
	c.Approvals.defaults()
	or(&c.Inquire.Schedule, "*/10 * * * *")
	or(&c.Inquire.Every, duration{2 * time.Second})
	or(&c.Inquire.Settle, duration{20 * time.Second})
	or(&c.Inquire.Lookback, duration{7 * 24 * time.Hour})
	or(&c.Inquire.Keep, duration{365 * 24 * time.Hour})
	or(&c.Log.Level, "info")
	or(&c.Log.Format, "text")
	for _, cloud := range c.Clouds {
		for i := range cloud.Notifications {
			or(&cloud.Notifications[i].Name, strconv.Itoa(i+1))
		}
	}
	for i := range c.Clusters {
		cl := &c.Clusters[i]
		or(&cl.Name, "ceph")
		or(&cl.Conf, "/etc/ceph/ceph.conf")
		or(&cl.User, "quarantine")
		or(&cl.OpTimeout, duration{30 * time.Second})
		or(&cl.Workers, 64)
		or(&cl.Protect, duration{10 * 365 * 24 * time.Hour})
	}
}

// clusterPool is where a pool of a name was seen, and whose it is.
type clusterPool struct{ cluster, cloud string }

func (c *config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.Clusters) == 0 {
		bad("clusters: there is none")
	}
	clouds := map[string]bool{}
	for _, cloud := range c.Clouds {
		if cloud.Name == "" || clouds[cloud.Name] {
			bad("clouds: the name %q is empty or there twice", cloud.Name)
		}
		if err := cloud.checkAPI(); err != nil {
			errs = append(errs, err)
		}
		clouds[cloud.Name] = true
		switch cloud.Type {
		case quarantine.CloudOpenStack, quarantine.CloudOpenNebula, quarantine.CloudGeneric:
		default:
			bad("cloud %s: type %q is not openstack, opennebula or generic", cloud.Name, cloud.Type)
		}
		buses := map[string]bool{}
		for _, n := range cloud.Notifications {
			if buses[n.Name] {
				bad("cloud %s: notifications: the name %q is there twice", cloud.Name, n.Name)
			}
			buses[n.Name] = true
		}
		if cloud.Events != "" && cloud.Type != quarantine.CloudOpenNebula {
			bad("cloud %s: events are for opennebula only", cloud.Name)
		}
		if len(cloud.Notifications) > 0 && cloud.Type != quarantine.CloudOpenStack {
			bad("cloud %s: notifications are for openstack only", cloud.Name)
		}
	}
	names, clusterOf := map[string]bool{}, map[string]clusterPool{}
	for _, cl := range c.Clusters {
		if names[cl.Name] {
			bad("clusters: the name %q is there twice", cl.Name)
		}
		names[cl.Name] = true
		if len(cl.Pools) == 0 {
			bad("cluster %s: it has no pools", cl.Name)
		}
		// A disk must not become removable by waiting before a policy may have
		// it go; protection is renewed when half of it is over.
		if cl.Protect.Duration < 2*policy.MaxRetain {
			bad("cluster %s: protect: it is less than %s, twice the longest retention", cl.Name, quarantine.FormatDuration(2*policy.MaxRetain))
		}
		if err := cl.checkEvidence(); err != nil {
			errs = append(errs, err)
		}
		pools := map[string]bool{}
		for _, p := range cl.Pools {
			ref := p.Name + "/" + p.Namespace
			if p.Name == "" || pools[ref] {
				bad("cluster %s: the pool %q is empty or there twice", cl.Name, ref)
			}
			pools[ref] = true
			if p.Cloud != "" && !clouds[p.Cloud] {
				bad("pool %s: cloud %q is not under clouds", p.Name, p.Cloud)
			}
			// Clouds name pools and images, but no clusters, and OpenNebula's image
			// names are numbers: one cloud's word would be about both.
			if other, ok := clusterOf[ref]; ok && (p.Cloud == "" || other.cloud == "") {
				bad("pool %s: it is in the clusters %s and %s; say of both whose they are (cloud)", p.Name, other.cluster, cl.Name)
			}
			clusterOf[ref] = clusterPool{cl.Name, p.Cloud}
		}
	}
	for _, t := range c.Tokens {
		if t.Name == "" || (t.SHA256 == "") == (t.File == "") {
			bad("token %q: it needs a name, and either sha256 or file", t.Name)
		}
		if t.Role == "hook" && !clouds[t.Cloud] {
			bad("token %q: a hook token needs a cloud that is under clouds", t.Name)
		}
	}
	if err := c.Collect.checkPace(); err != nil {
		errs = append(errs, err)
	}
	if w := c.Guard.Watch.Duration; w < 100*time.Millisecond || w > time.Minute {
		bad("guard.watch: %s is not between 100ms and 1m", w)
	}
	for name, line := range map[string]string{"collect": c.Collect.Schedule, "reconcile": c.Reconcile.Schedule, "guard": c.Guard.Schedule, "flatten": c.Flatten.Schedule, "isolate": c.Isolate.Schedule, "inquire": c.Inquire.Schedule} {
		if _, err := cron.ParseStandard(line); err != nil {
			bad("%s.schedule: %w", name, err)
		}
	}
	if err := errors.Join(c.checkCapacity(), c.Flatten.check(), c.Isolate.check()); err != nil {
		errs = append(errs, err)
	}
	if err := errors.Join(c.Approvals.check(), c.checkNames()); err != nil {
		errs = append(errs, err)
	}
	if err := c.Inquire.check(); err != nil {
		errs = append(errs, err)
	}
	if c.Collect.MaxDisks < 1 || c.Collect.MaxBytes < 1 || c.Collect.Workers < 1 || c.Capture.Workers < 1 {
		bad("collect and capture: limits and workers must be at least 1")
	}
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		bad("tls: cert and key go together")
	}
	return errors.Join(errs...)
}
