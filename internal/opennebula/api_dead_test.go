package opennebula_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// allDead is what the recorded VMs died of.
func allDead() map[string]string {
	dead := map[string]string{
		"0":  "delete of vm 0 web1 (experiment/alice) on node1 from 22:36:57 to 22:37:02",
		"1":  "delete of vm 1 web2 (experiment/alice) on node1 from 22:37:06 to 22:37:11",
		"2":  "recover-delete of vm 2 web3 (experiment/alice) by oneadmin on node2 from 22:37:14 to 22:37:15",
		"3":  "delete of vm 3 web4 (experiment/alice) on node1 from 22:37:22 to 22:37:28",
		"4":  "recover-delete of vm 4 web5 (experiment/alice) by alice on node1 from 22:38:08 to 22:38:08",
		"5":  "recover-delete of vm 5 web6 (experiment/alice) by alice on node1 from 22:38:49 to 22:38:49",
		"7":  "delete of vm 7 und1 (experiment/alice) on node1 from 22:40:23 to 22:40:37",
		"8":  "delete of vm 8 stp1 (experiment/alice) on node1 from 22:40:52 to 22:41:00",
		"9":  "recover-delete of vm 9 rdp1 (experiment/alice) on node1 from 22:41:11 to 22:41:11",
		"10": "recover-delete of vm 10 rdu1 (experiment/alice) on node1 from 22:41:35 to 22:41:35",
		"11": "recover-delete of vm 11 rdr1 (experiment/alice) by oneadmin on node1 from 22:41:53 to 22:41:53",
		"15": "delete of vm 15 epf1 (experiment/alice) on node1 from 22:44:33 to 22:44:52",
		"17": "delete of vm 17 snp1 (experiment/alice) on node2 from 22:46:40 to 22:46:53",
	}
	for id, died := range dead {
		dead[id] = died + fmt.Sprintf(": one/one-1-%[1]s-0*(root) one/one-sys-%[1]s-2*(ephemeral) one/one-sys-%[1]s-3*(swap) one/one-sys-%[1]s-checkpoint(disk)", id)
	}
	return dead
}

// linesOf are the lines of these VMs, in order.
func linesOf(dead map[string]string, ids ...string) []string {
	var out []string
	for _, id := range ids {
		out = append(out, dead[id])
	}
	slices.Sort(out)
	return out
}

func deadSince(t testing.TB, api *opennebula.API, since time.Time) ([]quarantine.Deletion, error) {
	t.Helper()
	return collected(func(each func(quarantine.Deletion) error) error { return api.Dead(t.Context(), since, each) })
}

// The first look goes through all VMs that are DONE and tells what each died of.
// VMs 6 and 12 never had a host, 13 was taken out of the database alone: none of
// their disks was destroyed.
func TestDeadFirstLook(t *testing.T) {
	t.Parallel()
	dead := allDead()
	f := recordedFrontEnd(t)
	api := newAPI(t, f.url, func(c *opennebula.APIConfig) {
		c.PageSize, c.Clock = 5, func() time.Time { return now.Add(1000 * time.Hour) }
	})
	got, err := deadSince(t, api, now.Add(-time.Hour*24*400))
	if err != nil {
		t.Fatal(err)
	}
	want := linesOf(dead, "0", "1", "2", "3", "4", "5", "7", "8", "9", "10", "11", "15", "17")
	if !slices.Equal(lines(got), want) {
		t.Fatalf("got\n%q\nwant\n%q", lines(got), want)
	}
	if slices.ContainsFunc(f.made(), func(c string) bool { return strings.HasPrefix(c, "one.vmpool.accounting") }) {
		t.Errorf("accounting was asked: %q", f.made())
	}
	// A death at that very second is in time, one the second before is not.
	for _, at := range []int64{1795387492, 1795387493} {
		got, err := deadSince(t, api, time.Unix(at, 999).UTC())
		if err != nil || !slices.Equal(lines(got), linesOf(dead, []string{"15", "17"}[at-1795387492:]...)) {
			t.Errorf("since %d: got %q, %v", at, lines(got), err)
		}
	}
}

// A later look asks accounting, an hour at a time, and tells the same.
func TestDeadLater(t *testing.T) {
	t.Parallel()
	dead := allDead()
	tests := []struct {
		since time.Time
		hours int // from since to the clock
		want  []string
		calls int
	}{
		{time.Unix(1795386900, 0), 3, []string{"0", "1", "2", "3", "4", "5", "7", "8", "9", "10", "11", "15", "17"}, 4},
		{time.Unix(1795386900, 0), 47, []string{"0", "1", "2", "3", "4", "5", "7", "8", "9", "10", "11", "15", "17"}, 48},
		{time.Unix(1795387035, 0), 1, []string{"2", "3", "4", "5", "7", "8", "9", "10", "11", "15", "17"}, 2}, // the record of VM 2 ended a second before it
		{time.Unix(1795387313, 0), 1, []string{"11", "15", "17"}, 2},
		{time.Unix(1795387613, 0), 1, []string{"17"}, 2},
		{time.Unix(1795387614, 0), 1, nil, 2},
		{now.Add(time.Hour), -1, nil, 1}, // a front-end whose clock is ahead
	}
	for _, tt := range tests {
		f := recordedFrontEnd(t)
		api := newAPI(t, f.url, func(c *opennebula.APIConfig) {
			c.Clock = func() time.Time { return tt.since.Add(time.Duration(tt.hours) * time.Hour) }
		})
		got, err := deadSince(t, api, tt.since)
		if err != nil || !slices.Equal(lines(got), linesOf(dead, tt.want...)) {
			t.Fatalf("since %s got\n%q, %v\nwant\n%q", tt.since.UTC(), lines(got), err, linesOf(dead, tt.want...))
		}
		calls, list := 0, 0
		for _, c := range f.made() {
			if strings.HasPrefix(c, "one.vmpool.accounting(-2,") {
				calls++
			}
			if strings.HasPrefix(c, "one.vmpool.info(") {
				list++
			}
		}
		if calls != tt.calls || list != 0 {
			t.Errorf("since %s: %d calls of accounting, want %d; %d pages of the listing", tt.since.UTC(), calls, tt.calls, list)
		}
	}
}

