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
	for _, v := range cephcaps.Judge(keys, pools, ownEntity) {
		f := quarantine.Finding{Severity: quarantine.SeverityWarn, Subject: "key " + strings.Join(v.Entities, ", "), Problem: v.Problem}
		if v.Own {
			f.Severity = quarantine.SeverityOK
		}
		if v.Narrow {
			f.Hint = "quarantinectl ceph caps --cloud-entity " + v.Entities[0]
		}
		found = append(found, f)
	}
	if len(found) == 0 {
		found = append(found, quarantine.Finding{Severity: quarantine.SeverityOK, Subject: keysSubject,
			Problem: fmt.Sprintf("none of %d keys can switch a guard off (%s)", len(keys), strings.Join(pools, ", "))})
	}
	return found
}
