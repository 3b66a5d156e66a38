package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"quarantine/internal/api"
	"quarantine/internal/api/wire"
	"quarantine/internal/generic"
	"quarantine/internal/metrics"
	"quarantine/internal/opennebula"
	"quarantine/internal/openstack"
	"quarantine/internal/policy"
	"quarantine/internal/quarantine"
)

// The HTTP server's own limits. There is no limit on the writing of an answer:
// exports and flattens take as long as they take.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	// drainTimeout is how long a stop waits for requests that are under way.
	drainTimeout = 30 * time.Second
)

// newMetrics makes the metrics; what they read at each scrape is wired later.
func (d *daemon) newMetrics() *metrics.Metrics {
	return metrics.New(metrics.Config{
		Totals: d.catalog.Totals, OldestPending: d.catalog.OldestPending, Speed: d.speed, Watches: d.watchStates, PolicyReady: d.policies.Ready, Clock: d.clock,
	})
}

// speed is the part of full speed at which space is freed.
func (d *daemon) speed() float64 {
	if s := d.services.collector.Slowed(); s != nil {
		return s.Part
	}
	return 1
}

// wireServer makes the API's server.
func (d *daemon) wireServer(m *metrics.Metrics, ready func(string)) error {
	tokens, err := d.cfg.tokens()
	if err != nil {
		return err
	}
	clouds := map[string]string{}
	for _, c := range d.cfg.Clouds {
		clouds[c.Name] = c.Type
	}
	s := &d.services
	server, err := api.New(api.Config{
		Clock: d.clock, Log: d.log.With("component", "api"), MaxBody: d.cfg.MaxBody, Tokens: tokens, Clouds: clouds,
		Hooks: map[string]api.Hook{
			"openstack":  {CloudType: quarantine.CloudOpenStack, Decode: openstack.Decode},
			"opennebula": {CloudType: quarantine.CloudOpenNebula, Decode: opennebula.Decode},
			"generic":    {CloudType: quarantine.CloudGeneric, Decode: generic.Decode},
		},
		Drivers: d.drivers(), Interceptor: quarantine.NewInterceptor(s.recorder, d.registry),
		Disks: d.catalog, Custody: d.custody, Recorder: s.recorder, Holds: s.cases, Restorer: restorer{s.restorer, s.collector, d.log.With("component", "api")},
		Clouder:  clouder{s.clouder, s.collector, d.log.With("component", "api")},
		Exporter: s.exporter, Isolator: s.isolator, Cases: s.cases, CaseViews: s.cases, Standing: s.standing, Approvals: s.approvals, Requests: d.catalog,
		Pauser: s.collector, Guards: guards{s.guard, d.registry}, Jobs: d.jobs, Doctor: s.doctor, Checker: s.checker,
		Policy: explainer{d.policies, d.registry}, Locks: d.policies, Sightings: d.catalog, Coverage: s.inquirer, Simulator: quarantine.NewSimulator(d.catalog, d.registry, d.clock), Applier: s.applier, Parents: s.flattener, Capacity: s.capacity, Clusters: d.registry,
		Rebuild: func(ctx context.Context, actor string) (quarantine.Report, error) {
			if err := d.restoreHolds(ctx); err != nil {
				return quarantine.Report{}, err
			}
			return s.reconciler.Rebuild(ctx, actor, d.catalog)
		},
		Status: d.status, Ready: d.ready, Metrics: m.Handler(), Requested: m.Requested,
	})
	if err != nil {
		return fmt.Errorf("make the API: %w", err)
	}
	d.components = append(d.components, component{name: "api", intake: true, run: func(ctx context.Context) error {
		return d.serveHTTP(ctx, server.Handler(), ready)
	}})
	return nil
}

// serveHTTP serves until ctx ends, and then waits for the requests that are
// under way.
func (d *daemon) serveHTTP(ctx context.Context, h http.Handler, ready func(string)) error {
	ln, err := net.Listen("tcp", d.cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", d.cfg.Listen, err)
	}
	scheme := "http"
	if d.cfg.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(d.cfg.TLS.Cert, d.cfg.TLS.Key)
		if err != nil {
			return errors.Join(fmt.Errorf("read the TLS certificate: %w", err), ln.Close())
		}
		scheme = "https"
		ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	}
	// Requests outlive the wish to stop, up to drainTimeout.
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return requests },
		ErrorLog:    slogErrorLog(d.log.With("component", "api")),
	}
	d.log.Info("serving", "addr", ln.Addr().String(), "scheme", scheme)
	if ready != nil {
		ready(ln.Addr().String())
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve on %s: %w", d.cfg.Listen, err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(requests, drainTimeout)
	defer cancel()
	err = srv.Shutdown(drain)
	if err != nil {
		// Long exports are cut: their readers see a stream without its end.
		cut()
		err = srv.Close()
	}
	<-failed
	if err != nil {
		return fmt.Errorf("stop serving: %w", err)
	}
	return nil
}

