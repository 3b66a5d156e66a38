package openstack

import amqp "github.com/rabbitmq/amqp091-go"

// window is the messages that the broker waits to hear of, oldest first, and
// acknowledges them: many at once where it can, because each acknowledgement
// is a write to the network.
//
// An acknowledgement of many means all messages up to one. So it is sent only
// for the first messages of the window, up to one that is still in work; those
// behind it are acknowledged one by one, but only if that does not wait for
// too long (flush). A rejection is sent at once, and so before any
// acknowledgement that would cover it.
type window struct {
	channel channel
	// size is how many messages the broker sends ahead, batch how many
	// acknowledgements are worth a write.
	size, batch int

	messages []delivered
	open     int // of messages, those that the broker waits for
	ready    int // of open, those to acknowledge
}

// channel is where acknowledgements go. Its errors say that the connection is
// gone; the broker then delivers again.
type channel interface {
	Ack(tag uint64, multiple bool) error
	Reject(tag uint64, requeue bool) error
}

var _ channel = (*amqp.Channel)(nil)

type delivered struct {
	tag   uint64
	state deliveredState
}

type deliveredState byte

const (
	inWork   deliveredState = iota
	settled                 // to acknowledge
	answered                // the broker knows
)

func newWindow(ch channel, prefetch int) *window {
	return &window{channel: ch, size: prefetch, batch: max(1, prefetch/4)}
}

// begin takes a message into the window. Tags only grow.
func (w *window) begin(tag uint64) {
	w.messages = append(w.messages, delivered{tag: tag})
	w.open++
}

// finish notes that the message may be acknowledged.
func (w *window) finish(tag uint64) {
	w.find(tag).state = settled
	w.ready++
	switch {
	case w.open >= w.size:
		w.flush() // the broker sends no more before it hears something
	case w.ready >= w.batch:
		w.flushFirst()
	}
}

// reject has the broker put the message into the dead-letter queue.
func (w *window) reject(tag uint64) {
	_ = w.channel.Reject(tag, false)
	w.find(tag).state = answered
	w.open--
}

// flush acknowledges all that is done.
func (w *window) flush() {
	w.flushFirst()
	if w.ready == 0 {
		return
	}
	for i := range w.messages {
		if m := &w.messages[i]; m.state == settled {
			_ = w.channel.Ack(m.tag, false)
			m.state = answered
			w.open--
			w.ready--
		}
	}
}

// flushFirst acknowledges what is done before the first message in work.
func (w *window) flushFirst() {
	n, last := 0, -1
	for n < len(w.messages) && w.messages[n].state != inWork {
		if w.messages[n].state == settled {
			last = n
			w.open--
			w.ready--
		}
		n++
	}
	if last >= 0 {
		// The broker must still wait for the last one itself, so that is one
		// without an answer.
		_ = w.channel.Ack(w.messages[last].tag, true)
	}
	w.messages = append(w.messages[:0], w.messages[n:]...)
}

// find returns the message of the tag, which is in the window.
func (w *window) find(tag uint64) *delivered {
	low, high := 0, len(w.messages)
	for low < high {
		if mid := (low + high) / 2; w.messages[mid].tag < tag {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return &w.messages[low]
}
