package opennebula_test

import (
	"bufio"
	"encoding/hex"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"quarantine/internal/opennebula"
)

// libzmqPublisher is a PUB socket of the C library, which OpenNebula's hook
// manager uses. It reads messages on stdin, the frames in hexadecimal.
const libzmqPublisher = `
import sys, zmq
pub = zmq.Context().socket(zmq.PUB)
pub.setsockopt(zmq.SNDHWM, 0)
pub.setsockopt(zmq.LINGER, 0)
pub.bind(sys.argv[1])
print(pub.getsockopt_string(zmq.LAST_ENDPOINT), flush=True)
for line in sys.stdin:
    pub.send_multipart([bytes.fromhex(f) for f in line.rstrip("\n").split(" ")])
`

type libzmq struct {
	t        *testing.T
	cmd      *exec.Cmd
	in       io.WriteCloser
	endpoint string
}

// publishLibzmq needs Debian's python3-zmq.
func publishLibzmq(t *testing.T, endpoint string) *libzmq {
	t.Helper()
	p := &libzmq{t: t, cmd: exec.Command("/usr/bin/python3", "-c", libzmqPublisher, endpoint)}
	var stderr strings.Builder
	p.cmd.Stderr = &stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	p.in = in
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.kill()
		t.Fatalf("start the publisher (is python3-zmq installed?): %v\n%s", err, stderr.String())
	}
	p.endpoint = strings.TrimSpace(line)
	return p
}

func (p *libzmq) send(m published) {
	p.t.Helper()
	var words []string
	for _, f := range m.frames() {
		words = append(words, hex.EncodeToString(f))
	}
	if _, err := io.WriteString(p.in, strings.Join(words, " ")+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *libzmq) kill() {
	_ = p.cmd.Process.Kill() // it may be dead
	_ = p.cmd.Wait()
}

func (p *libzmq) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// From the C library the same comes as from the Go one. What is published after
// Missed was called is heard: nothing lies between what the API told and the
// events.
func TestBusLibzmq(t *testing.T) {
	t.Parallel()
	pub := publishLibzmq(t, "tcp://127.0.0.1:*")
	k := take(t, pub.endpoint, nil)
	k.until("the connection", func() bool { return k.missed == 1 })
	all := recordedMessages(t)
	for _, m := range all {
		pub.send(m)
	}
	checkReplay(t, k, all)
}

// A publisher of the C library that hangs, whose connections the kernel keeps,
// counts as gone; when it goes on, or is killed and started anew, its messages
// are heard again.
func TestBusLibzmqHangs(t *testing.T) {
	t.Parallel()
	pub := publishLibzmq(t, "tcp://"+ownAddress+":*")
	k := take(t, pub.endpoint, func(_ *taker, cfg *opennebula.BusConfig) { cfg.Heartbeat = 2 * time.Second })
	messages := deaths(t)
	k.until("the connection", func() bool { return k.missed == 1 })
	pub.signal(syscall.SIGSTOP)
	k.until("the publisher given up", func() bool { return len(k.ups) == 2 && k.logged("gives no sign of life") == 1 })
	pub.signal(syscall.SIGCONT)
	k.until("the next connection", func() bool { return k.missed == 2 })
	pub.send(messages[0])
	k.until("a message", func() bool { return len(k.recorded) == 1 })

	pub.kill()
	k.until("its end", func() bool { return len(k.ups) == 4 })
	pub = publishLibzmq(t, pub.endpoint)
	k.until("the connection to the next one", func() bool { return k.missed == 3 })
	pub.send(messages[1])
	k.until("its message", func() bool { return len(k.recorded) == 2 })
	k.end()
	if vms(k.recorded) != "0 1" {
		t.Errorf("recorded %s", vms(k.recorded))
	}
}
