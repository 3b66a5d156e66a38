package openstacklab

import (
	"os"

	"quarantine/integration/lab"
)

// ports are those of one lab, all on 127.0.0.1.
type ports struct {
	Database, Rabbit, RabbitDist, EPMD                   int
	Identity, Placement, Image, Compute, Volume, Network int
}

// reserve finds free ports. The marks are for the lab's supervisor, because a
// service that is started again must find its own.
func (p *ports) reserve() (marks []*os.File, err error) {
	return lab.ReserveAll(&p.Database, &p.Rabbit, &p.RabbitDist, &p.EPMD,
		&p.Identity, &p.Placement, &p.Image, &p.Compute, &p.Volume, &p.Network)
}
