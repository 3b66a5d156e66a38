package metrics

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"quarantine/internal/quarantine"
)

// Config is what is asked at each scrape. Every field is needed. The functions
// may be called by several goroutines.
type Config struct {
	// Totals counts the disks by pool and state: catalog.Catalog.Totals.
	Totals func(ctx context.Context) ([]quarantine.Total, error)
	// OldestPending is since when the oldest pending disk waits; the zero time
	// if none does.
	OldestPending func(ctx context.Context) (time.Time, error)
	// Watches tells of each pool, by name, whether the watch of its trash is
	// established.
	Watches func() map[string]bool
	// Speed is the part of full speed at which space is freed; below 1 while Ceph
	// is busy.
	Speed func() float64
	// PolicyReady is nil while the policy in force is the one on disk, else why
	// that one was refused.
	PolicyReady func() error
	Clock       quarantine.Clock
}

// Metrics counts. Its methods may be called by many goroutines, and return at
// once. It implements quarantine.Observer.
type Metrics struct {
	cfg      Config
	registry *prometheus.Registry

	transitions     *prometheus.CounterVec
	evicted         *prometheus.CounterVec
	evictedBytes    *prometheus.CounterVec
	poolFill        *prometheus.GaugeVec
	poolShort       *prometheus.GaugeVec
	captureLag      prometheus.Histogram
	custodyFailures prometheus.Counter
	jobSuccess      *prometheus.GaugeVec
	jobFailures     *prometheus.CounterVec
	requests        *prometheus.CounterVec
	requestTime     *prometheus.HistogramVec
	notifications   *prometheus.CounterVec
	notificationLag *prometheus.HistogramVec
	busConnected    *prometheus.GaugeVec
	busBacklog      *prometheus.GaugeVec
	scrapeErrors    prometheus.Counter
	tampering       *prometheus.CounterVec

	mu     sync.Mutex
	guards map[quarantine.PoolRef]guard // the last check of each guarded pool
}

// guard is what is kept of a guard's status.
type guard struct {
	ok       bool
	canaryAt time.Time
}

var _ quarantine.Observer = (*Metrics)(nil)

// New makes the metrics.
func New(cfg Config) *Metrics {
	m := &Metrics{
		cfg: cfg, registry: prometheus.NewRegistry(), guards: map[quarantine.PoolRef]guard{},
		transitions:     counters("transitions_total", "Changes of state of disks.", "from", "to"),
		evicted:         counters("evicted_total", "Disks marked to go before their time, because their pool was too full.", "pool"),
		evictedBytes:    counters("evicted_bytes_total", "What these disks take, as measured.", "pool"),
		poolFill:        gauges("pool_fill_ratio", "How full the pool was at the last hourly look, from 0 to 1.", "pool"),
		poolShort:       gauges("pool_short_bytes", "What had to go from a pool that was too full, and may not.", "pool"),
		captureLag:      prometheus.NewHistogram(histogram("capture_lag_seconds", "From the deletion of a disk to its seal.", lagBuckets())),
		custodyFailures: prometheus.NewCounter(prometheus.CounterOpts(opts("custody_failures_total", "Custody entries that could not be written while capture went on."))),
		jobSuccess:      gauges("job_last_success_timestamp_seconds", "When the job last came to its end without a failure.", "job"),
		jobFailures:     counters("job_failures_total", "Runs of the job that stopped early or had failures.", "job"),
		requests:        counters("http_requests_total", "Answered HTTP requests.", "route", "status"),
		requestTime:     prometheus.NewHistogramVec(histogram("http_request_duration_seconds", "How long HTTP requests took.", requestBuckets()), []string{"route"}),
		notifications:   counters("notifications_total", "Messages of clouds, by what came of them.", "cloud", "result"),
		notificationLag: prometheus.NewHistogramVec(histogram("notification_lag_seconds", "From the sending of a cloud's message to its arrival here.", lagBuckets()), []string{"cloud"}),
		busConnected:    gauges("bus_connected", "1 if the cloud's message bus is connected, else 0.", "cloud", "bus"),
		busBacklog:      gauges("bus_backlog_messages", "Messages that waited in the service's queue at the last look.", "cloud", "bus"),
		scrapeErrors:    prometheus.NewCounter(prometheus.CounterOpts(opts("scrape_errors_total", "Scrapes that could not read the catalog and left its gauges out."))),
		tampering:       counters("tampering_total", "What somebody else did to disks in quarantine: seal-lost, disk-forced-out.", "act"),
	}
	for _, act := range []string{"seal-lost", "disk-forced-out"} {
		m.tampering.WithLabelValues(act) // 0 is shown too: an alarm needs what it rises from
	}
	m.registry.MustRegister(
		m.tampering, m.transitions, m.evicted, m.evictedBytes, m.poolFill, m.poolShort, m.captureLag, m.custodyFailures, m.jobSuccess, m.jobFailures, m.requests, m.requestTime,
		m.notifications, m.notificationLag, m.busConnected, m.busBacklog,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// namespace begins the name of every metric.
const namespace = "quarantine"

func opts(name, help string) prometheus.Opts {
	return prometheus.Opts{Namespace: namespace, Name: name, Help: help}
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), labels)
}

