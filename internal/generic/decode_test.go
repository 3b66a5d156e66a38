package generic_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"quarantine/internal/generic"
	"quarantine/internal/quarantine"
)

const cloud = "farm"

func decode(t *testing.T, body string) []quarantine.Deletion {
	t.Helper()
	got, err := generic.Decode(cloud, []byte(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	for _, d := range got {
		if err := d.Validate(); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// The smallest report is a VM's delete with the defaults.
func TestSmallest(t *testing.T) {
	t.Parallel()
	got := decode(t, `{"resource_id":"vm-7","disks":[{"name":"vm-7"}]}`)
	want := quarantine.Deletion{
		ID:    quarantine.DeletionID(cloud, quarantine.KindDelete, "vm-7", ""),
		Cloud: cloud, CloudType: quarantine.CloudGeneric, Kind: quarantine.KindDelete,
		ResourceKind: quarantine.ResourceVM, ResourceID: "vm-7",
		Disks: []quarantine.DiskRef{{Name: "vm-7", Role: "disk"}},
	}
	if len(got) != 1 || !got[0].Equal(want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// Every field of the example in the package's comment arrives where it
// belongs.
func TestExample(t *testing.T) {
	t.Parallel()
	utc := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	const id = "slot1_7@worker12/2026-03-01T08:00:00Z"
	want := quarantine.Deletion{
		ID:    quarantine.DeletionID(cloud, quarantine.KindDelete, id, ""),
		Cloud: cloud, CloudType: quarantine.CloudGeneric, Kind: quarantine.KindDelete,
		ResourceKind: quarantine.ResourceVM, ResourceID: id, ResourceName: "vac-worker12-07",
		Project: quarantine.Principal{ID: "atlas"},
		User:    quarantine.Principal{Name: "atlas-pilot"},
		Deleter: quarantine.Principal{Name: "vacd@factory3"},
		Flavor:  "8-core",
		Image:   quarantine.Principal{ID: "cernvm4", Name: "CernVM 4.6"},
		Host:    "worker12.example.org", AvailabilityZone: "rack-4",
		Metadata: map[string]string{"vo": "atlas", "slot": "7"},
		Tags:     []string{"grid"},
		Addresses: []quarantine.Address{
			{IP: "192.0.2.7"},
			{IP: "2001:db8::7", MAC: "02:00:00:00:00:07", Network: "wn"},
		},
		RequestID: "req-81",
		CreatedAt: utc("2026-03-01T08:00:00Z"), StartedAt: utc("2026-03-02T10:11:12Z"), EndedAt: utc("2026-03-02T10:11:14Z"),
		Disks: []quarantine.DiskRef{
			{Pool: "vac", Name: "vac-worker12-07", Role: "root", Required: true},
			{Pool: "vac", Namespace: "scratch", Name: "vac-worker12-07", Prefix: true, Role: "ephemeral"},
		},
	}
	got := decode(t, example(t))
	if len(got) != 1 || !got[0].Equal(want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// A list gives its deletions in its order.
func TestBatch(t *testing.T) {
	t.Parallel()
	got := decode(t, `{"deletions":[
		{"resource_id":"b","disks":[{"name":"x"}]},
		{"kind":"volume-delete","resource_id":"a","server_id":"b","disks":[{"name":"y","role":"volume"}]},
		{"kind":"image-delete","resource_kind":"image","resource_id":"c","disks":[{"name":"z"}]}]}`)
	if len(got) != 3 || got[0].ResourceID != "b" || got[1].ResourceKind != quarantine.ResourceVolume || got[2].ResourceKind != quarantine.ResourceImage {
		t.Errorf("got %+v", got)
	}
}

// For a kind that a resource goes through several times the request makes the
// id; for the others it is recorded only, so that reports with and without it
// meet.
func TestRequestInID(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"rebuild", "shelve-offload", "resize", "unrescue", "recreate", "disk-detach"} {
		a := decode(t, fmt.Sprintf(`{"kind":%q,"resource_id":"v","request_id":"1","disks":[{"name":"x"}]}`, kind))
		b := decode(t, fmt.Sprintf(`{"kind":%q,"resource_id":"v","request_id":"2","disks":[{"name":"x"}]}`, kind))
		if a[0].ID == b[0].ID {
			t.Errorf("two requests of %s have one id", kind)
		}
	}
	for _, kind := range []string{"delete", "soft-delete", "volume-delete", "image-delete", "recover-delete"} {
		a := decode(t, fmt.Sprintf(`{"kind":%q,"resource_id":"v","request_id":"1","disks":[{"name":"x"}]}`, kind))
		b := decode(t, fmt.Sprintf(`{"kind":%q,"resource_id":"v","disks":[{"name":"x"}]}`, kind))
		if a[0].ID != b[0].ID || a[0].RequestID != "1" {
			t.Errorf("%s with and without a request: %+v, %+v", kind, a, b)
		}
	}
}

// An empty string counts as a key that is left out; addresses are written in
// their usual form, times in UTC.
func TestUsualForms(t *testing.T) {
	t.Parallel()
	got := decode(t, `{"kind":"","resource_kind":"","resource_id":"v","host":"","user":"","image":{"id":""},"created_at":"",
		"started_at":"2026-03-02T12:11:12.5+02:00","ended_at":"2026-03-02T10:11:13Z",
		"addresses":["::FFFF:192.0.2.7",{"mac":"02-00-00-00-00-0A"}],"disks":[{"pool":"","namespace":"","role":"","name":"x"}]}`)[0]
	if got.Kind != quarantine.KindDelete || got.ResourceKind != quarantine.ResourceVM || got.User != (quarantine.Principal{}) || !got.CreatedAt.IsZero() {
		t.Errorf("got %+v", got)
	}
	if s := got.StartedAt.String(); s != "2026-03-02 10:11:12.5 +0000 UTC" {
		t.Errorf("started at %s", s)
	}
	if s := fmt.Sprint(got.Addresses); s != "[{ 02:00:00:00:00:0a   } {192.0.2.7    }]" {
		t.Errorf("addresses %s", s)
	}
}

// What is wrong is refused with an error that names the field, says what was
// expected, and wraps ErrInvalid.
func TestRefused(t *testing.T) {
	t.Parallel()
	const disks = `"disks":[{"name":"x"}]`
	with := func(s string) string { return `{"resource_id":"v",` + disks + `,` + s + `}` }
	disk := func(s string) string { return `{"resource_id":"v","disks":[{"name":"y"},{` + s + `}]}` }
	many := func(item string, n int) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	for name, tt := range map[string]struct{ body, says string }{
		"empty":                 {"", "the body: the JSON ends too early"},
		"no object":             {`[]`, "the body: expected an object, got a list"},
		"cut":                   {`{"resource_id":"v"`, "the JSON ends too early"},
		"bad JSON":              {`{"resource_id":v}`, "resource_id: bad JSON at byte"},
		"trailing data":         {`{"resource_id":"v",` + disks + `} {}`, "the body: more follows"},
		"trailing garbage":      {`{"resource_id":"v",` + disks + `}x`, "the body: more follows"},
		"unknown key":           {with(`"hots":"a"`), "hots: unknown key; known are kind, resource_kind"},
		"other case":            {with(`"Host":"a"`), "Host: unknown key"},
		"unknown key in a disk": {disk(`"name":"x","retiuired":true`), "disks[1].retiuired: unknown key; known are pool, namespace, name, prefix, role, required"},
		"key twice":             {with(`"host":"a","host":"b"`), "host: stands twice"},
		"null":                  {with(`"host":null`), "host: expected a string, got null; leave the key out"},
		"number":                {with(`"host":7`), "host: expected a string, got a number"},
		"text for a list":       {with(`"tags":"a"`), "tags: expected a list, got a string"},
		"list for a text":       {with(`"host":[]`), "host: expected a string, got a list"},
		"text for a boolean":    {disk(`"name":"x","prefix":"yes"`), "disks[1].prefix: expected true or false, got a string"},
		"number as principal":   {with(`"user":7`), "user: expected a string or an object, got a number"},
		"metadata value":        {with(`"metadata":{"a":1}`), "metadata.a: expected a string, got a number"},
		"metadata list":         {with(`"metadata":[]`), "metadata: expected an object of strings, got a list"},
		"both forms":            {`{"resource_id":"v","deletions":[]}`, "deletions: does not go together"},
		"both forms, turned":    {`{"deletions":[],"resource_id":"v"}`, "resource_id: does not go together"},
		"no deletions":          {`{"deletions":[]}`, "deletions: expected at least one"},
		"nothing at all":        {`{}`, "resource_id: is missing"},
		"too many deletions":    {`{"deletions":[` + many(`{}`, 1001) + `]}`, "deletions: has more than 1000 items"},
		"one bad of two":        {`{"deletions":[{"resource_id":"v",` + disks + `},{"resource_id":"w"}]}`, "deletions[1].disks: expected at least one"},
		"deep in a list":        {`{"deletions":[{"disks":[{"name":"x"},{"name":7}]}]}`, "deletions[0].disks[1].name: expected a string, got a number"},
		"no id":                 {`{` + disks + `}`, "resource_id: is missing"},
		"no disks":              {`{"resource_id":"v"}`, "disks: expected at least one"},
		"empty disks":           {`{"resource_id":"v","disks":[]}`, "disks: expected at least one"},
		"too many disks":        {`{"resource_id":"v","disks":[` + many(`{"name":"x"}`, 1001) + `]}`, "disks: has more than 1000 items"},
		"no disk name":          {disk(`"pool":"p"`), "disks[1].name: is missing"},
		"disk with a pool":      {disk(`"name":"p/x"`), "disks[1].name: expected a name without / and @"},
		"disk with a snapshot":  {disk(`"name":"x@s"`), "disks[1].name: expected a name without / and @"},
		"pool with namespace":   {disk(`"pool":"p/n","name":"x"`), "disks[1].pool: expected a name without"},
		"namespace alone":       {disk(`"namespace":"n","name":"x"`), "disks[1].namespace: needs a pool"},
		"required prefix":       {disk(`"name":"x","prefix":true,"required":true`), "disks[1].required: needs a full name"},
		"role":                  {disk(`"name":"x","role":"boot"`), "disks[1].role: expected one of root, ephemeral"},
		"kind":                  {with(`"kind":"destroy"`), `kind: expected one of delete, disk-detach, image-delete`},
		"resource kind":         {with(`"resource_kind":"container"`), `resource_kind: expected "vm" for the kind delete, got "container"`},
		"volume as VM":          {with(`"kind":"volume-delete","resource_kind":"vm"`), `resource_kind: expected "volume" for the kind volume-delete`},
		"rebuild, no request":   {with(`"kind":"rebuild"`), "request_id: is missing: a resource can go through rebuild several times"},
		"long name":             {with(`"host":"` + strings.Repeat("ä", 257) + `"`), "host: expected at most 256 characters, got 257"},
		"long user id":          {with(`"user":{"id":"` + strings.Repeat("a", 257) + `"}`), "user.id: expected at most 256 characters"},
		"control character":     {with(`"host":"a\u0000b"`), "host: has a control character"},
		"long metadata":         {with(`"metadata":{"k":"` + strings.Repeat("a", 1025) + `"}`), "metadata.k: expected at most 1024 characters, got 1025"},
		"long metadata key":     {with(`"metadata":{"` + strings.Repeat("k", 129) + `":""}`), "metadata: the key \"kkk"},
		"empty metadata key":    {with(`"metadata":{"":"x"}`), "metadata: a key is empty"},
		"many tags":             {with(`"tags":[` + many(`"a"`, 65) + `]`), "tags: expected at most 64, got 65"},
		"empty tag":             {with(`"tags":["a",""]`), "tags[1]: is empty"},
		"many addresses":        {with(`"addresses":[` + many(`"::1"`, 257) + `]`), "addresses: expected at most 256, got 257"},
		"no IP":                 {with(`"addresses":["192.0.2"]`), `addresses[0].ip: expected an IP address like 192.0.2.7 or 2001:db8::7, got "192.0.2"`},
		"IP with a zone":        {with(`"addresses":["fe80::1%eth0"]`), "addresses[0].ip: expected an IP address"},
		"a network":             {with(`"addresses":["192.0.2.0/24"]`), "addresses[0].ip: expected an IP address"},
		"no MAC":                {with(`"addresses":[{"mac":"02:00"}]`), "addresses[0].mac: expected a MAC address"},
		"InfiniBand":            {with(`"addresses":[{"mac":"02:00:5e:10:00:00:00:01"}]`), "addresses[0].mac: expected a MAC address"},
		"empty address":         {with(`"addresses":[{"network":"n"}]`), "addresses[0]: expected an ip, a mac, or both"},
		"no time":               {with(`"ended_at":"yesterday"`), `ended_at: expected a time like 2026-03-02T10:11:12Z (RFC 3339), got "yesterday"`},
		"time without a zone":   {with(`"ended_at":"2026-03-02T10:11:12"`), "ended_at: expected a time like"},
		"long time":             {with(`"ended_at":"2026-03-02T10:11:12.` + strings.Repeat("0", 60) + `Z"`), "ended_at: expected a time like"},
		"seconds since 1970":    {with(`"ended_at":1772446272`), "ended_at: expected a string, got a number"},
		"old time":              {with(`"created_at":"1970-01-01T00:00:00Z"`), "created_at: expected a time between 2000 and 2100"},
		"far time":              {with(`"created_at":"2100-01-01T00:00:00Z"`), "created_at: expected a time between 2000 and 2100"},
		"end before start":      {with(`"started_at":"2026-03-02T10:11:12Z","ended_at":"2026-03-02T10:11:11Z"`), "ended_at: expected a time not before started_at"},
		"end before creation":   {with(`"created_at":"2026-03-02T10:11:12Z","ended_at":"2026-03-02T10:11:11Z"`), "ended_at: expected a time not before created_at"},
		"too long":              {strings.Repeat(" ", generic.MaxBody+1), "the body has 8388609 bytes"},
		"long unknown key":      {with(`"` + strings.Repeat("k", 5000) + `":1`), "unknown key"},
		"long kind":             {with(`"kind":"` + strings.Repeat("k", 5000) + `"`), "kind: expected one of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := generic.Decode(cloud, []byte(tt.body))
			if got != nil || !errors.Is(err, quarantine.ErrInvalid) {
				t.Fatalf("got %v, %v", got, err)
			}
			if s := err.Error(); !strings.Contains(s, tt.says) || len(s) > 600 {
				t.Errorf("got %q, want it to say %q", s, tt.says)
			}
		})
	}
}

// Bodies of 8 MiB that are made to be dear are refused at a cost of memory
// that is a small multiple of their length.
func TestHostileBodies(t *testing.T) {
	fill := func(head, unit, tail string) string {
		return head + strings.Repeat(unit, (generic.MaxBody-len(head)-len(tail))/len(unit)) + tail
	}
	batch := func(list string) string {
		item := `{"` + list + `":[` + strings.TrimSuffix(strings.Repeat(`"",`, 999), ",") + `]},`
		if list == "disks" {
			item = strings.ReplaceAll(item, `""`, "{}")
		}
		return strings.TrimSuffix(fill(`{"deletions":[`, item, ""), ",") + "]}"
	}
	for name, body := range map[string]string{
		"disks":     batch("disks"),
		"addresses": batch("addresses"),
		"tags":      batch("tags"),
		"metadata":  fill(`{"metadata":{`, `"a":"",`, ""),
		"depth":     fill("", "[", ""),
		"objects":   fill(`{"user":`, `{"id":`, ""),
		"one text":  fill(`{"host":"`, "x", `"}`),
		"one key":   fill(`{"`, "x", `":1}`),
		"blanks":    fill("", " ", "{}"),
		"escapes":   fill(`{"host":"`, `\u0041`, `"}`),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := generic.Decode(cloud, []byte(body))
		runtime.ReadMemStats(&after)
		if !errors.Is(err, quarantine.ErrInvalid) || len(err.Error()) > 600 {
			t.Errorf("%s: %v", name, err)
		}
		// All that was ever allocated, whether collected or not.
		if n := after.TotalAlloc - before.TotalAlloc; n > 16*generic.MaxBody {
			t.Errorf("%s: %d MiB allocated", name, n>>20)
		}
	}
}
