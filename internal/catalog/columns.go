package catalog

import (
	"encoding/json"
	"errors"
	"runtime"
	"sync"
	"time"

	fastjson "github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"quarantine/internal/quarantine"
)

// column is one derived column of a disk's row.
type column struct {
	name  string
	value any
}

// columnsOf derives all columns of a disk's row but id and version, always in
// the same order.
func columnsOf(d *quarantine.Disk, record []byte) []column {
	var cloud, resource, project, user string
	if del := d.Deletion; del != nil {
		cloud, resource, project, user = del.Cloud, del.ResourceName, del.Project.Label(), del.User.Label()
	}
	return []column{
		{"state", string(d.State)},
		{"fsid", d.Key.FSID},
		{"pool", d.Key.Pool},
		{"namespace", d.Key.Namespace},
		{"image_id", d.Key.ImageID},
		{"original_name", d.OriginalName},
		{"cloud", cloud},
		{"resource_name", resource},
		{"project", project},
		{"user_label", user},
		{"deleted_at", micros(d.DeletedAt)},
		{"quarantined_at", micros(d.QuarantinedAt)},
		{"retain_until", micros(d.RetainUntil)},
		{"expiring_at", micros(d.ExpiringAt)},
		{"size_bytes", d.SizeBytes},
		{"used_bytes", d.UsedBytes},
		{"held", bit(d.Held())},
		{"explained", bit(d.Deletion != nil)},
		{"isolate", bit(d.WantsCopy())},
		{"sealed", bit(d.Sealed)},
		{"record_stale", bit(d.RecordStale)},
		{"unchecked", bit(d.HoldsUnchecked)},
		{"share", quarantine.ShareOf(d)},
		{"firm_until", quarantine.FirmUntil(d)},
		{"evicted", bit(d.EarlyBy == quarantine.EarlyByCapacity)},
		{"seal_id", int64(d.SealID)},
		{"seal_broken", bit(!d.SealBrokenAt.IsZero())},
		{"record", string(record)},
	}
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// encodeDisk gives the record and the disk as it will be read back: times in
// UTC and whole microseconds, as the columns have them.
func encodeDisk(d quarantine.Disk) ([]byte, quarantine.Disk, error) {
	for _, t := range []*time.Time{&d.DeletedAt, &d.QuarantinedAt, &d.ProtectedUntil, &d.RetainUntil, &d.ExpiringAt, &d.PurgedAt, &d.RestoredAt, &d.SealBrokenAt} {
		cut(t)
	}
	if len(d.Holds) > 0 {
		holds := append([]quarantine.Hold(nil), d.Holds...)
		for i := range holds {
			cut(&holds[i].PlacedAt)
			cut(&holds[i].Released)
		}
		d.Holds = holds
	}
	if d.Deletion != nil {
		del := d.Deletion.Normalize()
		d.Deletion = &del
	}
	record, err := json.Marshal(d)
	if err != nil {
		return nil, d, invalidf("disk %s cannot be encoded: %v", d.ID, err)
	}
	stored, err := decodeDisk(record, d.Version, d.RecordStale)
	return record, stored, err
}

func cut(t *time.Time) {
	if !t.IsZero() {
		*t = t.UTC().Truncate(time.Microsecond)
	}
}

// decodeDisk reads a row. Where all disks are gone through, decoding is most of the
// work: encoding/json takes three times as long as its successor, which here has
// encoding/json's own rules, but that what is wrong is found on the way, and not looked
// for before.
func decodeDisk(record []byte, version int64, stale bool) (quarantine.Disk, error) {
	var r diskRow
	if err := fastjson.Unmarshal(record, &r, jsonv1.DefaultOptionsV1(), jsonv1.ReportErrorsWithLegacySemantics(false)); err != nil {
		return quarantine.Disk{}, unavailable(err, "decode a disk's row")
	}
	d := r.Disk
	d.Decision = quarantine.Decision(r.Decision.plainDecision)
	d.Decision.Retain, d.Decision.Min = time.Duration(r.Decision.Retain), time.Duration(r.Decision.Min)
	d.Version, d.RecordStale = version, stale
	return d, nil
}

// diskRow is a disk as its record has it. The decision's own UnmarshalJSON, which is for
// everybody, would have encoding/json read that part a second time.
type diskRow struct {
	quarantine.Disk
	Decision decisionRow `json:"decision"`
}

type plainDecision quarantine.Decision

type decisionRow struct {
	plainDecision
	Retain period `json:"retain"`
	Min    period `json:"min"`
}

// period is a duration as records have it ("14d").
type period time.Duration

func (p *period) UnmarshalText(b []byte) error {
	d, err := quarantine.ParseDuration(string(b))
	*p = period(d)
	return err
}

// kept is what is read of a disk's row.
type kept struct {
	record  []byte
	version int64
	stale   bool
}

const (
	// maxRead is how many rows are read before they are decoded, which needs
	// several times the memory.
	maxRead = 1024
	// decodeChunk is how many rows one processor decodes. That takes longer than
	// the reading.
	decodeChunk = 128
)

// decodeDisks appends the rows' disks, in their order.
func decodeDisks(disks []quarantine.Disk, rows []kept) ([]quarantine.Disk, error) {
	from := len(disks)
	disks = append(disks, make([]quarantine.Disk, len(rows))...)
	into := disks[from:]
	decode := func(first, end int) (err error) {
		for i := first; i < end && err == nil; i++ {
			into[i], err = decodeDisk(rows[i].record, rows[i].version, rows[i].stale)
		}
		return err
	}
	if len(rows) <= decodeChunk {
		return disks, decode(0, len(rows))
	}
	errs := make([]error, (len(rows)+decodeChunk-1)/decodeChunk)
	var wg sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range errs {
		slots <- struct{}{}
		wg.Go(func() {
			errs[i] = decode(i*decodeChunk, min((i+1)*decodeChunk, len(rows)))
			<-slots
		})
	}
	wg.Wait()
	return disks, errors.Join(errs...)
}
