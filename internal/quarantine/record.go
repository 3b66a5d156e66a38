package quarantine

import (
	"encoding/json"
	"fmt"
)

// RecordKey is the key of the image metadata that holds a disk's record.
const RecordKey = "quarantine.record"

// recordVersion is the layout of the record. A reader refuses a newer one
// rather than guess.
const recordVersion = 1

// record is what stands on the image: the whole Disk, so that the image
// explains itself when every other store is lost.
type record struct {
	Version int  `json:"version"`
	Disk    Disk `json:"disk"`
}

// EncodeRecord is the content of the metadata key RecordKey.
func EncodeRecord(d Disk) ([]byte, error) {
	b, err := json.Marshal(record{Version: recordVersion, Disk: d})
	if err != nil {
		return nil, fmt.Errorf("encode the record of disk %s: %w", d.ID, err)
	}
	return b, nil
}

// DecodeRecord reads the record of the image with this key. A record of
// another image is ErrNoRecord: librbd copies an image's metadata to its
// clones and deep copies, and those are not the evidence. One of this very image,
// in a pool of another name, is ErrConflict, and returned, unless its stay there is over: librbd gives
// an id once in a cluster, and so the pool was renamed (ceph osd pool rename). Taken for
// a copy, it would be written over, and with it the last that knows of a hold. One that
// does not parse is
// ErrInvalid, one of a newer layout ErrRefused.
func DecodeRecord(key Key, b []byte) (Disk, error) {
	if len(b) == 0 {
		return Disk{}, fmt.Errorf("image %s: %w", key, ErrNoRecord)
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return Disk{}, fmt.Errorf("image %s: %w: its record does not parse: %w", key, ErrInvalid, err)
	}
	if r.Version != recordVersion {
		return Disk{}, fmt.Errorf("image %s: %w: its record has version %d, and this program reads %d: use the newer program that wrote it", key, ErrRefused, r.Version, recordVersion)
	}
	was := r.Disk.Key
	renamed := was
	renamed.Pool = key.Pool
	switch {
	case was != key && renamed == key && r.Disk.State != Restored:
		return r.Disk, fmt.Errorf("image %s: %w: its record says that it was quarantined in %s: was the pool renamed? The catalog knows its disks by the old name; give it back, with ceph osd pool rename %s %s",
			key, ErrConflict, was.PoolRef(), key.Pool, was.Pool)
	case was != key:
		return Disk{}, fmt.Errorf("image %s: %w of its own, but a copy of that of %s", key, ErrNoRecord, was)
	case r.Disk.ID != key.DiskID():
		return Disk{}, fmt.Errorf("image %s: %w: its record bears the id %s", key, ErrInvalid, r.Disk.ID)
	}
	return r.Disk, nil
}
