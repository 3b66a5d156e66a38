package openstack

import (
	"slices"

	amqp "github.com/rabbitmq/amqp091-go"
)

// window is the messages that the broker waits to hear of, oldest first, and
// acknowledges them: many at once where it can, because each acknowledgement
// is a write to the network.
//
// An acknowledgement of many means all messages up to one. So it is sent only
// for the first messages of the window, up to one that is still in work; those
// behind it are acknowledged one by one, but only if that does not wait for
// too long (flush). A rejection is sent at once, and so before any
// acknowledgement that would cover it.
//
// What the broker was told of is forgotten at once. So the window is never
// larger than what is in flight, however long one message is held while the
// others go on.
type window struct {
	channel channel
	// size is how many messages the broker sends ahead, batch how many
	// acknowledgements are worth a write.
	size, batch int

	messages []delivered
	ready    int // of messages, those to acknowledge
}

// channel is where acknowledgements go. Its errors say that the connection is
// gone; the broker then delivers again.
type channel interface {
	Ack(tag uint64, multiple bool) error
	Reject(tag uint64, requeue bool) error
}

var _ channel = (*amqp.Channel)(nil)

// delivered is a message that the broker waits to hear of.
type delivered struct {
	tag  uint64
	done bool // it is to be acknowledged
}

func newWindow(ch channel, prefetch int) *window {
	return &window{channel: ch, size: prefetch, batch: max(1, prefetch/4)}
}

// begin takes a message into the window. Tags only grow.
func (w *window) begin(tag uint64) {
	w.messages = append(w.messages, delivered{tag: tag})
}

// finish notes that the message may be acknowledged.
func (w *window) finish(tag uint64) {
	w.messages[w.find(tag)].done = true
	w.ready++
	switch {
	case len(w.messages) >= w.size:
		w.flush() // the broker sends no more before it hears something
	case w.ready >= w.batch:
		w.flushFirst()
	}
}

// reject has the broker put the message into the dead-letter queue.
func (w *window) reject(tag uint64) {
	_ = w.channel.Reject(tag, false)
	i := w.find(tag)
	w.messages = slices.Delete(w.messages, i, i+1)
}

// flush acknowledges all that is done.
func (w *window) flush() {
	w.flushFirst()
	if w.ready == 0 {
		return
	}
	w.messages = slices.DeleteFunc(w.messages, func(m delivered) bool {
		if m.done {
			_ = w.channel.Ack(m.tag, false)
		}
		return m.done
	})
	w.ready = 0
}

// flushFirst acknowledges what is done before the first message in work.
func (w *window) flushFirst() {
	n := 0
	for n < len(w.messages) && w.messages[n].done {
		n++
	}
	if n == 0 {
		return
	}
	_ = w.channel.Ack(w.messages[n-1].tag, true)
	w.ready -= n
	w.messages = slices.Delete(w.messages, 0, n)
}

// find returns where the message of the tag is, which is in the window. It is
// asked for every message; slices.BinarySearchFunc takes four times as long.
func (w *window) find(tag uint64) int {
	low, high := 0, len(w.messages)
	for low < high {
		if mid := (low + high) / 2; w.messages[mid].tag < tag {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}
