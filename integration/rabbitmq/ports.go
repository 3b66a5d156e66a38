package rabbitlab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are taken below the range from which Linux gives ports to outgoing
// connections (32768 and up), so that none of those can slip in between.
const (
	firstPort = 20000
	lastPort  = 32000
)

var errNoPort = errors.New("no free port")

// ports are those of one lab. They stay reserved for its life, because a
// restarted broker must find its own.
type ports struct {
	amqp, tls, dist, epmd int
	marks                 []net.Listener
}

func reservePorts() (ports, error) {
	var p ports
	for _, port := range []*int{&p.amqp, &p.tls, &p.dist, &p.epmd} {
		mark, err := reserve(port)
		if err != nil {
			p.release()
			return ports{}, err
		}
		p.marks = append(p.marks, mark)
	}
	return p, nil
}

// reserve finds a free loopback port and keeps other labs from it. The mark is
// an abstract socket, which the kernel drops with its owner and which has the
// same scope as the port: the network namespace.
func reserve(port *int) (net.Listener, error) {
	for range 200 {
		n := firstPort + rand.IntN(lastPort-firstPort)
		mark, err := net.Listen("unix", fmt.Sprintf("@rabbitlab-port-%d", n))
		if err != nil {
			continue
		}
		probe, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", n))
		if err != nil {
			mark.Close()
			continue
		}
		if err := probe.Close(); err != nil {
			mark.Close()
			continue
		}
		*port = n
		return mark, nil
	}
	return nil, fmt.Errorf("between %d and %d: %w", firstPort, lastPort, errNoPort)
}

func (p *ports) release() {
	for _, mark := range p.marks {
		mark.Close()
	}
	p.marks = nil
}
