package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"quarantine/internal/ceph"
	"quarantine/internal/cephcaps"
	"quarantine/internal/quarantine"
)

// auditor returns the check of all clusters' keys, or nil where no cluster has
// an audit key.
func (d *daemon) auditor() func(context.Context) ([]quarantine.Finding, error) {
	var audited []clusterConfig
	for _, cc := range d.cfg.Clusters {
		if cc.Audit != nil {
			audited = append(audited, cc)
		}
	}
	if audited == nil {
		return nil
	}
	return func(ctx context.Context) ([]quarantine.Finding, error) {
		var all []quarantine.Finding
		for _, cc := range audited {
			found, err := auditKeys(ctx, cc)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
		return all, nil
	}
}

// auditKeys judges the caps of every key of a cluster, over a connection of
// its own that lasts no longer: the audit key opens every lock.
func auditKeys(ctx context.Context, cc clusterConfig) (_ []quarantine.Finding, err error) {
	c, err := ceph.Connect(ctx, ceph.ClusterConfig{Name: cc.Name, Conf: cc.Conf, User: cc.Audit.User, Keyring: cc.Audit.Keyring, OpTimeout: cc.OpTimeout.Duration, Workers: 1})
	if err != nil {
		return nil, err
	}
	defer func() {
		if cerr := c.Close(); err == nil {
			err = cerr
		}
	}()
	dump, err := c.AuthDump(ctx)
	if err != nil {
		return nil, err
	}
	var pools []string
	for _, p := range cc.pools() {
		if p.Guarded {
			pools = append(pools, p.PoolRef.String())
		}
	}
	found, err := judgeKeys(dump, pools, cc.User)
	if err != nil || cc.Evidence == nil {
		return found, err
	}
	out, err := judgeEvidence(dump, quarantine.PoolRef{Pool: cc.Evidence.Pool, Namespace: cc.Evidence.Namespace}.String(), cc.User)
	return append(found, out...), err
}

// judgeEvidence returns a finding for every key that could reach the isolated
// copies, which are there because of those keys.
func judgeEvidence(dump []byte, pool, own string) ([]quarantine.Finding, error) {
	keys, err := cephcaps.Parse(bytes.NewReader(dump))
	if err != nil {
		return nil, fmt.Errorf("read the cluster's keys: %w", err)
	}
	var out []quarantine.Finding
	for _, v := range cephcaps.Touching(keys, pool, "client."+own) {
		out = append(out, fault("key "+strings.Join(v.Entities, ", "), v.Problem, "ceph auth caps: give it no cap on that pool"))
	}
	if len(out) == 0 {
		out = append(out, ok("evidence pool "+pool, "no cloud's key has caps on it"))
	}
	return out, nil
}

// judgeKeys returns a finding for every client's key, but the service's own,
// that could switch a guard off.
func judgeKeys(dump []byte, pools []string, own string) ([]quarantine.Finding, error) {
	keys, err := cephcaps.Parse(bytes.NewReader(dump))
	if err != nil {
		return nil, fmt.Errorf("read the cluster's keys: %w", err)
	}
	var out []quarantine.Finding
	for _, v := range cephcaps.Judge(keys, pools, "client."+own) {
		if v.Own {
			continue
		}
		f := warn("key "+strings.Join(v.Entities, ", "), v.Problem, "")
		if v.Narrow {
			f.Hint = "quarantinectl ceph caps --cloud-entity " + v.Entities[0]
		}
		out = append(out, f)
	}
	if len(out) == 0 {
		out = append(out, ok("ceph keys", "none but the service's own could switch a guard off"))
	}
	return out, nil
}
