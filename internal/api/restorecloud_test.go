package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
	"quarantine/internal/quarantine/fakeceph"
	"quarantine/internal/quarantine/fakecloud"
)

// stagesOf are the stages of the steps, each once in a row.
func stagesOf(steps []wire.Step) string {
	var out []string
	for _, s := range steps {
		if s.Stage != "" && (len(out) == 0 || out[len(out)-1] != s.Stage) {
			out = append(out, s.Stage)
		}
	}
	return strings.Join(out, " ")
}

// A restore as a volume begins with its id, tells its stages and ends with the
// disk and what was made, which has the disk's bytes.
func TestRestoreVolume(t *testing.T) {
	t.Parallel()
	w := start(t)
	content := bytes.Repeat([]byte("evidence"), fakeceph.BlockSize/8)
	d := w.dead(one, "root", content)
	got := steps(t, w.send(operator, "POST", "/v1/disks/"+d.ID[:6]+"/restore", `{"as":"volume","name":"back","project":"blue","bootable":true,"reason":"needed"}`))
	last := got[len(got)-1]
	if got[0].Restore == "" || stagesOf(got) != "clone flatten volume" || last.Disk == nil || last.Disk.ID != d.ID || last.Result == nil || len(last.Result.Made) != 1 {
		t.Fatalf("%+v", got)
	}
	v := w.cloud.All()[last.Result.Made[0].ID]
	if st, _ := w.ceph.Look(v.Key); !bytes.HasPrefix(st.Content, content) || v.Name != "back" || v.Project.Name != "blue" || !v.Bootable {
		t.Errorf("the volume is %+v", v)
	}
	w.silent()
}

// A VM is restored as a server of all its disks, with one answer; a dry run
// tells the plan and changes nothing.
func TestRestoreVM(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "vm-7")
	w.reported("web", "vm-7", nil)
	body := `{"vm":"web","as":"server","network":"` + fakecloud.Network + `","reason":"needed"%s}`
	before := w.state()
	got := steps(t, w.send(operator, "POST", "/v1/restore", fmt.Sprintf(body, `,"dry_run":true`)))
	if len(got) != 1 || got[0].Plan == nil || len(got[0].Plan.Items) != 1 || got[0].Plan.Items[0].Disk != d.ID || got[0].Plan.Name != "restored-web" {
		t.Errorf("%+v", got)
	}
	if w.state() != before || len(w.cloud.All()) != 0 {
		t.Error("the dry run has changed something")
	}
	got = steps(t, w.send(operator, "POST", "/v1/restore", fmt.Sprintf(body, "")))
	last := got[len(got)-1]
	if stagesOf(got) != "clone flatten volume server" || last.Error != nil || last.Result == nil || len(last.Result.Made) != 2 || len(last.Result.Disks) != 1 || last.Disk != nil {
		t.Errorf("%+v", got)
	}
}

// What contradicts itself, and what the cloud does not know, is a plain problem
// before anything is done.
func TestRestoreToCloudRefused(t *testing.T) {
	t.Parallel()
	w := start(t)
	d := w.dead(vms, "root")
	before := w.state()
	for _, body := range []string{
		`{"as":"nothing","reason":"r"}`,
		`{"as":"volume","in_place":true,"reason":"r"}`,
		`{"as":"volume","pool":"one","reason":"r"}`,
		`{"as":"volume","flatten":true,"reason":"r"}`,
		`{"as":"clone","name":"x","project":"blue","reason":"r"}`,
		`{"in_place":true,"move":true,"reason":"r"}`,
		`{"as":"in-place","name":"x","reason":"r"}`,
		`{"as":"server","reason":"r"}`,
		`{"as":"server","network":"lan","defanged":true,"reason":"r"}`,
		`{"as":"image","no_flatten":true,"reason":"r"}`,
		`{"as":"volume","cloud":"nebula","reason":"r"}`,
		`{"as":"volume","unknown":1,"reason":"r"}`,
		`{"as":"volume"}`,
	} {
		w.refused(w.send(operator, "POST", "/v1/disks/"+d.ID+"/restore", body), http.StatusBadRequest, wire.CodeInvalid, "otto")
	}
	w.refused(w.send(operator, "POST", "/v1/disks/"+d.ID+"/restore", `{"as":"volume","volume_type":"slow","reason":"r"}`), http.StatusNotFound, wire.CodeNotFound, "otto")
	w.refused(w.send(operator, "POST", "/v1/restore", `{"vm":"web","as":"volume","reason":"r"}`), http.StatusNotFound, wire.CodeNotFound, "otto")
	w.refused(w.send(operator, "POST", "/v1/restore", `{"vm":"web","as":"image","reason":"r"}`), http.StatusBadRequest, wire.CodeInvalid, "otto")
	w.refused(w.send(operator, "POST", "/v1/restores/0123456789abcdef/cancel", ""), http.StatusNotFound, wire.CodeNotFound, "otto")
	if after := w.state(); after != before {
		t.Errorf("changed: %s", after)
	}
}

// A restore that is cancelled by its id cleans up, and its own answer tells what
// it has taken back.
func TestRestoreIsCancelled(t *testing.T) {
	t.Parallel()
	entered, cancelled := make(chan struct{}), make(chan struct{})
	w := start(t, func(w *world) {
		w.cloud.Hook = func(point string) error {
			if point == "AdoptVolume.before" {
				close(entered)
				<-cancelled
				return fmt.Errorf("asked no more: %w", quarantine.ErrUnavailable)
			}
			return nil
		}
	})
	d := w.dead(vms, "root")
	resp := w.open(w.ctx, operator, "POST", "/v1/disks/"+d.ID+"/restore", strings.NewReader(`{"as":"volume","reason":"r"}`))
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	var got []wire.Step
	for lines.Scan() {
		var s wire.Step
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
		if s.Restore != "" {
			<-entered
			if a := w.send(operator, "POST", "/v1/restores/"+s.Restore+"/cancel", ""); a.status != http.StatusOK {
				t.Errorf("%d %s", a.status, a.body)
			}
			close(cancelled)
		}
	}
	last := got[len(got)-1]
	if last.Error == nil || last.Error.Code != wire.CodeCancelled || last.Result == nil || len(last.Result.Removed) != 1 || len(last.Result.Left) != 0 {
		t.Errorf("%+v", last)
	}
	if all := w.ceph.All(); len(all) != 1 || !strings.HasSuffix(stagesOf(got), "clean-up") {
		t.Errorf("%d images; stages %s", len(all), stagesOf(got))
	}
	w.logged(409, "otto", "cancelled: ")
	w.refused(w.send(operator, "POST", "/v1/restores/"+got[0].Restore+"/cancel", ""), http.StatusNotFound, wire.CodeNotFound, "otto")
}

// A client that hangs up cancels its restore, which cleans up all the same.
func TestRestoreIsLeft(t *testing.T) {
	t.Parallel()
	entered, left := make(chan struct{}), make(chan struct{})
	w := start(t, func(w *world) {
		w.cloud.Hook = func(point string) error {
			if point == "AdoptVolume.before" {
				close(entered)
				<-left
				return errors.New("too late")
			}
			return nil
		}
	})
	d := w.dead(vms, "root")
	resp := w.open(w.ctx, operator, "POST", "/v1/disks/"+d.ID+"/restore", strings.NewReader(`{"as":"volume","reason":"r"}`))
	<-entered
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	close(left)
	w.requests.take() // the request is over
	if all := w.ceph.All(); len(all) != 1 {
		t.Errorf("%d images", len(all))
	}
	w.log.take()
	noGoroutine(t, "api.(*steps)")
}
