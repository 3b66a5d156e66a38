package openstack

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"quarantine/internal/quarantine"
)

const (
	imagesPath = "GET /image/v2/images"
	// otherImage is what a tenant would like its image's death to be the death
	// of.
	otherImage = "rbd://086b1557-44c7-45e2-a947-77e690bd5f6b/vms/11111111-2222-3333-4444-555555555555_disk/snap"
)

// withProperties puts properties into the recorded image "quiet", where Glance
// puts them: before its own attributes. Locations are shown or not.
func withProperties(t testing.TB, f *fakeCloud, properties string, locations bool) {
	t.Helper()
	recorded := f.recorded
	f.on(imagesPath, func(w http.ResponseWriter, r *http.Request) {
		a, ok := recorded["GET "+r.URL.EscapedPath()+"?"+r.URL.RawQuery]
		if !ok {
			t.Errorf("not recorded: %s", r.URL)
		}
		body := strings.Replace(string(a.Body), `"name": "quiet"`, properties+`, "name": "quiet"`, 1)
		if !locations { // the default of Glance
			body = strings.NewReplacer(`"direct_url"`, `"not_shown"`, `"locations"`, `"not_shown_either"`).Replace(body)
		}
		reply(a.Status, body)(w, r)
	})
}

// TestImageProperties proves that no property which a tenant may give its image
// ends a listing or stands for what Glance says itself, whatever its letters'
// case, its type and its place, and that each is told as metadata.
func TestImageProperties(t *testing.T) {
	t.Parallel()
	plain := living(t, newTestAPI(t, newFakeCloud(t)))
	quiet := recordedIDs(t)["quiet"]
	for name, properties := range map[string]map[string]string{
		"size":       {"Size": "big", "SIZE": "9e99"},
		"direct url": {"Direct_URL": otherImage, "DIRECT_URL": "file:///x"},
		"locations":  {"Locations": otherImage, "LOCATIONS": `[{"url": "` + otherImage + `"}]`},
		"owner":      {"Owner": recordedDemoProject, "OWNER": "x"},
		"identity":   {"ID": ghost, "Id": "../../x", "Name": "another"},
		"the rest":   {"Status": "deleted", "Tags": "prod", "Created_At": "2001-01-01T00:00:00Z", "Domain_ID": "x", "User": "x", "Project": "x"},
		"long s":     {"ſize": "big", "ſtatuſ": "deleted", "tagſ": "x", "locationſ": otherImage},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := json.Marshal(properties)
			if err != nil {
				t.Fatal(err)
			}
			for _, locations := range []bool{true, false} {
				f := newFakeCloud(t)
				withProperties(t, f, strings.Trim(string(text), "{}"), locations)
				a := newTestAPI(t, f)
				found := living(t, a)
				got, want := found[quiet], plain[quiet]
				for key, value := range properties {
					if got.Metadata[key] != value {
						t.Errorf("property %s: %q", key, got.Metadata[key])
					}
				}
				got.Metadata, want.Metadata = nil, nil
				if !got.Equal(want) || len(found) != len(plain) {
					t.Errorf("it makes %+v of %+v", got, want)
				}
				pool, err := a.ImagePool(t.Context())
				if locations && (err != nil || pool.Pool != "images") || !locations && !errors.Is(err, quarantine.ErrInvalid) {
					t.Errorf("Glance's pool: %+v, %v", pool, err)
				}
			}
		})
	}
}

// TestImageTypes proves that attributes of an unexpected type cost themselves
// and nothing else, and which of a key that comes twice is taken.
func TestImageTypes(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]apiImage{
		`{"id": "i", "size": "big", "tags": 7, "locations": {"url": "x"}, "direct_url": ["x"], "name": {"a": 1}}`: {ID: "i"},
		`{"id": "i", "size": 7.5, "tags": [null, 7, "a"], "locations": [7, null, {"URL": "x"}, {"url": "y"}]}`:    {ID: "i", Tags: lenient[[]text]{[]text{"", "7", "a"}}, Locations: []string{"y"}},
		`{"id": "i", "locations": [{"url": "y"}, {"url": null}], "direct_url": "x"}`:                              {ID: "i", Locations: []string{"x", "y"}},
		`{"id": "a", "direct_url": "x", "id": "i", "direct_url": "y", "p": "1", "p": "2"}`:                        {ID: "i", Locations: []string{"y"}, Properties: dictionary{"p": "2"}},
		`{"id": "i", "p": true, "q": [1], "r": {"id": "x"}, "s": null, "t": 7}`:                                   {ID: "i", Properties: dictionary{"t": "7"}},
		`[]`: {}, `7`: {}, `null`: {},
	} {
		var v apiImage
		if err := json.Unmarshal([]byte(body), &v); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if v.ID != want.ID || v.Size != want.Size || v.Name != want.Name || !slices.Equal(v.Tags.value, want.Tags.value) ||
			!slices.Equal(v.Locations, want.Locations) || !maps.Equal(v.Properties, want.Properties) {
			t.Errorf("%s: %+v, want %+v", body, v, want)
		}
	}
}

