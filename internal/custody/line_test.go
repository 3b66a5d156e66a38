package custody

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// sealed gives the text before `,"hash":` the hash that fits.
func sealed(said []byte) []byte {
	sum := sha256.Sum256(said)
	return append(append(append(bytes.Clone(said), partHash...), hex.EncodeToString(sum[:])...), partEnd...)
}

// The decoder takes what the encoder writes and nothing else: whatever it
// accepts, the encoder makes the same bytes of. It survives any bytes.
func FuzzLine(f *testing.F) {
	whole, h := appendLine(nil, genesis, noLine, []byte(`{"act":"hold"}`))
	whole = bytes.TrimSuffix(whole, []byte("\n"))
	f.Add(whole[:len(whole)-tailLen])
	next, _ := appendLine(nil, h, 0, []byte(`{}`))
	f.Add(next[:len(next)-tailLen-1])
	f.Add([]byte(`{"seq":007,"prev":"` + genesis.hash + `","back":-1,"entry":{}`))
	f.Add([]byte(`{"seq":1,"prev":"0","back":-1,"entry":{}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, said []byte) {
		if l, err := decodeLine(said); err == nil {
			t.Fatalf("a line without its hash decodes: %+v", l)
		}
		raw := sealed(said)
		l, err := decodeLine(raw)
		if err != nil {
			return
		}
		again, h := appendLine(nil, head{seq: l.seq - 1, hash: string(l.prev)}, l.back, l.entry)
		if string(again) != string(raw)+"\n" || h.hash != string(l.hash) {
			t.Fatalf("decoded %q\nencoded %q", raw, again)
		}
	})
}

// The disk that the index finds in an encoded entry, without decoding it, is
// the one that decoding finds.
func FuzzEntry(f *testing.F) {
	f.Add("0123456789abcdef", "adopt", "", int64(1_700_000_000))
	f.Add(`a"b\`, "hold", `","disk":"x`, int64(0))
	f.Add("", "rebuild-catalog", "\x00\xff\n", int64(-1))
	f.Fuzz(func(t *testing.T, disk, act, reason string, at int64) {
		entry, err := encodeEntry(quarantine.Entry{At: time.Unix(at, 5).UTC(), Disk: disk, Act: act, Reason: reason, Detail: map[string]string{reason: disk}})
		if err != nil {
			return // too long, or a year that JSON has no form for
		}
		if bytes.ContainsRune(entry, '\n') {
			t.Fatalf("an entry with a newline: %q", entry)
		}
		e, err := decodeEntry(entry)
		if err != nil {
			t.Fatalf("decode %q: %v", entry, err)
		}
		if id, err := diskOf(entry); err != nil || string(id) != e.Disk {
			t.Fatalf("disk %q, %v; want %q", id, err, e.Disk)
		}
		if want := strings.ToValidUTF8(disk, "\uFFFD"); e.Disk != want && !strings.Contains(want, "\uFFFD") {
			t.Fatalf("disk %q became %q", disk, e.Disk)
		}
	})
}
