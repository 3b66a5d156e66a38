package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const goodConfig = `policies: POLICIES
tokens: [{name: alice, role: admin, sha256: 0000000000000000000000000000000000000000000000000000000000000000}]
clouds: [{name: os, type: openstack}]
clusters: [{pools: [{name: vms, cloud: os}]}]
`

// Each mistake is refused before anything starts, with a text that names it.
func TestConfigMistakes(t *testing.T) {
	for name, c := range map[string]struct{ old, text, want string }{
		"unknown key":          {"policies:", "polices: x\npolicies:", "polices"},
		"unknown nested key":   {"{name: vms,", "{name: vms, gard: true,", "gard"},
		"no clusters":          {"clusters: [{pools: [{name: vms, cloud: os}]}]", "", "clusters"},
		"no pools":             {"{pools: [{name: vms, cloud: os}]}", "{name: a}", "no pools"},
		"pool twice":           {"{name: vms, cloud: os}", "{name: vms}, {name: vms}", "twice"},
		"short protection":     {"{pools: [{name: vms, cloud: os}]}", "{protect: 1y, pools: [{name: vms}]}", "twice the longest"},
		"cluster twice":        {"{pools: [{name: vms, cloud: os}]}", "{pools: [{name: a}]}, {pools: [{name: b}]}", "twice"},
		"whose of two":         {"{pools: [{name: vms, cloud: os}]}", "{pools: [{name: vms, cloud: os}]}, {name: b, pools: [{name: vms}]}", "whose they are"},
		"unknown cloud":        {"cloud: os}", "cloud: other}", `"other"`},
		"unknown cloud type":   {"type: openstack", "type: vmware", `"vmware"`},
		"bus of another type":  {"type: openstack", "type: generic, notifications: {urls: [x]}", "openstack only"},
		"events of another":    {"type: openstack", "type: openstack, events: 'tcp://127.0.0.1:2101'", "opennebula only"},
		"API of another":       {"type: openstack", "type: openstack, api: {auth_file: x}", "are for opennebula"},
		"API of another too":   {"type: openstack", "type: opennebula, api: {clouds_yaml: x}", "are for opennebula"},
		"API of a generic one": {"type: openstack", "type: generic, api: {}", "openstack and opennebula"},
		"bus twice":            {"type: openstack", "type: openstack, notifications: [{urls: [x]}, {urls: [y], name: \"1\"}]", "twice"},
		"unknown key of a bus": {"type: openstack", "type: openstack, notifications: {url: x}", "url"},
		"unknown key in list":  {"type: openstack", "type: openstack, notifications: [{urls: [x], que: y}]", "que"},
		"bad duration":         {"policies:", "collect: {grace: fortnight}\npolicies:", "fortnight"},
		"negative limit":       {"policies:", "collect: {max_disks: -1}\npolicies:", "at least 1"},
		"negative pace":        {"policies:", "collect: {disks_per_second: -1}\npolicies:", "disks_per_second"},
		"bad schedule":         {"policies:", "guard: {schedule: sometimes}\npolicies:", "guard.schedule"},
		"blind watch":          {"policies:", "guard: {watch: 1h}\npolicies:", "guard.watch"},
		"half of TLS":          {"policies:", "tls: {cert: x}\npolicies:", "go together"},
		"token without secret": {", sha256: 0000000000000000000000000000000000000000000000000000000000000000", "", "sha256 or file"},
		"hook without cloud":   {"role: admin", "role: hook", "cloud"},
		"two documents":        {"clouds:", "---\nclouds:", "more than one YAML document"},
		"two like names":       {"tokens: [", "tokens: [{name: Alice, role: admin, sha256: 1100000000000000000000000000000000000000000000000000000000000000}, ", "always the same"},
		"name with a space":    {"name: alice", "name: 'alice '", "spaces at its ends"},
		"unseen in a name":     {"name: alice", "name: \"ali\\u200bce\"", "cannot be seen"},
		"no YAML":              {"policies:", "}{", "quarantined.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := loadConfig(configFile(t, strings.Replace(goodConfig, c.old, c.text, 1)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v does not speak of %q", err, c.want)
			}
		})
	}
}

func configFile(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "policy.yaml"), defaultPolicy)
	path := filepath.Join(dir, "quarantined.yaml")
	write(t, path, strings.Replace(text, "POLICIES", filepath.Join(dir, "policy.yaml"), 1))
	return path
}

