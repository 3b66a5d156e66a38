package cephlab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// The monitor's port must be known before it starts. It is taken below the
// range from which Linux gives ports to outgoing connections (32768 and up),
// so that none of those can slip in between.
const (
	firstPort = 20000
	lastPort  = 32000
)

var errNoPort = errors.New("no free port")

// reservePort finds a free loopback port and keeps other labs from taking it
// until release is called: after that, the monitor has bound it. The
// reservation is an abstract socket, which the kernel drops with its owner and
// which has the same scope as the port: the network namespace.
//
// OSD and manager need no reservation: they bind, and try the next port.
func reservePort() (port int, release func() error, err error) {
	for range 200 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		mark, err := net.Listen("unix", fmt.Sprintf("@cephlab-port-%d", port))
		if err != nil {
			continue
		}
		probe, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			mark.Close()
			continue
		}
		if err := probe.Close(); err != nil {
			mark.Close()
			continue
		}
		return port, mark.Close, nil
	}
	return 0, nil, fmt.Errorf("between %d and %d: %w", firstPort, lastPort, errNoPort)
}
