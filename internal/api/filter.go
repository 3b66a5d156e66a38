package api

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"quarantine/internal/quarantine"
)

// listQuery selects, sorts and pages disks.
type listQuery struct {
	State       []string `query:"state,explode" doc:"states, repeated or separated by commas"`
	Pool        string   `query:"pool" doc:"POOL, POOL/NAMESPACE or CLUSTER:POOL"`
	Cloud       string   `query:"cloud"`
	Project     string   `query:"project" doc:"id or name"`
	User        string   `query:"user" doc:"id or name of the owner or the deleter"`
	VM          string   `query:"vm" doc:"id or name of the VM, or of the VM that a volume was attached to"`
	Address     string   `query:"address" doc:"an IP or MAC address that the VM had"`
	Case        string   `query:"case" doc:"case id of an open hold"`
	Name        string   `query:"name" doc:"the image's original name"`
	NamePrefix  string   `query:"name_prefix" doc:"the beginning of the original name, up to one of _.-@ or its end"`
	Held        string   `query:"held" enum:"true,false" doc:"only disks with, or without, an open hold"`
	Unexplained bool     `query:"unexplained" doc:"only disks that no event explains"`
	From        string   `query:"from" doc:"deleted at this time or later: RFC 3339, or a date (its first moment in UTC)"`
	To          string   `query:"to" doc:"deleted before this time"`
	Sort        string   `query:"sort" enum:"deleted_at,quarantined_at,retain_until,size_bytes,original_name,resource_name,project,user,state" default:"deleted_at"`
	Desc        bool     `query:"desc" doc:"the other way round"`
	Limit       int      `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Offset      int      `query:"offset" minimum:"0"`
}

// filter translates the query.
func (s *Server) filter(in *listQuery) (quarantine.DiskFilter, error) {
	f := quarantine.DiskFilter{
		Cloud: in.Cloud, Project: in.Project, User: in.User, VM: in.VM, Address: in.Address, CaseID: in.Case,
		NamePrefix: in.NamePrefix, Unexplained: in.Unexplained, Sort: in.Sort, Desc: in.Desc, Limit: in.Limit, Offset: in.Offset,
	}
	if in.Name != "" {
		f.OriginalNames = []string{in.Name}
	}
	if in.Held != "" {
		held := in.Held == "true"
		f.Held = &held
	}
	if in.Address != "" && !isAddress(in.Address) {
		// Else a slip of the pen reads as: nobody had it.
		return f, invalidf("query.address: %q is neither an IP nor a MAC address", in.Address)
	}
	var err error
	if f.States, err = states(in.State); err != nil {
		return f, err
	}
	if in.Pool != "" {
		pool, err := quarantine.FindPool(s.cfg.Clusters, in.Pool)
		if err != nil {
			return f, err
		}
		f.Pool = &pool.PoolRef
	}
	if f.DeletedFrom, err = moment("from", in.From); err != nil {
		return f, err
	}
	if f.DeletedTo, err = moment("to", in.To); err != nil {
		return f, err
	}
	if !f.DeletedFrom.IsZero() && !f.DeletedTo.IsZero() && !f.DeletedFrom.Before(f.DeletedTo) {
		return f, invalidf("query.to: %s is not after query.from, %s", in.To, in.From)
	}
	return f, nil
}

func isAddress(s string) bool {
	_, ipErr := netip.ParseAddr(s)
	_, macErr := net.ParseMAC(s)
	return ipErr == nil || macErr == nil
}

// states reads the states, of which each value may hold several.
func states(values []string) ([]quarantine.State, error) {
	var out []quarantine.State
	for _, name := range separated(values) {
		state := quarantine.State(name)
		if !slices.Contains(quarantine.States(), state) {
			return nil, invalidf("query.state: there is no state %q; there are %s", name, strings.Trim(fmt.Sprint(quarantine.States()), "[]"))
		}
		out = append(out, state)
	}
	return out, nil
}

// separated are the words of which each value may hold several, with commas
// between.
func separated(values []string) []string {
	var out []string
	for _, v := range values {
		for word := range strings.SplitSeq(v, ",") {
			out = append(out, strings.TrimSpace(word))
		}
	}
	return out
}

// moment reads a time, or a date, which means its first moment in UTC. Empty
// is the zero time.
func moment(name, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := quarantine.ParseTime(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, invalidf("query.%s: %q is no time; write 2026-11-17 or 2026-11-17T14:05:00Z", name, s)
}