// What is left out has the defaults that the README names.
func TestConfigDefaults(t *testing.T) {
	c, err := loadConfig(configFile(t, goodConfig))
	if err != nil {
		t.Fatal(err)
	}
	cl := c.Clusters[0]
	if c.Listen != "127.0.0.1:8840" || c.Collect.Grace.Duration != 24*time.Hour || cl.Protect.Duration != 3650*24*time.Hour ||
		cl.User != "quarantine" || cl.Workers != 64 || c.Capture.Settle.Duration != 2*time.Second || c.MaxBody != 8<<20 {
		t.Errorf("defaults: %+v", c)
	}
	if p := cl.pools()[0]; !p.Guarded || p.Protect != cl.Protect.Duration || p.Cloud != "os" {
		t.Errorf("pool: %+v", p)
	}
}

// A cloud has one message bus, or a list of them with names.
func TestConfigBuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"{urls: [amqp://a/]}":                                {"1"},
		"[{urls: [amqp://a/]}]":                              {"1"},
		"[{urls: [amqp://a/]}, {urls: [x, y], name: cell2}]": {"1", "cell2"},
	} {
		c, err := loadConfig(configFile(t, strings.Replace(goodConfig, "type: openstack", "type: openstack, notifications: "+text, 1)))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, n := range c.Clouds[0].Notifications {
			names = append(names, n.Name)
		}
		if !slices.Equal(names, want) || c.Clouds[0].Notifications[0].URLs[0] != "amqp://a/" {
			t.Errorf("%s: %+v", text, c.Clouds[0].Notifications)
		}
	}
}

// The example that is shipped loads, and stays at the defaults where it says
// so: with its comments taken off the values it means the same.
func TestExampleConfig(t *testing.T) {
	path := "../../integration/systemd/quarantined.yaml"
	c, err := loadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for line := range strings.Lines(string(b)) {
		// "# key: value" is a default; "# Text." is not.
		if rest, ok := strings.CutPrefix(line, "# "); ok && strings.Contains(rest, ":") && !strings.Contains(strings.SplitN(rest, ":", 2)[0], " ") {
			line = rest
		} else if rest, ok := strings.CutPrefix(line, "#   "); ok {
			line = "  " + rest
		}
		open = append(open, line)
	}
	text := strings.ReplaceAll(strings.Join(open, ""), "tls:\n  cert: /etc/quarantine/tls.crt\n  key: /etc/quarantine/tls.key\n", "")
	d, err := loadConfig(configFile(t, text))
	if err != nil {
		t.Fatalf("with the comments taken off: %v", err)
	}
	if d.Listen != c.Listen || d.Capture != c.Capture || fmt.Sprint(d.Collect) != fmt.Sprint(c.Collect) || d.Reconcile != c.Reconcile || d.Guard != c.Guard || d.Jitter != c.Jitter || d.StateDir != c.StateDir || d.Policies != c.Policies {
		t.Errorf("the comments are not the defaults:\n%+v\n%+v", d, c)
	}
}

// --check tells whether configuration and policies are good, and starts
// nothing; unknown flags and arguments are usage errors.
func TestCheckAndUsage(t *testing.T) {
	good := configFile(t, goodConfig)
	bad := configFile(t, goodConfig)
	write(t, filepath.Join(filepath.Dir(bad), "policy.yaml"), "default: {retain: never}\n")
	for name, c := range map[string]struct {
		args []string
		want int
		text string
	}{
		"good":             {[]string{"--config", good, "--check"}, 0, "good"},
		"bad policy":       {[]string{"--config", bad, "--check"}, 1, "never"},
		"no configuration": {[]string{"--config", good + ".none", "--check"}, 1, "none"},
		"unknown flag":     {[]string{"--frob"}, 2, "frob"},
		"argument":         {[]string{"start"}, 2, "start"},
		"version":          {[]string{"--version"}, 0, version},
		"help":             {[]string{"--help"}, 0, "config"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errOut bytes.Buffer
			got := run(context.Background(), c.args, &out, &errOut, seams{clock: time.Now})
			if got != c.want || !strings.Contains(out.String()+errOut.String(), c.text) {
				t.Errorf("status %d, want %d; %s%s", got, c.want, &out, &errOut)
			}
		})
	}
}
