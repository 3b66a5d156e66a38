package openstacklab

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// AuthURL is Keystone's address.
func (l *Lab) AuthURL() string { return fmt.Sprintf("http://127.0.0.1:%d/v3", l.site.Ports.Identity) }

// BrokerURL is RabbitMQ's address, with a user who may do everything.
func (l *Lab) BrokerURL() string {
	return fmt.Sprintf("amqp://openstack:%s@127.0.0.1:%d/", password, l.site.Ports.Rabbit)
}

// Region is the name of the only region.
func (l *Lab) Region() string { return region }

// Node is what Nova and Cinder call the host; Cinder's volumes are on
// Node@ceph#ceph.
func (l *Lab) Node() string { return node }

// Pools are the RBD pools. VMs and Volumes are guarded, Images is not.
func (l *Lab) Pools() Pools { return l.site.Pools }

// CephUser is the user of Ceph, without "client.", with which the cloud works.
func (l *Lab) CephUser() string { return l.site.CephUser }

// Env is the environment of an OpenStack client, for the administrator: the
// variables OS_….
func (l *Lab) Env() []string { return l.EnvFor(Admin()) }

// EnvFor is Env for another user.
func (l *Lab) EnvFor(who Identity) []string {
	domain := orElse(who.Domain, "Default")
	return []string{
		"OS_AUTH_URL=" + l.AuthURL(), "OS_USERNAME=" + who.User, "OS_PASSWORD=" + orElse(who.Password, password),
		"OS_PROJECT_NAME=" + who.Project, "OS_USER_DOMAIN_NAME=" + domain, "OS_PROJECT_DOMAIN_NAME=" + domain,
		"OS_REGION_NAME=" + region, "OS_IDENTITY_API_VERSION=3", "OS_VOLUME_API_VERSION=" + volumeVersion, "OS_COMPUTE_API_VERSION=" + computeVersion,
	}
}

// WaitComputeUp returns when Nova takes its compute service for alive.
func (l *Lab) WaitComputeUp(ctx context.Context) error { return l.waitCompute(ctx, "up") }

// WaitComputeDown returns when Nova takes its compute service for dead: 20 s
// after its last sign of life.
func (l *Lab) WaitComputeDown(ctx context.Context) error { return l.waitCompute(ctx, "down") }

func (l *Lab) waitCompute(ctx context.Context, state string) error {
	s, err := l.As(ctx, Admin())
	if err != nil {
		return fmt.Errorf("wait for nova-compute: %w", err)
	}
	var list struct{ Services []struct{ State string } }
	err = poll(ctx, func() (bool, error) {
		ask, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		err := s.Do(ask, http.MethodGet, "compute", "/os-services?binary=nova-compute", nil, &list)
		return len(list.Services) == 1 && list.Services[0].State == state, err
	}, func() string { return fmt.Sprintf("nova's services are %v", list.Services) })
	if err != nil {
		return fmt.Errorf("wait until nova-compute is %s: %w", state, err)
	}
	return nil
}