func gauges(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts(opts(name, help)), labels)
}

func histogram(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}
}

// lagBuckets reach from what a watch needs to a weekend without the service.
func lagBuckets() []float64 {
	return []float64{0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 6 * 3600, 24 * 3600, 72 * 3600}
}

// requestBuckets reach from a list to an export.
func requestBuckets() []float64 {
	return []float64{0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600, 3600}
}

// Handler serves the metrics in Prometheus' text format. What is read at the
// scrape is read under the request's context.
func (m *Metrics) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A collector gets no context, so each scrape has its own one, in a
		// registry of its own.
		atScrape := prometheus.NewRegistry()
		atScrape.MustRegister(&scrape{m: m, ctx: r.Context()})
		promhttp.HandlerFor(prometheus.Gatherers{m.registry, atScrape}, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	})
}

// Moved counts a change of state.
func (m *Metrics) Moved(d *quarantine.Disk, from quarantine.State) {
	if from == "" {
		from = "new"
	}
	m.transitions.WithLabelValues(string(from), string(d.State)).Inc()
	if d.EarlyBy == quarantine.EarlyByCapacity && d.State == quarantine.Expiring && from == quarantine.Quarantined {
		m.evicted.WithLabelValues(d.Key.PoolRef().String()).Inc()
		m.evictedBytes.WithLabelValues(d.Key.PoolRef().String()).Add(float64(max(0, d.UsedBytes)))
	}
}

// CapacitySampled notes how full pools are, namespaces included. One whose figures
// could not be read keeps its last.
func (m *Metrics) CapacitySampled(states []quarantine.PoolState) {
	for _, st := range states {
		if st.Usage != nil {
			m.poolFill.WithLabelValues(st.Pool).Set(st.Usage.Fill())
		}
		m.poolShort.WithLabelValues(st.Pool).Set(float64(st.Short))
	}
}

// Captured notes how long a capture took. A deletion that its client dated in
// the future counts as captured at once.
func (m *Metrics) Captured(lag time.Duration) { m.captureLag.Observe(max(0, lag.Seconds())) }

// CustodyFailed counts an entry that could not be written.
func (m *Metrics) CustodyFailed() { m.custodyFailures.Inc() }

// GuardChecked notes the status of a pool's guard. Pools that are meant to
// have none do not appear: nobody should be woken for them.
func (m *Metrics) GuardChecked(st quarantine.GuardStatus) {
	if !st.Pool.Guarded {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.guards[st.Pool.PoolRef] = guard{ok: st.Fault == "", canaryAt: st.CanaryAt}
}

// guardsByName returns the guards by the name of their pool. Of pools of one
// name in several clusters it is the worst: a fault must not be hidden by a
// namesake.
func (m *Metrics) guardsByName() map[string]guard {
	m.mu.Lock()
	defer m.mu.Unlock()
	worst := map[string]guard{}
	for pool, g := range m.guards {
		name := pool.String()
		if w, ok := worst[name]; ok {
			g.ok = g.ok && w.ok
			if w.canaryAt.Before(g.canaryAt) {
				g.canaryAt = w.canaryAt
			}
		}
		worst[name] = g
	}
	return worst
}

// Tampered counts what somebody else did to a disk in quarantine.
func (m *Metrics) Tampered(act string) { m.tampering.WithLabelValues(act).Inc() }

// JobFinished notes the end of a run.
func (m *Metrics) JobFinished(run quarantine.LastRun) {
	if !run.LastSuccess.IsZero() {
		m.jobSuccess.WithLabelValues(run.Job).Set(float64(run.LastSuccess.UnixMilli()) / 1000)
	}
	failures := m.jobFailures.WithLabelValues(run.Job) // 0 is shown too
	if run.Stopped != "" || run.Failed > 0 {
		failures.Inc()
	}
}

// Requested notes an answered HTTP request. The route is its pattern, not its
// path.
func (m *Metrics) Requested(route string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.requestTime.WithLabelValues(route).Observe(max(0, took.Seconds()))
}

// Notification counts a cloud's message and what came of it. A lag of zero
// means that the message does not say when it was sent.
func (m *Metrics) Notification(cloud, result string, lag time.Duration) {
	m.notifications.WithLabelValues(cloud, result).Inc()
	if lag != 0 {
		m.notificationLag.WithLabelValues(cloud).Observe(max(0, lag.Seconds()))
	}
}

// BusConnected notes whether one of a cloud's message buses is connected.
func (m *Metrics) BusConnected(cloud, bus string, up bool) {
	m.busConnected.WithLabelValues(cloud, bus).Set(number(up))
}

// BusBacklog notes how many messages wait in the service's queue.
func (m *Metrics) BusBacklog(cloud, bus string, messages int) {
	m.busBacklog.WithLabelValues(cloud, bus).Set(float64(messages))
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
