package opennebula_test

import (
	"encoding/base64"
	"errors"
	"testing"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// No body makes Decode panic; what it reports is fit to be recorded, in its
// normal form and the same for a second delivery; what it refuses wraps
// ErrInvalid and is short.
func FuzzDecode(f *testing.F) {
	for _, name := range []string{"zmq/00182.frame1", "zmq/00596.frame1", "zmq/00606.frame1", "zmq/00533.frame1"} {
		b := body(f, name)
		f.Add(b)
		f.Add([]byte(document(f, b)))
	}
	// Short ones, which are faster to vary.
	const disks = `<TEMPLATE><DISK><DISK_ID>0</DISK_ID><TYPE>fs</TYPE><DISK_TYPE>RBD</DISK_TYPE><ATTACH>YES</ATTACH></DISK>` +
		`<DISK><DISK_ID>1</DISK_ID><DISK_TYPE>RBD</DISK_TYPE><CLONE>YES</CLONE><SOURCE>a/b/c</SOURCE></DISK>` +
		`<NIC><IP>::1</IP><MAC>A</MAC></NIC></TEMPLATE><USER_TEMPLATE><LABELS>a,b</LABELS></USER_TEMPLATE>`
	for _, states := range [][3]string{{"3", "15", "14"}, {"3", "17", "22"}, {"6", "0", "20"}, {"1", "0", "14"}} {
		vm := `<VM><ID>7</ID><UID>0</UID><STATE>` + states[0] + `</STATE><LCM_STATE>` + states[1] + `</LCM_STATE><PREV_STATE>8</PREV_STATE><ETIME>9</ETIME>` + disks +
			`<HISTORY_RECORDS><HISTORY><SEQ>0</SEQ><ACTION>` + states[2] + `</ACTION><ETIME>8</ETIME><UID>0</UID></HISTORY><HISTORY><SEQ>1</SEQ></HISTORY></HISTORY_RECORDS></VM>`
		f.Add([]byte(vm))
		f.Add([]byte(base64.StdEncoding.EncodeToString([]byte(vm))))
		f.Add([]byte("<HOOK_MESSAGE><HOOK_TYPE>STATE</HOOK_TYPE>" + vm + "</HOOK_MESSAGE>"))
	}
	f.Add([]byte("<HOOK_MESSAGE><HOOK_TYPE>API</HOOK_TYPE><CALL>one.image.delete</CALL><CALL_INFO><RESULT>1</RESULT><EXTRA><IMAGE><ID>1</ID><DISK_TYPE>3</DISK_TYPE><SOURCE>a/b</SOURCE></IMAGE></EXTRA></CALL_INFO></HOOK_MESSAGE>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := opennebula.Decode(cloud, b)
		if err != nil {
			if got != nil || !errors.Is(err, quarantine.ErrInvalid) || len(err.Error()) > 1000 {
				t.Fatalf("got %v, %v", got, err)
			}
			return
		}
		again, err := opennebula.Decode(cloud, b)
		if err != nil || len(again) != len(got) {
			t.Fatalf("a second delivery: %v, %v", again, err)
		}
		for i, d := range got {
			if err := d.Validate(); err != nil {
				t.Fatal(err)
			}
			if !d.Equal(d.Normalize()) || !d.Equal(again[i]) || !quarantine.Merge(d, again[i]).Equal(d) {
				t.Fatalf("%+v is not in its normal form", d)
			}
		}
	})
}
