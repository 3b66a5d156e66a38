package opennebula_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// vmOf is a VM with hardly anything in it.
func vmOf(id int, more string) string {
	return fmt.Sprintf("<VM><ID>%d</ID><UID>2</UID><GID>100</GID><UNAME>alice</UNAME><GNAME>experiment</GNAME><NAME>vm%d</NAME><STATE>3</STATE><LCM_STATE>3</LCM_STATE><STIME>1795386921</STIME><ETIME>0</ETIME>%s</VM>", id, id, more)
}

func vmPool(elements ...string) string {
	return "<VM_POOL>" + strings.Join(elements, "") + "</VM_POOL>"
}

// livingIDs are the ids of the VMs that Living tells of, in its order.
func livingIDs(t testing.TB, api *opennebula.API) ([]string, error) {
	t.Helper()
	var ids []string
	err := api.Living(t.Context(), func(d quarantine.Deletion) error {
		if d.ResourceKind == quarantine.ResourceVM {
			ids = append(ids, d.ResourceID)
		}
		return nil
	})
	return ids, err
}

// noImages answers for the images where a test is about VMs.
func noImages(c asked) string {
	if c.method == "one.imagepool.info" {
		return answer("<IMAGE_POOL></IMAGE_POOL>")
	}
	return ""
}

// Whatever VMs come and go while they are listed, in whichever order the
// front-end lists: those that live from beginning to end are told once each,
// and none is told twice.
func TestLivingWhileItChanges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		alive := rapid.SliceOfNDistinct(rapid.IntRange(0, 40), 0, 25, rapid.ID).Draw(rt, "alive")
		slices.Sort(alive)
		up := rapid.Bool().Draw(rt, "up")
		// What happens before each call: below 0 a VM comes (once a call: a list
		// that grows by a page while one is read has no end), else one of the
		// living goes; after the last one nothing.
		changes := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(-5, 24), 0, 4), 0, 30).Draw(rt, "changes")
		throughout := slices.Clone(alive)
		next, calls := 41, 0
		f := newReplay(t, func(c asked) string {
			if a := noImages(c); a != "" {
				return a
			}
			if calls < len(changes) {
				came := false
				for _, change := range changes[calls] {
					switch {
					case change < 0 && came:
					case change < 0:
						came = true
						alive = append(alive, next)
						next++
					case len(alive) > 0:
						i := change % len(alive)
						gone := alive[i]
						throughout = slices.DeleteFunc(throughout, func(id int) bool { return id == gone })
						alive = slices.Delete(alive, i, i+1)
					}
				}
				calls++
			}
			var vms []string
			for _, id := range alive {
				vms = append(vms, vmOf(id, ""))
			}
			if !up {
				slices.Reverse(vms)
			}
			return pageOf(t, "VM_POOL", vms, c)
		})
		defer f.close()
		size := rapid.IntRange(3, 7).Draw(rt, "size")
		got, err := livingIDs(t, newAPI(t, f.url, func(c *opennebula.APIConfig) { c.PageSize = size }))
		if err != nil {
			rt.Fatalf("%v after %q", err, f.made())
		}
		for _, id := range throughout {
			if !slices.Contains(got, fmt.Sprint(id)) {
				rt.Fatalf("VM %d lived, and is not among %q", id, got)
			}
		}
		slices.Sort(got)
		if len(slices.Compact(slices.Clone(got))) != len(got) {
			rt.Fatalf("some are told twice: %q", got)
		}
	})
}

