package opennebula_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"runtime"
	"strings"
	"testing"

	"quarantine/internal/opennebula"
	"quarantine/internal/quarantine"
)

// What cannot be read is refused with an error that says why, wraps ErrInvalid
// and repeats little of the input.
func TestRefused(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 5000)
	for name, tt := range map[string]struct{ body, says string }{
		"empty":                   {" \n", "empty"},
		"no base64":               {"{" + long, "neither XML nor base64"},
		"base64 of something":     {base64.StdEncoding.EncodeToString([]byte("hello " + long)), "not of XML"},
		"a host":                  {"<HOST><ID>1</ID></HOST>", "<HOST>"},
		"a long name":             {"<" + long + "/>", "the root element is <aaa"},
		"the VM ends too early":   {"<VM><ID>1</ID>", "unexpected EOF"},
		"the frame is cut":        {string(frame(t)[:6000]), "HOOK_MESSAGE"},
		"crossed elements":        {"<VM><" + long + "></VM>", "element <aaa"},
		"two roots":               {"<VM><ID>1</ID><STATE>3</STATE></VM><VM>", "VM"},
		"no number":               {"<VM><STATE>3</STATE></VM>", "VM ID"},
		"not the number's form":   {"<VM><ID>07</ID><STATE>3</STATE></VM>", `"07"`},
		"a long number":           {"<VM><ID>" + strings.Repeat("9", 5000) + "</ID><STATE>3</STATE></VM>", "VM ID"},
		"no state":                {"<VM><ID>7</ID></VM>", "VM STATE"},
		"an image without number": {"<IMAGE><ID>x</ID><STATE>7</STATE></IMAGE>", "IMAGE ID"},
		"an image without a name": {"<IMAGE><ID>1</ID><STATE>7</STATE><DISK_TYPE>3</DISK_TYPE><SOURCE>one/</SOURCE></IMAGE>", "SOURCE"},
		"no hook type":            {"<HOOK_MESSAGE></HOOK_MESSAGE>", "HOOK_TYPE"},
		"a custom entity":         {`<!DOCTYPE VM [<!ENTITY a "aaaa">]><VM><ID>&a;</ID></VM>`, "entity"},
		"bad UTF-8":               {"<VM><ID>\xff</ID></VM>", "UTF-8"},
		"a foreign encoding":      {`<?xml version="1.0" encoding="latin1"?><VM/>`, "encoding"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := opennebula.Decode(cloud, []byte(tt.body))
			if got != nil || !errors.Is(err, quarantine.ErrInvalid) {
				t.Fatalf("got %v, %v", got, err)
			}
			if s := err.Error(); !strings.Contains(s, tt.says) || len(s) > 400 {
				t.Errorf("got %q, want it to say %q shortly", s, tt.says)
			}
		})
	}
}

func frame(t *testing.T) []byte { return body(t, "zmq/00182.frame1") }

// Bodies of 8 MiB that are made to be dear are refused, or read, at a cost of
// memory that is a small multiple of their length.
func TestHostileBodies(t *testing.T) {
	fill := func(head, unit, tail string) []byte {
		n := (opennebula.MaxBody - len(head) - len(tail)) / len(unit)
		return []byte(head + strings.Repeat(unit, n) + tail)
	}
	tests := map[string]struct {
		body []byte
		ok   bool
	}{
		"elements":          {fill("<VM><ID>1</ID><STATE>3</STATE>", "<a/>", "</VM>"), false},
		"disks":             {fill("<VM><ID>1</ID><STATE>3</STATE><TEMPLATE>", "<DISK/>", "</TEMPLATE></VM>"), false},
		"depth":             {fill("<VM>", "<a>", ""), false},
		"attributes":        {fill("<VM ", `a="" `, "/>"), false},
		"comments":          {fill("<VM><ID>1</ID><STATE>3</STATE>", "<!-- -->", "</VM>"), true},
		"one comment":       {fill("<VM><ID>1</ID><STATE>3</STATE><!--", "x", "--></VM>"), true},
		"text":              {fill("<VM><ID>1</ID><STATE>3</STATE><NAME>", "x", "</NAME></VM>"), true},
		"metadata":          {fill("<VM><ID>1</ID><STATE>3</STATE><USER_TEMPLATE><A>", "x", "</A></USER_TEMPLATE></VM>"), true},
		"one name":          {fill("<", "x", "/>"), false},
		"entities":          {fill("<VM><ID>1</ID><STATE>3</STATE><NAME>", "&lt;", "</NAME></VM>"), true},
		"entity bomb":       {[]byte(bomb()), false},
		"base64 of nothing": {bytes.Repeat([]byte("A"), opennebula.MaxBody), false},
		"line ends":         {append(bytes.Repeat([]byte("\n"), opennebula.MaxBody-1), 'x'), false},
		"too long":          {bytes.Repeat([]byte("<"), opennebula.MaxBody+1), false},
	}
	for name, tt := range tests {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := opennebula.Decode(cloud, tt.body)
		runtime.ReadMemStats(&after)
		if tt.ok != (err == nil) || err != nil && !errors.Is(err, quarantine.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		// All that was ever allocated, whether collected or not.
		if n := after.TotalAlloc - before.TotalAlloc; n > 16*opennebula.MaxBody {
			t.Errorf("%s: %d MiB allocated", name, n>>20)
		}
	}
}

func bomb() string {
	s := `<!DOCTYPE VM [<!ENTITY a "aaaaaaaaaa">`
	for c := 'b'; c <= 'z'; c++ {
		ref := "&" + string(c-1) + ";"
		s += "<!ENTITY " + string(c) + ` "` + strings.Repeat(ref, 10) + `">`
	}
	return s + "]><VM><ID>&z;</ID></VM>"
}