// status gathers what `quarantinectl status` shows.
func (d *daemon) status(ctx context.Context) (wire.Status, error) {
	st := wire.Status{
		Version: version, StartedAt: d.startedAt, Now: d.clock().UTC(), Reasons: d.ready(ctx),
		Policy: wire.PolicyStatus{Digest: d.policies.Digest()}, Totals: []quarantine.Total{}, Guards: []quarantine.GuardStatus{},
		Listeners: connections(d.busStates()), Watches: connections(d.watchStates()),
	}
	st.Ready = len(st.Reasons) == 0
	if err := d.policies.Ready(); err != nil {
		st.Policy.Fault = err.Error()
	}
	totals, err := d.catalog.Totals(ctx)
	if err != nil {
		return st, err
	}
	st.Totals = append(st.Totals, totals...)
	for _, p := range d.registry.Pools() {
		g, err := d.services.guard.Status(ctx, p)
		if err != nil {
			return st, err
		}
		st.Guards = append(st.Guards, g)
	}
	if st.Pause, err = d.services.collector.Paused(ctx); err != nil {
		return st, err
	}
	if st.Requests, err = d.catalog.FindRequests(ctx, pendingRequests()); err != nil {
		return st, err
	}
	st.Slowed = d.services.collector.Slowed()
	st.Jobs, err = d.jobs.LastRuns(ctx)
	return st, err
}

func connections(states map[string]bool) []wire.Connection {
	out := []wire.Connection{}
	for name, up := range states {
		out = append(out, wire.Connection{Name: name, Up: up})
	}
	slices.SortFunc(out, func(a, b wire.Connection) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// restorer gives disks back, and has the collector, which alone may, take the
// seal off at once where the disk has left quarantine.
type restorer struct {
	*quarantine.Restorer
	collector *quarantine.Collector
	log       *slog.Logger
}

// InPlace gives the disk back under its own name. It is given back whether or
// not the seal comes off now; the next collect run takes it off otherwise.
func (r restorer) InPlace(ctx context.Context, actor, id, reason string) (quarantine.Disk, error) {
	d, err := r.Restorer.InPlace(ctx, actor, id, reason)
	if err != nil {
		return d, err
	}
	if err := r.collector.Unseal(context.WithoutCancel(ctx), actor, id, "restored in place"); err != nil {
		r.log.Warn("the seal of a restored disk stays until the next collect run", "disk", id, "error", err)
		return d, nil
	}
	d.Sealed = false
	return d, nil
}

// guards resolves pool names for the API.
type guards struct {
	keeper   *quarantine.GuardKeeper
	clusters quarantine.Clusters
}

// Guard reads the pool's setting now; the canary is the last one's.
func (g guards) Guard(ctx context.Context, pool string) (quarantine.GuardStatus, error) {
	p, err := quarantine.FindPool(g.clusters, pool)
	if err != nil {
		return quarantine.GuardStatus{}, err
	}
	return g.keeper.Check(ctx, p, false)
}

func (g guards) SetGuard(ctx context.Context, actor, pool string, on bool, reason string) (quarantine.GuardStatus, error) {
	p, err := quarantine.FindPool(g.clusters, pool)
	if err != nil {
		return quarantine.GuardStatus{}, err
	}
	return g.keeper.Set(ctx, actor, p, on, reason)
}

// explainer asks the policy in force about disks of the configured pools.
type explainer struct {
	*policy.Store
	clusters quarantine.Clusters
}

func (e explainer) Facts(d quarantine.Disk) quarantine.Facts {
	for _, p := range e.clusters.Pools() {
		if p.PoolRef == d.Key.PoolRef() {
			return quarantine.FactsOf(d, p)
		}
	}
	return quarantine.FactsOf(d, quarantine.Pool{PoolRef: d.Key.PoolRef()})
}

// tokens reads the digests of the configured tokens.
func (c *config) tokens() ([]api.Token, error) {
	var out []api.Token
	for _, t := range c.Tokens {
		tok := api.Token{Name: t.Name, Role: api.Role(t.Role), Cloud: t.Cloud}
		if t.File != "" {
			b, err := os.ReadFile(t.File)
			if err != nil {
				return nil, fmt.Errorf("read token %s: %w", t.Name, err)
			}
			secret := strings.TrimSpace(string(b))
			if secret == "" {
				return nil, fmt.Errorf("read token %s: %s is empty", t.Name, t.File)
			}
			tok.SHA256 = sha256.Sum256([]byte(secret))
		} else {
			b, err := hex.DecodeString(t.SHA256)
			if err != nil || len(b) != len(tok.SHA256) {
				return nil, fmt.Errorf("token %s: sha256 is not the 64 hex digits of a SHA-256", t.Name)
			}
			copy(tok.SHA256[:], b)
		}
		out = append(out, tok)
	}
	return out, nil
}
