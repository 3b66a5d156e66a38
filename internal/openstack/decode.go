package openstack

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"quarantine/internal/quarantine"
)

// Decode returns the Deletions that one notification reports. body is what the
// message bus carries, {"oslo.version": …, "oslo.message": "<JSON>"}, or the
// inner message alone, as an HTTP hook may post it. cloud is the configured
// name of the cloud.
//
// An event that reports no deletion gives nil, nil; it is recognised by its
// event type alone, without a look at the rest, because hundreds of such
// events come with each deletion. The error wraps quarantine.ErrInvalid and
// says what is wrong with the message, but repeats nothing of it: messages
// carry the callers' tokens.
func Decode(cloud string, body []byte) ([]quarantine.Deletion, error) {
	p := peek(body)
	if p.ignorable {
		return nil, nil
	}
	d := decoder{cloud: cloud}
	return d.decode(body, p.envelope)
}

// decoder decodes one message after the other.
type decoder struct {
	cloud string
	// buffer is for a message while it is decoded, and is used again for the next;
	// nothing that is handed out points into it.
	buffer []byte
}

// maxBuffer is how large a buffer is kept. Messages have a few thousand bytes.
const maxBuffer = 64 << 10

// decode is Decode for a message of any form, whatever it reports. e is what
// peek found.
func (d *decoder) decode(body []byte, e envelope) ([]quarantine.Deletion, error) {
	inner, event, err := d.open(body, e)
	if err != nil {
		return nil, err
	}
	a, ok := actOf([]byte(event))
	if !ok {
		return nil, nil
	}
	var ds []quarantine.Deletion
	switch a.resource {
	case quarantine.ResourceVM:
		ds, err = serverDeletions(d.cloud, a, inner)
	case quarantine.ResourceVolume:
		ds, err = volumeDeletions(d.cloud, a, inner)
	case quarantine.ResourceImage:
		ds, err = imageDeletions(d.cloud, a, inner)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", event, err)
	}
	for i := range ds {
		ds[i] = ds[i].Normalize()
	}
	return ds, nil
}

// phase says how an event belongs to its act.
type phase int

const (
	phaseWhole  phase = iota // the event begins or ends the act itself
	phasePart                // it begins or ends a part of the act, or of another
	phaseUpdate              // the server was saved; the payload says as what
)

// act is what an event type means.
type act struct {
	resource quarantine.ResourceKind
	kind     quarantine.Kind
	phase    phase
	end      bool
}

// times gives the event's time to the start or the end of the act.
func (a act) times(m *message) (start, end time.Time) {
	if a.end {
		return time.Time{}, utc(m.Timestamp)
	}
	return utc(m.Timestamp), time.Time{}
}

// actOf tells which act an event type reports. Nova's unversioned events have
// the prefix "compute." and write some names with a dot where the versioned
// ones have an underscore.
//
// Not among them, on purpose: failed builds, whose disks the guard catches and
// the policy's rule for unexplained disks covers, and the deletion of volume
// snapshots, which are not disks.
func actOf(event []byte) (act, bool) {
	server := func(kind quarantine.Kind) act { return act{resource: quarantine.ResourceVM, kind: kind} }
	var a act
	name := bytes.TrimPrefix(event, []byte("compute."))
	switch string(name) { // no copy is made for a switch
	case "instance.update":
		return act{resource: quarantine.ResourceVM, phase: phaseUpdate}, true
	case "instance.delete.start", "instance.delete.end":
		a = server(quarantine.KindDelete)
	case "instance.shutdown.start", "instance.shutdown.end":
		a = server(quarantine.KindDelete)
		a.phase = phasePart
	case "instance.soft_delete.start", "instance.soft_delete.end":
		a = server(quarantine.KindSoftDelete)
	case "instance.rebuild.start", "instance.rebuild.end", "instance.rebuild.error":
		a = server(quarantine.KindRebuild)
	case "instance.shelve_offload.start", "instance.shelve_offload.end":
		a = server(quarantine.KindShelveOffload)
	case "instance.finish_resize.start", "instance.finish_resize.end",
		"instance.resize.confirm.start", "instance.resize.confirm.end",
		"instance.resize.revert.start", "instance.resize.revert.end",
		"instance.resize_finish.start", "instance.resize_finish.end",
		"instance.resize_confirm.start", "instance.resize_confirm.end",
		"instance.resize_revert.start", "instance.resize_revert.end":
		a = server(quarantine.KindResize)
	case "instance.unrescue.start", "instance.unrescue.end":
		a = server(quarantine.KindUnrescue)
	case "volume.delete.start", "volume.delete.end":
		a = act{resource: quarantine.ResourceVolume, kind: quarantine.KindVolumeDelete}
	case "image.delete":
		a = act{resource: quarantine.ResourceImage, kind: quarantine.KindImageDelete}
	default:
		return act{}, false
	}
	a.end = !bytes.HasSuffix(event, []byte(".start"))
	return a, true
}

// open returns the inner message, until the next call, and its event type. In
// the form in which oslo.messaging writes them they are read in a tenth of the
// time that encoding/json takes.
func (d *decoder) open(body []byte, e envelope) (inner []byte, event string, err error) {
	if e.inner != nil {
		if cap(d.buffer) < len(e.inner) || cap(d.buffer) > maxBuffer {
			d.buffer = make([]byte, 0, len(e.inner))
		}
		if inner, ok := unescape(d.buffer[:0], e.inner); ok {
			if event := peekEvent(inner); event != nil {
				return inner, string(event), nil
			}
		}
	}
	if inner, err = unwrap(body); err != nil {
		return nil, "", err
	}
	event, err = eventType(inner)
	return inner, event, err
}

// unwrap returns the inner message.
func unwrap(body []byte) ([]byte, error) {
	var envelope struct {
		Message json.RawMessage `json:"oslo.message"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		return nil, invalidf("%s", problem(err))
	}
	inner := bytes.TrimSpace(envelope.Message)
	if len(inner) == 0 {
		return body, nil
	}
	if inner[0] != '"' {
		return inner, nil
	}
	var s string
	if err := json.Unmarshal(inner, &s); err != nil {
		return nil, invalidf("oslo.message: %s", problem(err))
	}
	return []byte(s), nil
}

// eventType reads the message up to its event type, which oslo.messaging
// writes before the payload, and no further.
func eventType(inner []byte) (string, error) {
	dec := json.NewDecoder(bytes.NewReader(inner))
	if t, err := dec.Token(); err != nil {
		return "", invalidf("%s", problem(err))
	} else if t != json.Delim('{') {
		return "", invalidf("the message is not an object")
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return "", invalidf("%s", problem(err))
		}
		if key == "event_type" {
			var event text
			if err := dec.Decode(&event); err != nil {
				return "", invalidf("event_type: %s", problem(err))
			}
			if event == "" {
				break
			}
			return string(event), nil
		}
		var skipped json.RawMessage
		if err := dec.Decode(&skipped); err != nil {
			return "", invalidf("%s", problem(err))
		}
	}
	return "", invalidf("the message has no event_type")
}

// problem says what is wrong with a message, in words that hold nothing of it.
// The errors of encoding/json do: characters, numbers and keys.
func problem(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the JSON is cut short"
	case errors.As(err, &syntax):
		return fmt.Sprintf("not JSON, at byte %d", syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Sprintf("the JSON is not an object, at byte %d", kind.Offset)
	}
	return "unreadable JSON"
}

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w openstack notification: %s", quarantine.ErrInvalid, fmt.Sprintf(format, args...))
}
