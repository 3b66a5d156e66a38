// Package catalogtest is what every catalog must do, as tests: Run is called
// by the tests of each implementation of Store.
package catalogtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// Store is a whole catalog.
type Store interface {
	quarantine.Disks
	quarantine.Deletions
	quarantine.Marks
	quarantine.Forgetter
	quarantine.Inventory
	quarantine.Inquiries
	quarantine.SeenImages
	quarantine.Requests
	quarantine.CaseStore
	quarantine.StandingStore
	quarantine.Shares
	quarantine.Promises
	quarantine.Rows
	// CountDisks counts the disks that the filter selects; its order and page
	// do not matter.
	CountDisks(ctx context.Context, f quarantine.DiskFilter, atMost int) (int64, error)
	// OldestPending is the time since when the oldest pending disk waits; the
	// zero time if none is pending.
	OldestPending(ctx context.Context) (time.Time, error)
}

// Run tests the stores that open gives, each of which is empty and its
// caller's alone. open closes it at the end of the test.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"PutDisk/round trip":               putRoundTrip,
		"PutDisk/times":                    putTimes,
		"PutDisk/ErrInvalid":               putInvalid,
		"PutDisk/ErrConflict":              putConflict,
		"PutDisk/one of many wins":         putRace,
		"PutDisk/what it is found by":      putTerms,
		"Disk/ErrNotFound":                 diskNotFound,
		"DropLost":                         dropLost,
		"ForgetDisks":                      forgetDisks,
		"Context":                          endedContext,
		"FindDisks/any filter":             findAny,
		"FindDisks/addresses":              findAddress,
		"FindDisks/name prefix":            findNamePrefix,
		"FindDisks/people and machines":    findPeople,
		"FindDisks/moments":                findMoments,
		"FindDisks/ErrInvalid":             findInvalid,
		"FindDisks/pages of ties":          findPagesOfTies,
		"FindDisks/pages of ten thousand":  findTenThousand,
		"Totals":                           totals,
		"OldestPending":                    oldestPending,
		"Shares/any disks":                 sharesModel,
		"DiskStubs":                        stubs,
		"DisksAfter":                       disksAfter,
		"MergeDeletion/is Merge":           mergeIsMerge,
		"MergeDeletion/repeated":           mergeRepeated,
		"MergeDeletion/ErrInvalid":         mergeInvalid,
		"MergeDeletion/concurrent reports": mergeConcurrent,
		"Deletion/ErrNotFound":             deletionNotFound,
		"DeletionsOf":                      deletionsOf,
		"OpenDeletions":                    openDeletions,
		"OpenDeletions/closed and open":    closeDeletion,
		"Marks":                            marks,
		"Requests":                         requests,
		"Cases":                            cases,
		"StandingHolds":                    standingHolds,
		"FindDisks/unchecked":              findUnchecked,
		"See/keeps the last":               seeKeepsTheLast,
		"See/ErrInvalid":                   seeInvalid,
		"See/concurrent sweeps":            seeConcurrent,
		"Vanished":                         vanished,
		"MarkDead and ForgetSightings":     deadAndForgotten,
		"Inventory/hostile names":          hostileSightings,
		"Inventory/any calls":              inventoryModel,
		"Unasked":                          unaskedPages,
		"Asked":                            asked,
		"AskedAgain":                       askedAgain,
		"FindDeletions":                    findDeletions,
		"Inquiries/hostile names":          hostileInquiries,
		"Inquiries/any reports":            inquiriesModel,
		"SeenImages":                       seenImages,
		"SeeImages/ErrInvalid":             seeImagesInvalid,
		"SeeImages/hostile names":          hostileImages,
		"SeeImages/concurrent sweeps":      seeImagesConcurrent,
		"Context/clouds":                   endedContextOfClouds,
		"Concurrency":                      concurrency,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

// t0 is the time around which everything happens.
var t0 = time.Date(2025, 3, 4, 5, 6, 7, 0, time.UTC)

func background() context.Context { return context.Background() }

// tb is what *testing.T and *rapid.T have in common.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

func put(t tb, s Store, d quarantine.Disk) quarantine.Disk {
	t.Helper()
	saved, err := s.PutDisk(background(), d)
	if err != nil {
		t.Fatalf("put disk %s: %v", d.ID, err)
	}
	return saved
}

func get(t tb, s Store, id string) quarantine.Disk {
	t.Helper()
	d, err := s.Disk(background(), id)
	if err != nil {
		t.Fatalf("disk %s: %v", id, err)
	}
	return d
}

func find(t tb, s Store, f quarantine.DiskFilter) []quarantine.Disk {
	t.Helper()
	ds, err := s.FindDisks(background(), f)
	if err != nil {
		t.Fatalf("find %+v: %v", f, err)
	}
	return ds
}

// finds checks which disks the filter selects, by id, in order.
func finds(t tb, s Store, f quarantine.DiskFilter, want ...string) {
	t.Helper()
	if got := ids(find(t, s, f)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("filter %+v finds %v, want %v", f, got, want)
	}
	n, err := s.CountDisks(background(), f, 0)
	if err != nil || f.Limit == 0 && f.Offset == 0 && n != int64(len(want)) {
		t.Errorf("filter %+v counts %d, %v; want %d", f, n, err, len(want))
	}
}

