package cephlab

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"quarantine/internal/cephcaps"
)

// key is one entity with its caps and a new secret.
type key struct {
	entity string
	caps   [][2]string // daemon kind, caps
}

// keys returns all entities of a new lab. The monitor reads them when its
// store is made, which saves a command for each.
func keys(pools []string) []key {
	all := [][2]string{{"mon", "allow *"}, {"mgr", "allow *"}, {"osd", "allow *"}, {"mds", "allow *"}}
	ks := []key{
		{"mon.", [][2]string{{"mon", "allow *"}}},
		{"client." + Admin, all},
		{"mgr.x", [][2]string{{"mon", "allow profile mgr"}, {"osd", "allow *"}, {"mds", "allow *"}}},
		{"osd.0", [][2]string{{"mon", "allow profile osd"}, {"mgr", "allow profile osd"}, {"osd", "allow *"}}},
	}
	for _, u := range userCaps(pools) {
		k := key{entity: "client." + u.user}
		args := u.caps.Args()
		for i := 0; i+1 < len(args); i += 2 {
			k.caps = append(k.caps, [2]string{args[i], args[i+1]})
		}
		ks = append(ks, k)
	}
	return ks
}

type userCap struct {
	user string
	caps cephcaps.Caps
}

// EvidencePrefix begins the names of pools that the clouds' keys have no caps on.
const EvidencePrefix = "evidence-"

// userCaps returns the caps of the lab's users for the pools.
func userCaps(pools []string) []userCap {
	theirs := slices.DeleteFunc(slices.Clone(pools), func(p string) bool { return strings.HasPrefix(p, EvidencePrefix) })
	return []userCap{
		{Cloud, cephcaps.CloudCaps(theirs)},
		{ClassicCloud, cephcaps.CloudCaps(nil, theirs...)},
		{Quarantine, cephcaps.QuarantineCaps(pools...)},
		{Auditor, cephcaps.AuditCaps()},
	}
}

// writeKeys writes keyrings/ENTITY.keyring for each key and keyrings/all, for
// the monitor's store.
func writeKeys(dir string, ks []key) error {
	var all strings.Builder
	for _, k := range ks {
		text := k.keyring()
		all.WriteString(text)
		if err := os.WriteFile(filepath.Join(dir, "keyrings", k.entity+".keyring"), []byte(text), 0o600); err != nil {
			return fmt.Errorf("write the keyring of %s: %w", k.entity, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "keyrings", "all"), []byte(all.String()), 0o600); err != nil {
		return fmt.Errorf("write the keyring of the monitor: %w", err)
	}
	return nil
}

// keyring returns the key in Ceph's keyring format, as ceph-authtool --gen-key
// writes it. The secret is CryptoKey's encoding: type 1 (AES), the time of
// creation (left zero), length, bytes.
func (k key) keyring() string {
	raw := binary.LittleEndian.AppendUint16(nil, 1)
	raw = append(raw, make([]byte, 8)...)
	raw = binary.LittleEndian.AppendUint16(raw, 16)
	secret := make([]byte, 16)
	rand.Read(secret) // never fails
	raw = append(raw, secret...)
	var b strings.Builder
	fmt.Fprintf(&b, "[%s]\n\tkey = %s\n", k.entity, base64.StdEncoding.EncodeToString(raw))
	for _, c := range k.caps {
		fmt.Fprintf(&b, "\tcaps %s = \"%s\"\n", c[0], strings.ReplaceAll(c[1], `"`, `\"`))
	}
	return b.String()
}
