package openstacklab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"quarantine/integration/openstack/fakeneutron"
)

// ServeNeutron is the lab's Neutron: it serves until the context ends.
func ServeNeutron(ctx context.Context, dir string) error {
	l, err := find(dir)
	if err != nil {
		return fmt.Errorf("serve the networks of the lab in %s: %w", dir, err)
	}
	state, err := fakeneutron.Load(l.networksFile())
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(l.site.Ports.Network)))
	if err != nil {
		return fmt.Errorf("serve the networks: %w", err)
	}
	news := newNews()
	server := &http.Server{Handler: fakeneutron.Handler(state, news.add)}
	var wg sync.WaitGroup
	wg.Go(func() { l.tellNova(ctx, news) })
	wg.Go(func() {
		<-ctx.Done()
		_ = server.Close() // Serve tells
	})
	err = server.Serve(listener)
	wg.Wait()
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the networks: %w", err)
	}
	return nil
}

// news are the servers of whose network Nova is to be told.
type news struct {
	mu      sync.Mutex
	servers []string
	arrived chan struct{}
}

func newNews() *news { return &news{arrived: make(chan struct{}, 1)} }

// add takes a server down. It does not block.
func (n *news) add(server string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers = append(n.servers, server)
	select {
	case n.arrived <- struct{}{}:
	default:
	}
}

func (n *news) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := n.servers
	n.servers = nil
	return all
}

// tellNova sends Nova the event with which Neutron makes it ask for a server's
// addresses again. An error is dropped: Nova asks by itself, too, once a
// minute.
func (l *Lab) tellNova(ctx context.Context, n *news) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.arrived:
		}
		ask, cancel := context.WithTimeout(ctx, time.Minute)
		s, err := l.As(ask, Admin())
		for _, server := range n.take() {
			if err == nil {
				event := object{"name": "network-changed", "server_uuid": server}
				_ = s.Do(ask, http.MethodPost, "compute", "/os-server-external-events", object{"events": []object{event}}, nil)
			}
		}
		cancel()
	}
}
