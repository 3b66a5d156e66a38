package rabbitlab

import (
	"os"

	"quarantine/integration/lab"
)

// ports are those of one lab. They stay reserved for its life, because a
// restarted broker must find its own.
type ports struct {
	amqp, tls, dist, epmd int
	marks                 []*os.File
}

func (p *ports) reserve() (err error) {
	p.marks, err = lab.ReserveAll(&p.amqp, &p.tls, &p.dist, &p.epmd)
	return err
}

func (p *ports) release() {
	lab.Release(p.marks)
	p.marks = nil
}
