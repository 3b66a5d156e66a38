package cephcaps

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrNotAuthList says that the input is not the output of `ceph auth ls -f
// json`.
var ErrNotAuthList = errors.New("not the output of `ceph auth ls -f json`")

// Key is an entity and what it may do. The secret is not kept.
type Key struct {
	Entity string // "client.openstack", "osd.0" …
	Caps   Caps
}

// IsClient reports whether the key is a client's; the others are Ceph's own
// daemons, which may do anything by their nature.
func (k Key) IsClient() bool { return strings.HasPrefix(k.Entity, "client.") }

// Parse reads the output of `ceph auth ls -f json`. The secrets in it are
// dropped while it is read and are in no result and no error. ErrNotAuthList
// if it is something else; an entry with caps that it does not know is no
// error.
func Parse(r io.Reader) ([]Key, error) {
	var list struct {
		// There is no field for "key".
		Dump *[]struct {
			Entity string            `json:"entity"`
			Caps   map[string]string `json:"caps"`
		} `json:"auth_dump"`
	}
	if err := json.NewDecoder(r).Decode(&list); err != nil {
		// The decoder's message may quote the input: only where it failed is
		// told.
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("%w: no JSON from byte %d on", ErrNotAuthList, syntax.Offset)
		}
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return nil, fmt.Errorf("%w: unexpected kind of %q at byte %d", ErrNotAuthList, kind.Field, kind.Offset)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("%w: it is cut short", ErrNotAuthList)
		}
		return nil, fmt.Errorf("read the list of keys: %w", err)
	}
	if list.Dump == nil {
		return nil, fmt.Errorf("%w: it has no auth_dump", ErrNotAuthList)
	}
	keys := make([]Key, 0, len(*list.Dump))
	for _, e := range *list.Dump {
		if e.Entity == "" {
			return nil, fmt.Errorf("%w: an entry has no entity", ErrNotAuthList)
		}
		keys = append(keys, Key{Entity: e.Entity, Caps: Caps{Mon: e.Caps["mon"], Mgr: e.Caps["mgr"], OSD: e.Caps["osd"]}})
	}
	return keys, nil
}
