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

const ownEntity = "client.quarantine"

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
		if st.Pool.Guarded {
			pools = append(pools, st.Pool.PoolRef.String())
		}
	}
	return pools
}

// judgeKeys names every client's key that could switch a guard off.
func judgeKeys(keys []cephcaps.Key, pools []string) []quarantine.Finding {
	var found []quarantine.Finding
	var bootstrap []string
	for _, w := range cephcaps.Ways(keys, pools) {
		if strings.HasPrefix(w.Entity, "client.bootstrap-") {
			bootstrap = append(bootstrap, w.Entity)
			continue
		}
		i := slices.IndexFunc(keys, func(k cephcaps.Key) bool { return k.Entity == w.Entity })
		found = append(found, judgeKey(w, keys[i].Caps))
	}
	if len(bootstrap) > 0 {
		found = append(found, quarantine.Finding{Severity: quarantine.SeverityWarn, Subject: "keys " + strings.Join(bootstrap, ", "),
			Problem: "with them Ceph makes the keys of its daemons, which may do anything; let no cloud have them"})
	}
	if len(found) == 0 {
		found = append(found, quarantine.Finding{Severity: quarantine.SeverityOK, Subject: keysSubject,
			Problem: fmt.Sprintf("none of %d keys can switch a guard off (%s)", len(keys), strings.Join(pools, ", "))})
	}
	return found
}

func judgeKey(w cephcaps.Way, caps cephcaps.Caps) quarantine.Finding {
	f := quarantine.Finding{Severity: quarantine.SeverityWarn, Subject: "key " + w.Entity}
	switch {
	case w.Entity == ownEntity:
		f.Problem = "this service's own key, which sets the guard; let nobody else have it"
	case caps == cephcaps.AuditCaps():
		f.Problem = "an audit key, which reads every key of the cluster; let nobody but this service have it"
	case w.Entity == "client.admin", strings.HasPrefix(strings.TrimSpace(caps.Mon), "allow *"):
		f.Problem = "an admin's key, which may do anything; let no cloud have it"
	default:
		f.Problem = fmt.Sprintf("it could switch off the guard of %s: %s", strings.Join(w.Pools, ", "), w.Why)
		f.Hint = "quarantinectl ceph caps --cloud-entity " + w.Entity
	}
	return f
}
