package openstacklab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
)

// Ports are taken below the range from which Linux gives ports to outgoing
// connections (32768 and up), and below that of the other labs, which probe
// for free ports while these wait for their service to start.
const (
	firstPort = 10000
	lastPort  = 14000
)

var errNoPort = errors.New("no free port")

// ports are those of one lab, all on 127.0.0.1.
type ports struct {
	Database, Rabbit, RabbitDist, EPMD                   int
	Identity, Placement, Image, Compute, Volume, Network int
}

// reservePorts finds free ports. Who holds the files keeps other labs from
// them: the lab's supervisor does, because a service that is started again
// must find its own.
func reservePorts() (p ports, marks []*os.File, err error) {
	defer func() {
		if err != nil {
			closeAll(marks)
		}
	}()
	for _, port := range []*int{
		&p.Database, &p.Rabbit, &p.RabbitDist, &p.EPMD,
		&p.Identity, &p.Placement, &p.Image, &p.Compute, &p.Volume, &p.Network,
	} {
		mark, err := reserve(port)
		if err != nil {
			return ports{}, marks, err
		}
		marks = append(marks, mark)
	}
	return p, marks, nil
}

// reserve finds a free port. The mark is an abstract socket, which the kernel
// drops with its last holder and which has the same scope as the port: the
// network namespace.
func reserve(port *int) (*os.File, error) {
	for range 200 {
		n := firstPort + rand.IntN(lastPort-firstPort)
		mark, err := net.ListenUnix("unix", &net.UnixAddr{Name: fmt.Sprintf("@openstacklab-port-%d", n), Net: "unix"})
		if err != nil {
			continue
		}
		file, err := mark.File()
		mark.Close() // the file is a duplicate
		if err != nil {
			return nil, fmt.Errorf("reserve port %d: %w", n, err)
		}
		probe, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", n))
		if err != nil {
			file.Close()
			continue
		}
		if err := probe.Close(); err != nil {
			file.Close()
			continue
		}
		*port = n
		return file, nil
	}
	return nil, fmt.Errorf("between %d and %d: %w", firstPort, lastPort, errNoPort)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
