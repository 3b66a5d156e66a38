package opennebula

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// ZMTP 3 (rfc.zeromq.org/spec/23): after a greeting of 64 bytes everything is a
// frame of one byte of flags, the length in one byte or eight, and the body. A
// message is one or more frames; a command is one.
const (
	greetingBytes = 64

	flagMore    = 1
	flagLong    = 2
	flagCommand = 4
)

// Bounds of what is read, in bytes. A frame of a message that is too long for
// its use is passed over. What goes beyond the others ends the connection: who
// sends that does not speak the protocol.
const (
	maxTopic     = 4 << 10
	maxCommand   = 64 << 10
	maxPublished = 8 * MaxBody
)

var errProtocol = errors.New("what the publisher sends is no ZeroMQ")

// arrival is a message or a command.
type arrival struct {
	event   event
	command string // empty: it is a message
	context []byte // of a PING: what the PONG repeats
}

// Commands of ZMTP 3.1.
const (
	commandPing = "PING"
	commandPong = "PONG"
)

// readArrival reads a message or a command.
func readArrival(r *bufio.Reader) (arrival, error) {
	var e event
	var total uint64
	for n := 1; ; n++ {
		flags, size, err := readHeader(r)
		if err != nil {
			return arrival{}, err
		}
		if flags&flagCommand != 0 {
			if n > 1 || flags&flagMore != 0 {
				return arrival{}, fmt.Errorf("%w: a command within a message", errProtocol)
			}
			return readCommand(r, size)
		}
		if size > maxPublished || total+size > maxPublished {
			return arrival{}, fmt.Errorf("%w: a message of more than %d bytes", errProtocol, maxPublished)
		}
		total += size + 1
		if err := e.readFrame(r, n, int(size)); err != nil {
			return arrival{}, err
		}
		if flags&flagMore == 0 {
			if n != 2 {
				e.fault = fmt.Sprintf("the message has %d frames, not 2", n)
			}
			return arrival{event: e}, nil
		}
	}
}

// readFrame reads the n-th frame of a message.
func (e *event) readFrame(r *bufio.Reader, n, size int) error {
	use := 0 // the longest that is of use
	switch n {
	case 1:
		use = maxTopic
	case 2:
		use = MaxBody
	}
	if size > use {
		if n <= 2 {
			e.fault = fmt.Sprintf("frame %d of the message has %d bytes, more than %d", n, size, use)
		}
		_, err := r.Discard(size)
		return err
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	if n == 1 {
		e.topic = string(b)
	} else {
		e.body = b
	}
	return nil
}

// readCommand reads the body of a command: the length of the name, the name,
// and what belongs to it; of a PING that is two bytes of a time, and a context.
func readCommand(r *bufio.Reader, size uint64) (arrival, error) {
	if size == 0 || size > maxCommand {
		return arrival{}, fmt.Errorf("%w: a command of %d bytes", errProtocol, size)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return arrival{}, err
	}
	n := int(b[0])
	if n == 0 || 1+n > len(b) {
		return arrival{}, fmt.Errorf("%w: a command without a name", errProtocol)
	}
	a := arrival{command: string(b[1 : 1+n])}
	if rest := b[1+n:]; a.command == commandPing && len(rest) > 2 {
		a.context = rest[2:min(len(rest), 2+16)] // it has at most 16 bytes
	}
	return a, nil
}

func readHeader(r *bufio.Reader) (flags byte, size uint64, err error) {
	if flags, err = r.ReadByte(); err != nil {
		return 0, 0, err
	}
	if flags&^(flagMore|flagLong|flagCommand) != 0 {
		return 0, 0, fmt.Errorf("%w: a frame with flags %#x", errProtocol, flags)
	}
	n := 1
	if flags&flagLong != 0 {
		n = 8
	}
	var b [8]byte
	if _, err := io.ReadFull(r, b[8-n:]); err != nil {
		return 0, 0, err
	}
	return flags, binary.BigEndian.Uint64(b[:]), nil
}

// handshakeConn is what the library reads the handshake from: the greeting, and
// then frames no longer than a command. The library allocates whatever length
// it reads.
type handshakeConn struct {
	net.Conn
	r        *bufio.Reader
	greeting int    // how much of it has been read
	frame    []byte // what has not been read of the last one
}

// Read implements io.Reader.
func (c *handshakeConn) Read(p []byte) (int, error) {
	if left := greetingBytes - c.greeting; left > 0 {
		n, err := c.r.Read(p[:min(len(p), left)])
		c.greeting += n
		return n, err
	}
	if len(c.frame) == 0 {
		flags, size, err := readHeader(c.r)
		if err != nil {
			return 0, err
		}
		if size > maxCommand {
			return 0, fmt.Errorf("%w: a frame of %d bytes in the handshake", errProtocol, size)
		}
		frame := binary.BigEndian.AppendUint64([]byte{flags | flagLong}, size)
		frame = append(frame, make([]byte, size)...)
		if _, err := io.ReadFull(c.r, frame[9:]); err != nil {
			return 0, err
		}
		c.frame = frame
	}
	n := copy(p, c.frame)
	c.frame = c.frame[n:]
	return n, nil
}
