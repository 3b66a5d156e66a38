package openstack

import (
	"encoding/json"
	"strings"
	"testing"

	"quarantine/internal/quarantine"
)

// wrap puts an inner message into an envelope as oslo.messaging does.
func wrap(t testing.TB, inner string) string {
	t.Helper()
	quoted, err := json.Marshal(inner)
	if err != nil {
		t.Fatal(err)
	}
	return `{"oslo.version": "2.0", "oslo.message": ` + string(quoted) + `}`
}

func ignorable(body []byte) bool { return peek(body).ignorable }

// decodeWhole decodes a message, ignorable or not.
func decodeWhole(body []byte) ([]quarantine.Deletion, error) {
	d := decoder{cloud: cloudName}
	return d.decode(body, peek(body).envelope)
}

// TestIgnorableOfRecordings proves that every recorded message of another
// event, and every update that reports no deletion, is recognised without
// being decoded (else the listener would be slow), and no message that reports
// one.
func TestIgnorableOfRecordings(t *testing.T) {
	t.Parallel()
	seen := map[bool]int{}
	for _, scenario := range scenarios(t) {
		for _, r := range recording(t, scenario) {
			ds, err := decodeWhole(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			got := ignorable(r.Body)
			if got && len(ds) > 0 {
				t.Errorf("%s/%s reports a deletion and would be ignored", scenario, r.File)
			}
			seen[got]++
			event := strings.TrimSuffix(r.File[4:], ".json")
			if _, ok := actOf([]byte(event)); !ok && !got {
				t.Errorf("%s/%s would be decoded", scenario, r.File)
			}
		}
	}
	if seen[true] < 2*seen[false] {
		t.Errorf("%d are ignored, %d decoded; want two thirds ignored at least", seen[true], seen[false])
	}
}

// TestIgnorable proves that odd but valid ways to write a deletion are not
// ignored, nor what is broken.
func TestIgnorable(t *testing.T) {
	t.Parallel()
	const other, deletion = `{"event_type": "flavor.create"}`, `{"event_type": "instance.delete.start"}`
	long := strings.Repeat("x", peekLength)
	for name, c := range map[string]struct {
		body string
		want bool
	}{
		"another event":            {wrap(t, other), true},
		"keys turned round":        {strings.Replace(wrap(t, other), `{"oslo.version": "2.0", `, `{`, 1), true},
		"white space":              {" \n" + strings.ReplaceAll(wrap(t, "\n"+other), `"oslo.message":`, "\r\n\"oslo.message\"\t:\n") + "\n", true},
		"a deletion":               {wrap(t, deletion), false},
		"the first of two counts":  {wrap(t, `{"event_type": "flavor.create", "event_type": "instance.delete.start"}`), true},
		"a deletion first":         {wrap(t, `{"event_type": "instance.delete.start", "event_type": "flavor.create"}`), false},
		"event inside":             {wrap(t, `{"payload": {"event_type": "flavor.create"}, "event_type": "instance.delete.start"}`), false},
		"event in a text":          {wrap(t, `{"message_id": "\"event_type\": \"flavor.create\"", "event_type": "instance.delete.start"}`), false},
		"escaped key":              {wrap(t, `{"event_typ\u0065": "instance.delete.start", "event_type": "flavor.create"}`), false},
		"escaped value":            {wrap(t, `{"event_type": "flavor.cre\u0061te"}`), false},
		"number":                   {wrap(t, `{"event_type": 7}`), false},
		"empty":                    {wrap(t, `{"event_type": ""}`), false},
		"far away":                 {wrap(t, `{"message_id": "`+long+`", "event_type": "flavor.create"}`), false},
		"message twice":            {strings.Replace(wrap(t, other), "{", `{"oslo.message": "{}", `, 1), false},
		"message twice, otherwise": {strings.Replace(wrap(t, other), "{", `{"OSLO.message": "{}", `, 1), false},
		"message twice, escaped":   {strings.Replace(wrap(t, other), "{", `{"oslo\u002emessage": "{}", `, 1), false},
		"not wrapped":              {other, false},
		"no object":                {`"` + other + `"`, false},
		"cut short":                {strings.TrimSuffix(wrap(t, other), `"}`), false},
		"something behind":         {wrap(t, other) + "x", false},
		"bad escape":               {strings.Replace(wrap(t, other+"@"), "@", `\x`, 1), false},
		"half a unicode escape":    {strings.Replace(wrap(t, other+"@"), "@", `\u00`, 1), false},
		"control character":        {strings.Replace(wrap(t, other+"@"), "@", "\x01", 1), false},
		"nothing":                  {"", false},
		"update":                   {wrap(t, `{"event_type": "instance.update", "payload": {"deleted_at": null}}`), true},
		"update, deleting":         {wrap(t, `{"event_type": "instance.update", "payload": {"new_task_state": "deleting"}}`), false},
		"update, soft-deleting":    {wrap(t, `{"event_type": "compute.instance.update", "payload": {"new_task_state": "soft-deleting"}}`), false},
		"update, deleted":          {wrap(t, `{"event_type": "instance.update", "payload": {"state": "deleted"}}`), false},
		"update, escaped":          {wrap(t, `{"event_type": "instance.update", "payload": {"new_task_state": "dele\u0074ing"}}`), false},
		"update, escaped outside":  {strings.Replace(wrap(t, `{"event_type": "instance.update", "payload": {"new_task_state": "dele@ing"}}`), "@", `\u0074`, 1), false},
	} {
		if got := ignorable([]byte(c.body)); got != c.want {
			t.Errorf("%s: %v, want %v: %s", name, got, c.want, c.body)
		}
	}
}

// TestPeekServer proves which messages show that Nova tells of servers: those of
// both of its formats, whether or not they report a deletion, and nothing that
// another service publishes, or Nova of other things.
func TestPeekServer(t *testing.T) {
	t.Parallel()
	for event, want := range map[string]bool{
		"compute.instance.delete.start": true, "instance.delete.end": true, "instance.update": true, "compute.instance.update": true, "compute.instance.exists": true,
		"volume.delete.start": false, "image.delete": false, "compute.metrics.update": false, "service.update": false, "flavor.create": false,
		"compute_task.build_instances.error": false, "identity.authenticate": false, "instances.x": false,
	} {
		body := wrap(t, `{"message_id": "1", "publisher_id": "x", "event_type": "`+event+`", "payload": {}}`)
		if got := peek([]byte(body)).server; got != want {
			t.Errorf("%s: %v", event, got)
		}
	}
}

// TestIgnorableAllocatesNothing proves that an ignored message costs no memory.
func TestIgnorableAllocatesNothing(t *testing.T) {
	body := []byte(wrap(t, `{"message_id": "1", "event_type": "compute.instance.volume.attach.some.longer.name.than.usual", "payload": {}}`))
	if !ignorable(body) {
		t.Fatal("the message is not ignored")
	}
	if n := testing.AllocsPerRun(100, func() { ignorable(body) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
