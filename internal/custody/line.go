package custody

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"quarantine/internal/quarantine"
)

// maxLine is the length of the longest line with its newline, so that a damaged file cannot
// make a reader take all memory.
const maxLine = 1 << 20

// noLine is the back of a disk's first line.
const noLine = -1

// genesis is what stands before the first line.
var genesis = head{hash: strings.Repeat("0", hashLen)}

// head is the last line of a chain: its number and hash.
type head struct {
	seq  uint64
	hash string
}

// The parts of a line between what varies. The encoder writes them and the
// decoder expects them byte for byte.
const (
	partSeq   = `{"seq":`
	partPrev  = `,"prev":"`
	partBack  = `","back":`
	partEntry = `,"entry":`
	partHash  = `,"hash":"`
	partEnd   = `"}`

	hashLen = 2 * sha256.Size
	tailLen = len(partHash) + hashLen + len(partEnd)
)

// line is a decoded line. Its slices are parts of the bytes it was decoded
// from.
type line struct {
	seq   uint64
	prev  []byte
	back  int64
	entry []byte // JSON
	hash  []byte
}

// appendLine appends to buf the line, with its newline, that continues the
// chain, and returns the new head. entry is JSON without a newline.
func appendLine(buf []byte, h head, back int64, entry []byte) ([]byte, head) {
	start := len(buf)
	buf = append(buf, partSeq...)
	buf = strconv.AppendUint(buf, h.seq+1, 10)
	buf = append(buf, partPrev...)
	buf = append(buf, h.hash...)
	buf = append(buf, partBack...)
	buf = strconv.AppendInt(buf, back, 10)
	buf = append(buf, partEntry...)
	buf = append(buf, entry...)
	sum := sha256.Sum256(buf[start:])
	next := head{seq: h.seq + 1, hash: hex.EncodeToString(sum[:])}
	buf = append(buf, partHash...)
	buf = append(buf, next.hash...)
	buf = append(buf, partEnd...)
	return append(buf, '\n'), next
}

var (
	errShape = errors.New("it does not have the form of this log")
	errHash  = errors.New("its hash does not fit what it says")
)

// decodeLine takes a line, without its newline, apart, and checks its own
// hash. It does not look into the entry.
func decodeLine(raw []byte) (line, error) {
	if len(raw) < tailLen {
		return line{}, errShape
	}
	said, tail := raw[:len(raw)-tailLen], raw[len(raw)-tailLen:]
	hash := tail[len(partHash) : len(partHash)+hashLen]
	if !bytes.HasPrefix(tail, []byte(partHash)) || !bytes.HasSuffix(tail, []byte(partEnd)) {
		return line{}, errShape
	}
	var want [hashLen]byte
	sum := sha256.Sum256(said)
	hex.Encode(want[:], sum[:])
	if !bytes.Equal(hash, want[:]) {
		return line{}, errHash
	}
	l := line{hash: hash}
	var ok bool
	rest, seq := said, []byte(nil)
	if rest, ok = bytes.CutPrefix(rest, []byte(partSeq)); !ok {
		return line{}, errShape
	}
	if seq, rest, ok = bytes.Cut(rest, []byte(partPrev)); !ok || len(rest) < hashLen {
		return line{}, errShape
	}
	l.prev, rest = rest[:hashLen], rest[hashLen:]
	if rest, ok = bytes.CutPrefix(rest, []byte(partBack)); !ok {
		return line{}, errShape
	}
	back, entry, ok := bytes.Cut(rest, []byte(partEntry))
	if !ok {
		return line{}, errShape
	}
	l.entry = entry
	var err error
	if l.seq, err = strconv.ParseUint(string(seq), 10, 64); err != nil || strconv.FormatUint(l.seq, 10) != string(seq) {
		return line{}, errShape
	}
	if l.back, err = strconv.ParseInt(string(back), 10, 64); err != nil || strconv.FormatInt(l.back, 10) != string(back) {
		return line{}, errShape
	}
	return l, nil
}

// follow checks that the line comes next after the head, and returns the head
// that it makes.
func (l *line) follow(h head) (head, error) {
	if l.seq != h.seq+1 {
		return h, errors.New("its number is " + strconv.FormatUint(l.seq, 10))
	}
	if string(l.prev) != h.hash {
		return h, errors.New("it does not follow the line before it")
	}
	return head{seq: l.seq, hash: string(l.hash)}, nil
}

// encodeEntry writes the entry as JSON. encoding/json sorts the keys of maps,
// so the same entry always gives the same bytes.
func encodeEntry(e quarantine.Entry) ([]byte, error) {
	e.At = e.At.UTC()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // people read the file
	if err := enc.Encode(e); err != nil {
		return nil, invalidf("entry %q of disk %q cannot be encoded: %v", e.Act, e.Disk, err)
	}
	entry := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(entry) > maxLine-1024 {
		return nil, invalidf("entry %q of disk %q is %d bytes long", e.Act, e.Disk, len(entry))
	}
	return entry, nil
}

func decodeEntry(entry []byte) (quarantine.Entry, error) {
	var e quarantine.Entry
	err := json.Unmarshal(entry, &e)
	return e, err
}

// diskOf returns the disk that an entry is about. It finds it where
// encodeEntry writes it, because decoding millions of entries at the start
// would take minutes; where it is not there in plain, the entry is decoded.
func diskOf(entry []byte) ([]byte, error) {
	if rest, ok := bytes.CutPrefix(entry, []byte(`{"at":"`)); ok {
		if _, rest, ok = bytes.Cut(rest, []byte(`"`)); ok {
			if rest, ok = bytes.CutPrefix(rest, []byte(`,"disk":"`)); ok {
				if id, _, ok := bytes.Cut(rest, []byte(`"`)); ok && bytes.IndexByte(id, '\\') < 0 {
					return id, nil
				}
			}
		}
	}
	e, err := decodeEntry(entry)
	return []byte(e.Disk), err
}