// TestImageLocations proves that an image which was made by location tells the
// disk that dies with it, but not one of a cluster that is not in the
// service's care; and what Glance's pool is by the locations of its images.
func TestImageLocations(t *testing.T) {
	t.Parallel()
	const ours, other = "086b1557-44c7-45e2-a947-77e690bd5f6b", "99999999-44c7-45e2-a947-77e690bd5f6b"
	at := func(id, location string) string { return fmt.Sprintf(`{"id": %q, "direct_url": %q}`, id, location) }
	own := func(fsid, pool, id string) string { return at(id, "rbd://"+fsid+"/"+pool+"/"+id+"/snap") }
	second := recordedIDs(t)["quiet"]
	for name, c := range map[string]struct {
		images   []string
		clusters []string
		disks    []quarantine.DiskRef // of the first, beside its own
		pool     quarantine.PoolRef
		err      error
		shown    quarantine.PoolRef // to an operator
	}{
		"ours":             {[]string{own(ours, "p", ghost)}, []string{ours}, nil, quarantine.PoolRef{FSID: ours, Pool: "p"}, nil, quarantine.PoolRef{FSID: ours, Pool: "p"}},
		"by location":      {[]string{at(ghost, "rbd://"+ours+"/vms/x/snap")}, []string{ours}, []quarantine.DiskRef{{Pool: "vms", Name: "x", Role: roleImage}}, quarantine.PoolRef{}, quarantine.ErrInvalid, quarantine.PoolRef{}},
		"elsewhere":        {[]string{at(ghost, "rbd://"+other+"/vms/x/snap")}, []string{ours}, nil, quarantine.PoolRef{}, quarantine.ErrInvalid, quarantine.PoolRef{}},
		"all are ours":     {[]string{at(ghost, "rbd://"+other+"/vms/x/snap")}, nil, []quarantine.DiskRef{{Pool: "vms", Name: "x", Role: roleImage}}, quarantine.PoolRef{}, quarantine.ErrInvalid, quarantine.PoolRef{}},
		"another cluster":  {[]string{own(other, "p", ghost)}, []string{ours}, nil, quarantine.PoolRef{}, quarantine.ErrNotFound, quarantine.PoolRef{FSID: other, Pool: "p"}},
		"two clusters":     {[]string{own(other, "p", ghost), own(ours, "q", second)}, []string{ours}, nil, quarantine.PoolRef{FSID: ours, Pool: "q"}, nil, quarantine.PoolRef{FSID: ours, Pool: "q"}},
		"not on RBD":       {[]string{at(ghost, "file:///x")}, []string{ours}, nil, quarantine.PoolRef{}, quarantine.ErrNotFound, quarantine.PoolRef{}},
		"nothing is shown": {[]string{`{"id": "` + ghost + `"}`}, []string{ours}, nil, quarantine.PoolRef{}, quarantine.ErrInvalid, quarantine.PoolRef{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeCloud(t)
			f.on(imagesPath, func(w http.ResponseWriter, r *http.Request) {
				images := c.images
				if r.URL.Query().Get("os_hidden") == "true" {
					images = nil
				}
				reply(200, `{"images": [`+strings.Join(images, ",")+`]}`)(w, r)
			})
			a := newTestAPI(t, f, func(cfg *APIConfig) { cfg.Clusters = c.clusters })
			own := quarantine.DiskRef{Name: ghost, Role: roleImage}
			if got, want := living(t, a)[ghost].Disks, append([]quarantine.DiskRef{own}, c.disks...); !sameRefs(got, want) {
				t.Errorf("disks %+v, want %+v", got, want)
			}
			if pool, err := a.ImagePool(t.Context()); pool != c.pool || !errors.Is(err, c.err) {
				t.Errorf("Glance's pool: %+v, %v", pool, err)
			}
			facts, err := a.Facts(t.Context())
			if err != nil || (facts.Images == nil) != (c.shown == quarantine.PoolRef{}) || facts.Images != nil && *facts.Images != c.shown {
				t.Errorf("shown: %+v, %v", facts.Images, err)
			}
		})
	}
}

func sameRefs(got, want []quarantine.DiskRef) bool {
	return len(got) == len(want) && !slices.ContainsFunc(want, func(r quarantine.DiskRef) bool { return !slices.Contains(got, r) })
}

// TestNamesByExactKeys proves that what somebody noted of a user, a project or
// an image does not stand for its name, domain or id.
func TestNamesByExactKeys(t *testing.T) {
	t.Parallel()
	f := newFakeCloud(t)
	f.on(imagesPath+"/"+ghost, reply(200, `{"NAME": "x", "name": "right", "domain_id": "x", "user": "x", "Name": "x"}`))
	f.on("GET /identity/v3/users/u", reply(200, `{"user": {"Name": "x", "name": "right", "NAME": "x", "domain_id": "default", "Domain_ID": "x"}}`))
	f.on("GET /identity/v3/projects/p", reply(200, `{"project": {"id": "p", "ID": "x", "name": "right", "NAME": "x", "domain_id": "default", "Domain_ID": "x"}}`))
	f.on("GET /identity/v3/domains/default", reply(200, `{"domain": {"name": "Default", "Name": "x"}}`))
	s, err := newTestAPI(t, f).session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p, err := s.imageName(t.Context(), ghost); err != nil || p != (quarantine.Principal{ID: ghost, Name: "right"}) {
		t.Errorf("image: %+v, %v", p, err)
	}
	if p, err := s.userName(t.Context(), "u"); err != nil || p != (quarantine.Principal{ID: "u", Name: "right", Domain: "Default"}) {
		t.Errorf("user: %+v, %v", p, err)
	}
	if p, err := s.findProject(t.Context(), "p", ""); err != nil || p != (quarantine.Principal{ID: "p", Name: "right", Domain: "Default"}) {
		t.Errorf("project: %+v, %v", p, err)
	}
}