// A listing that cannot be trusted is an error from which nothing is
// concluded.
func TestLivingUntrusted(t *testing.T) {
	t.Parallel()
	three := []string{vmOf(3, ""), vmOf(2, ""), vmOf(1, "")}
	all := vmPool(three...)
	for name, tt := range map[string]struct {
		pool string
		says string
	}{
		"empty":                    {"", "unavailable"},
		"white space":              {" ", "too early"},
		"cut in a VM":              {all[:len(all)-20], "too early"},
		"cut between two VMs":      {"<VM_POOL>" + three[0], "too early"},
		"cut in a tag":             {all[:len(all)-3], "too early"},
		"cut in CDATA":             {vmPool(vmOf(1, "<A><![CDATA[x</A>")), "too early"},
		"more than a pool":         {all + all, "VM_POOL"},
		"text after it":            {all + "x", "text"},
		"text between":             {vmPool(three[0], "and", three[1]), "text"},
		"another pool":             {"<IMAGE_POOL></IMAGE_POOL>", "IMAGE_POOL"},
		"other elements":           {vmPool("<IMAGE><ID>1</ID></IMAGE>"), "IMAGE"},
		"a page of HTML":           {"<!DOCTYPE html><html><body>hello</body></html>", "document type"},
		"without id":               {vmPool("<VM><STATE>3</STATE></VM>"), "no id"},
		"id is no number":          {vmPool("<VM><ID>x</ID><STATE>3</STATE></VM>"), "no id"},
		"without state":            {vmPool("<VM><ID>1</ID></VM>"), "no state"},
		"one twice":                {vmPool(three[0], three[0]), "order"},
		"not in order":             {vmPool(three[1], three[0], three[2]), "order"},
		"more than asked for":      {vmPool(three[0], three[1], three[2], vmOf(0, "")), "4 of at most 3"},
		"crossed elements":         {vmPool("<VM><ID>1</ID><A><B></A></B></VM>"), "cannot be read"},
		"closed twice":             {"<VM_POOL></VM_POOL></VM_POOL>", "has not begun"},
		"an unknown entity":        {vmPool("<VM><ID>1</ID><STATE>&x;</STATE></VM>"), "entity"},
		"an external entity":       {`<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + vmPool("<VM><ID>1</ID><STATE>&x;</STATE></VM>"), "document type"},
		"a parameter entity":       {`<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">` + all, "document type"},
		"a document type in a VM":  {vmPool("<VM><!DOCTYPE x><ID>1</ID></VM>"), "document type"},
		"an entity bomb":           {bomb(), "document type"},
		"nothing but what ends it": {"</VM_POOL>", "has not begun"},
	} {
		api := newAPI(t, newReplay(t, func(asked) string { return answer(tt.pool) }).url, func(c *opennebula.APIConfig) { c.PageSize = 3 })
		_, err := livingIDs(t, api)
		if !errors.Is(err, quarantine.ErrUnavailable) || errors.Is(err, quarantine.ErrInvalid) || !strings.Contains(err.Error(), tt.says) || len(err.Error()) > 400 {
			t.Errorf("%s: got %v, want one that says %q", name, err, tt.says)
		}
	}
}

// A front-end that does not turn the page is found out, and does not keep the
// listing busy for ever.
func TestLivingRepeats(t *testing.T) {
	t.Parallel()
	f := newReplay(t, func(asked) string { return answer(vmPool(vmOf(3, ""), vmOf(2, ""))) })
	got, err := livingIDs(t, newAPI(t, f.url, func(c *opennebula.APIConfig) { c.PageSize = 2 }))
	if !errors.Is(err, quarantine.ErrUnavailable) || !strings.Contains(err.Error(), "repeat") || !slices.Equal(got, []string{"3", "2"}) || len(f.made()) > 10 {
		t.Errorf("got %q, %v after %d calls", got, err, len(f.made()))
	}
	turn := 0
	f = newReplay(t, func(asked) string {
		turn = 1 - turn
		return answer(vmPool(vmOf(5-turn, ""), vmOf(2-turn, "")))
	})
	if _, err := livingIDs(t, newAPI(t, f.url, func(c *opennebula.APIConfig) { c.PageSize = 2 })); !errors.Is(err, quarantine.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// The caller's own error ends the listing, and comes back as it is.
func TestLivingEnds(t *testing.T) {
	t.Parallel()
	f := recordedFrontEnd(t)
	enough := errors.New("enough")
	if err := newAPI(t, f.url, nil).Living(t.Context(), func(quarantine.Deletion) error { return enough }); err != enough {
		t.Errorf("got %v", err)
	}
	if len(f.made()) != 1 {
		t.Errorf("got %q", f.made())
	}
}

// VMs that are too long for one answer are asked for in smaller pages, down to
// two; where these are too long too, they are told without their disks. A
// tenant's template costs nobody the listing.
func TestLivingLongVMs(t *testing.T) {
	t.Parallel()
	disk := "<TEMPLATE><DISK><DISK_ID>0</DISK_ID><TYPE>fs</TYPE><DISK_TYPE>RBD</DISK_TYPE></DISK></TEMPLATE>"
	var vms, short []string
	for id := range 40 {
		fat := 100
		if id == 20 || id == 21 || id == 22 {
			fat = 60_000 // two do not fit
		}
		vms = append(vms, vmOf(id, disk+"<USER_TEMPLATE><A><![CDATA["+strings.Repeat("&", fat)+"]]></A></USER_TEMPLATE>"))
		short = append(short, vmOf(id, ""))
	}
	f := newReplay(t, func(c asked) string {
		switch c.method {
		case "one.vmpool.infoextended":
			return pageOf(t, "VM_POOL", vms, c)
		case "one.vmpool.info":
			return pageOf(t, "VM_POOL", short, c)
		}
		return noImages(c)
	})
	api := newAPI(t, f.url, func(c *opennebula.APIConfig) { c.PageSize, c.MaxAnswer = 25, 500_000 })
	got, err := collected(func(each func(quarantine.Deletion) error) error { return api.Living(t.Context(), each) })
	if err != nil || len(got) != 40 {
		t.Fatalf("%d VMs, %v", len(got), err)
	}
	bare := 0
	for _, d := range got {
		if len(d.Disks) == 0 {
			bare++
		}
	}
	if bare == 0 || bare > 4 {
		t.Errorf("%d VMs are told without their disks", bare)
	}
	for _, c := range f.made() {
		if strings.HasPrefix(c, "one.vmpool.info(") && !strings.Contains(c, ",-2,-1)") {
			t.Errorf("%s asks for more than two", c)
		}
	}
}
