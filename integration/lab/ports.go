package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
)

// Ports are taken below the range from which Linux gives ports to outgoing
// connections (32768 and up), so that none of those can slip in between.
const (
	firstPort = 10000
	lastPort  = 32000
)

// ErrNoPort: no free port was found.
var ErrNoPort = errors.New("no free port")

// Reserve finds a free TCP port of 127.0.0.1. Other labs do not take it until
// every holder of the mark has closed it or ended; a lab that starts a service
// again holds it for life, because the service must find its own port. The mark
// is an abstract socket, which the kernel drops with its last holder and which
// has the same scope as the port: the network namespace.
func Reserve() (port int, mark *os.File, err error) {
	for range 200 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fmt.Sprintf("@quarantine-lab-port-%d", port), Net: "unix"})
		if err != nil {
			continue
		}
		mark, err := l.File()
		l.Close() // the file is a duplicate
		if err != nil {
			return 0, nil, fmt.Errorf("reserve port %d: %w", port, err)
		}
		probe, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			err = probe.Close()
		}
		if err == nil {
			return port, mark, nil
		}
		mark.Close()
	}
	return 0, nil, fmt.Errorf("between %d and %d: %w", firstPort, lastPort, ErrNoPort)
}

// ReserveAll is Reserve for each of the ports, or for none.
func ReserveAll(ports ...*int) (marks []*os.File, err error) {
	for _, p := range ports {
		port, mark, err := Reserve()
		if err != nil {
			Release(marks)
			return nil, err
		}
		*p = port
		marks = append(marks, mark)
	}
	return marks, nil
}

// Release closes the marks.
func Release(marks []*os.File) {
	for _, m := range marks {
		m.Close()
	}
}
