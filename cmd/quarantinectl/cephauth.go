package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"quarantine/internal/cephcaps"
	"quarantine/internal/quarantine"
)

// keysSubject is the subject of the daemon's own finding about keys, which
// gives way to what is judged here.
const keysSubject = "ceph keys"

const (
	ownEntity = "client.quarantine"
	capsHint  = "quarantinectl ceph caps"
)

// readKeys reads the output of `ceph auth ls -f json` without its secrets.
func (a *app) readKeys(name string) (keys []cephcaps.Key, err error) {
	in := a.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fmt.Errorf("read the list of keys: %w", err)
		}
		defer func() { _ = f.Close() }() // only read from
		in = f
	} else if a.screen.stdin {
		return nil, hint(fmt.Errorf("%w: --ceph-auth - reads standard input, which is a terminal", errUsage), "ceph auth ls -f json | quarantinectl doctor --ceph-auth -")
	}
	keys, err = cephcaps.Parse(in)
	if err != nil {
		return nil, hint(fmt.Errorf("%w: --ceph-auth: %w", errFailed, err), "ceph auth ls -f json | quarantinectl doctor --ceph-auth -")
	}
	_, err = io.Copy(io.Discard, in) // so that ceph ends well at the other end of the pipe
	return keys, err
}

// withoutKeys leaves the daemon's own finding about keys out.
func withoutKeys(found []quarantine.Finding) []quarantine.Finding {
	return slices.DeleteFunc(found, func(f quarantine.Finding) bool {
		return f.Subject == keysSubject && f.Severity != quarantine.SeverityFault
	})
}

func guardedPools(all []quarantine.GuardStatus) []string {
	var pools []string
	for _, st := range all {
		// The guard is the whole pool's, whatever the namespace.
		if st.Pool.Guarded && !slices.Contains(pools, st.Pool.Pool) {
			pools = append(pools, st.Pool.Pool)
		}
	}
	return pools
}

// judgeKeys names every client's key that could switch a guard off.
func judgeKeys(keys []cephcaps.Key, pools []string) []quarantine.Finding {
	var found []quarantine.Finding
	clients := 0
	for _, k := range keys {
		if !k.IsClient() {
			continue
		}
		clients++
		var reached []string
		why := ""
		for _, pool := range pools {
			if can, how := cephcaps.CanSwitchOff(k.Caps, pool); can {
				if reached = append(reached, pool); len(reached) == 1 {
					why = how
				}
			}
		}
		if len(reached) > 0 {
			found = append(found, judgeKey(k, reached, why))
		}
	}
	if len(found) == 0 {
		found = append(found, quarantine.Finding{Severity: quarantine.SeverityOK, Subject: keysSubject,
			Problem: fmt.Sprintf("none of %d clients' keys can switch a guard off (%s)", clients, strings.Join(pools, ", "))})
	}
	return found
}

func judgeKey(k cephcaps.Key, pools []string, why string) quarantine.Finding {
	f := quarantine.Finding{Severity: quarantine.SeverityWarn, Subject: "key " + k.Entity, Hint: capsHint}
	what := fmt.Sprintf("it can switch off the guard of %s: %s", strings.Join(pools, ", "), why)
	switch {
	case k.Entity == ownEntity:
		f.Problem, f.Hint = "this service's own key, which sets the guard; let nobody else have it", ""
	case k.Entity == "client.admin", strings.HasPrefix(strings.TrimSpace(k.Caps.Mon), "allow *"):
		f.Problem, f.Hint = "an admin's key, which may do anything; let no cloud have it", ""
	case strings.HasPrefix(k.Entity, "client.bootstrap-"):
		f.Problem, f.Hint = "a key with which Ceph makes the keys of its daemons; "+what, ""
	default:
		f.Problem = what
	}
	return f
}