func ids(ds []quarantine.Disk) []string {
	out := []string{}
	for _, d := range ds {
		out = append(out, d.ID)
	}
	return out
}

func merge(t tb, s Store, d quarantine.Deletion) (quarantine.Deletion, bool) {
	t.Helper()
	m, changed, err := s.MergeDeletion(background(), d)
	if err != nil {
		t.Fatalf("merge deletion %s: %v", d.ID, err)
	}
	return m, changed
}

// same compares what JSON says of two values.
func same(t tb, what string, got, want any) {
	t.Helper()
	g, gerr := json.Marshal(got)
	w, werr := json.Marshal(want)
	if err := errors.Join(gerr, werr); err != nil {
		t.Fatalf("%s: encode: %v", what, err)
	}
	if string(g) != string(w) {
		t.Errorf("%s:\ngot  %s\nwant %s", what, g, w)
	}
}

// sameDisk compares whole disks, with what lives in the catalog only.
func sameDisk(t tb, what string, got, want quarantine.Disk) {
	t.Helper()
	same(t, what, got, want)
	if got.Version != want.Version || got.RecordStale != want.RecordStale {
		t.Errorf("%s: version %d, stale %v; want %d, %v", what, got.Version, got.RecordStale, want.Version, want.RecordStale)
	}
}

// is checks an error's kind.
func is(t tb, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

// newDisk is a small disk.
func newDisk(id string) quarantine.Disk {
	return quarantine.Disk{
		ID: id, Key: quarantine.Key{FSID: "f", Pool: "vms", ImageID: id}, OriginalName: id + "_disk",
		State: quarantine.Quarantined, DeletedAt: t0, QuarantinedAt: t0.Add(time.Second), RetainUntil: t0.Add(time.Hour), UsedBytes: -1,
	}
}

// full is a disk with every field set.
func full(id string) quarantine.Disk {
	del := fullDeletion("del-" + id)
	at := t0.Add(123456 * time.Microsecond)
	return quarantine.Disk{
		ID: id, Key: quarantine.Key{FSID: "f", Pool: "vms", Namespace: "ns", ImageID: "img" + id}, OriginalName: "uuid_disk",
		State: quarantine.Expiring, Capture: quarantine.CaptureRaced, Role: "root", SizeBytes: 1 << 40, UsedBytes: 77,
		DeletedAt: at, QuarantinedAt: at.Add(1), ProtectedUntil: at.AddDate(30, 0, 0), RetainUntil: at.AddDate(0, 0, 14),
		ExpiringAt: at.AddDate(0, 0, 15), PurgedAt: at.AddDate(0, 0, 16), RestoredAt: at.AddDate(0, 0, 17), RestoredTo: "vms/back",
		Decision: quarantine.Decision{Retain: 14 * 24 * time.Hour, Rule: "r", PolicyHash: "h", Reason: "because é \"x\"", Isolate: true,
			Hold: &quarantine.PolicyHold{CaseID: "c0", Reason: "policy"}},
		Holds: []quarantine.Hold{
			{CaseID: "c1", Reason: "why", By: "ann", PlacedAt: at},
			{CaseID: "c2", Reason: "why", By: "ann", PlacedAt: at, Released: at.Add(time.Hour), ReleaseBy: "bob", ReleaseReason: "done"}},
		Shortened: &quarantine.Shortening{Request: "q1", RequestedBy: "ann", ApprovedBy: "bob", From: at, To: at, Rule: "r", Policy: "p"},
		Deletion:  &del, Sealed: true, SealID: 1 << 40, DataPool: "vms-data", SealBrokenAt: at.AddDate(0, 0, 3), EarlyBy: "ann", Intent: "flatten", RecordStale: true,
	}
}

func fullDeletion(id string) quarantine.Deletion {
	return quarantine.Deletion{
		ID: id, Cloud: "prod", CloudType: quarantine.CloudOpenStack, Kind: quarantine.KindDelete,
		ResourceKind: quarantine.ResourceVM, ResourceID: "vm-id", ResourceName: "web-1", ServerID: "server",
		Project: quarantine.Principal{ID: "p1", Name: "physics", Domain: "science"}, User: quarantine.Principal{ID: "u1", Name: "ann", Domain: "science"},
		Deleter: quarantine.Principal{ID: "u2", Name: "bob", Domain: "staff"}, Flavor: "m1", Image: quarantine.Principal{ID: "i1", Name: "debian"},
		Host: "node1", AvailabilityZone: "az", Metadata: map[string]string{"a": "1", "b": "2"}, Tags: []string{"t1", "t2"},
		Addresses: []quarantine.Address{{IP: "192.0.2.7", MAC: "fa:16:3e:00:00:01", Network: "net", PortID: "port", Type: "fixed"}},
		KeyPair:   "laptop",
		Volumes:   []quarantine.VolumeRef{{ID: "v1", Device: "/dev/vda", Boot: true, DeleteOnTermination: true}, {ID: "v2"}},
		RequestID: "req-1", CreatedAt: t0.AddDate(-1, 0, 0), StartedAt: t0, EndedAt: t0.Add(time.Second), ReceivedAt: t0.Add(time.Millisecond),
		Disks: []quarantine.DiskRef{{Name: "uuid", Prefix: true}, {Pool: "vms", Namespace: "ns", Name: "uuid_disk", Role: "root", Required: true}},
	}
}