// What Dead tells of a VM is what the hook's DONE message of it told, under the
// same id; only that its disks were there is not known any more.
func TestDeadAsItsMessages(t *testing.T) {
	t.Parallel()
	api := newAPI(t, recordedFrontEnd(t).url, nil)
	got, err := deadSince(t, api, time.Unix(1795386900, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"hooks/0215-st_done.stdin", "hooks/0251-st_done.stdin", "hooks/0509-st_done.stdin", "zmq/00198.frame1"} {
		want := decode(t, body(t, file))[0]
		i := slices.IndexFunc(got, func(d quarantine.Deletion) bool { return d.ID == want.ID })
		if i < 0 {
			t.Errorf("%s: %s is not told", file, line(want))
			continue
		}
		for j := range want.Disks {
			want.Disks[j].Required = false
		}
		if !got[i].Equal(want) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", file, got[i], want)
		}
	}
}

// Where accounting's answer would be too long, the listing is gone through
// instead; and VMs that are too long together are asked for in fewer at once.
func TestDeadTooLong(t *testing.T) {
	t.Parallel()
	f := recordedFrontEnd(t)
	api := newAPI(t, f.url, func(c *opennebula.APIConfig) { c.MaxAnswer = 140_000 })
	got, err := deadSince(t, api, time.Unix(1795386900, 0))
	if err != nil || len(got) != 13 {
		t.Fatalf("got %q, %v", lines(got), err)
	}
	sets := 0
	for _, c := range f.made() {
		if strings.HasPrefix(c, "one.vmpool.infoset") {
			sets++
		}
	}
	if sets < 3 {
		t.Errorf("got %q", f.made())
	}
}

// An answer that leaves out what was asked for, or has something else, is none.
func TestDeadUntrusted(t *testing.T) {
	t.Parallel()
	one := vmOf(1, "")
	for name, set := range map[string]string{
		"one is missing":     vmPool(),
		"another":            vmPool(one, vmOf(2, "")),
		"one twice":          vmPool(one, one),
		"cut short":          "<VM_POOL>" + one,
		"a VM that is wrong": vmPool("<VM><ID>1</ID><STATE>6</STATE><ETIME>1795400000</ETIME><HISTORY_RECORDS><HISTORY><SEQ></HISTORY></HISTORY_RECORDS></VM>"),
	} {
		api := newAPI(t, newReplay(t, func(c asked) string {
			if c.method == "one.vmpool.accounting" {
				return answer("<HISTORY_RECORDS><HISTORY><OID>1</OID><SEQ>0</SEQ><ETIME>1795400000</ETIME></HISTORY></HISTORY_RECORDS>")
			}
			return answer(set)
		}).url, nil)
		if got, err := deadSince(t, api, now.Add(-time.Minute)); !errors.Is(err, quarantine.ErrUnavailable) {
			t.Errorf("%s: got %q, %v", name, lines(got), err)
		}
	}
	for name, records := range map[string]string{
		"no VM":     "<HISTORY_RECORDS><HISTORY><SEQ>0</SEQ></HISTORY></HISTORY_RECORDS>",
		"cut short": "<HISTORY_RECORDS><HISTORY><OID>1</OID>",
		"none":      "<VM_POOL></VM_POOL>",
	} {
		api := newAPI(t, newReplay(t, func(asked) string { return answer(records) }).url, nil)
		if got, err := deadSince(t, api, now.Add(-time.Minute)); !errors.Is(err, quarantine.ErrUnavailable) {
			t.Errorf("accounting, %s: got %q, %v", name, lines(got), err)
		}
	}
}

// A VM that lives is not dead, whatever time of an end it bears, and one that is
// listed among the living and is DONE is not alive.
func TestDeadAndLivingAreTwo(t *testing.T) {
	t.Parallel()
	dying := strings.Replace(object(t, body(t, "zmq/00178.frame1")), "<ETIME>0<", "<ETIME>1795387022<", 1)
	f := newReplay(t, func(c asked) string {
		switch c.method {
		case "one.vmpool.accounting":
			return answer("<HISTORY_RECORDS><HISTORY><OID>0</OID><SEQ>0</SEQ><ETIME>1795387022</ETIME></HISTORY></HISTORY_RECORDS>")
		case "one.vmpool.infoset":
			return answer(vmPool(dying))
		case "one.vmpool.infoextended":
			return answer(vmPool(recordedDoc(t, "vm_info_done")))
		}
		return noImages(c)
	})
	api := newAPI(t, f.url, nil)
	if got, err := deadSince(t, api, time.Unix(1795387000, 0)); err != nil || len(got) != 0 {
		t.Errorf("dead: got %q, %v", lines(got), err)
	}
	if got, err := livingIDs(t, api); err != nil || len(got) != 0 {
		t.Errorf("living: got %q, %v", got, err)
	}
}
