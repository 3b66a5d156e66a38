package rabbitlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"quarantine/integration/lab"
	"strconv"
	"strings"
	"syscall"
)

// server is the broker's start script; the one in /usr/sbin would change to
// the user rabbitmq and to /var/lib.
const server = "/usr/lib/rabbitmq/bin/rabbitmq-server"

// Options are what a lab can be started with.
type Options struct {
	// Config are lines for rabbitmq.conf. In them {dir} stands for the lab's
	// directory and {tls} for the port of TLSURL.
	Config []string
	// Files are put into the lab's directory before the broker starts: name →
	// content.
	Files map[string][]byte
}

// Lab is a running broker.
type Lab struct {
	// Dir holds all that the broker has: data, log, configuration.
	Dir string

	ports    ports
	env      []string
	broker   *process
	epmd     *process
	watchdog *watchdog
}

// Start brings a broker up and waits until it takes connections: seconds on an
// idle machine. The lab is the caller's to Stop.
func Start(ctx context.Context, o Options) (_ *Lab, err error) {
	dir, err := lab.Dir("", "rabbitlab-")
	if err != nil {
		return nil, err
	}
	l := &Lab{Dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Stop())
		}
	}()
	// First of all, so that nothing outlives this process from here on.
	if l.watchdog, err = startWatchdog(dir); err != nil {
		return nil, err
	}
	if err = l.ports.reserve(); err != nil {
		return nil, err
	}
	l.env = l.environment()
	if err := l.write(o); err != nil {
		return nil, err
	}
	// Erlang's port mapper. Left alone the broker would start one that goes
	// into the background and stays.
	if l.epmd, err = startProcess(l.env, l.path("epmd.out"), "epmd"); err != nil {
		return nil, err
	}
	if err := l.Up(ctx); err != nil {
		return nil, err
	}
	return l, nil
}

// URL is the broker's address with the default user, who may do everything.
func (l *Lab) URL() string { return "amqp://guest:guest@" + l.Address() + "/" }

// TLSURL is the address of the TLS listener that Options.Config configures.
func (l *Lab) TLSURL() string {
	return "amqps://guest:guest@127.0.0.1:" + strconv.Itoa(l.ports.tls) + "/"
}

// Address is the broker's host and port.
func (l *Lab) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(l.ports.amqp)) }

// Up starts the broker after Down or Kill, with the data it had.
func (l *Lab) Up(ctx context.Context) error {
	var err error
	if l.broker, err = startProcess(l.env, l.path("broker.out"), server); err != nil {
		return err
	}
	if err := l.ready(ctx); err != nil {
		return fmt.Errorf("start the broker: %w\n%s", err, l.tail())
	}
	return nil
}

// Down ends the broker in order: it says goodbye to its clients.
func (l *Lab) Down() error { return l.broker.end(syscall.SIGTERM) }

// Kill ends the broker at once, as a crash does.
func (l *Lab) Kill() error { return l.broker.end(syscall.SIGKILL) }

// Restart is Down and Up: durable queues and persistent messages stay.
func (l *Lab) Restart(ctx context.Context) error {
	if err := l.Down(); err != nil {
		return err
	}
	return l.Up(ctx)
}

// Pause stops the broker without a word to its clients: they wait. Resume lets
// it go on.
func (l *Lab) Pause() error { return l.broker.signal(syscall.SIGSTOP) }

// Resume lets a paused broker go on.
func (l *Lab) Resume() error { return l.broker.signal(syscall.SIGCONT) }

// Stop ends everything and removes the directory.
func (l *Lab) Stop() error {
	errs := []error{l.broker.end(syscall.SIGKILL), l.epmd.end(syscall.SIGKILL)}
	if l.watchdog != nil {
		errs = append(errs, l.watchdog.stop()) // it removes the directory
	} else {
		errs = append(errs, os.RemoveAll(l.Dir))
	}
	l.ports.release()
	return errors.Join(errs...)
}

func (l *Lab) path(name string) string { return filepath.Join(l.Dir, name) }

// environment gives the node places and ports of its own. HOME is where the
// cookie is, and the mark by which the watchdog knows the lab's processes.
func (l *Lab) environment() []string {
	set := map[string]string{
		"HOME":                                l.Dir,
		"PATH":                                "/usr/sbin:/usr/bin:/sbin:/bin",
		"ERL_EPMD_PORT":                       strconv.Itoa(l.ports.epmd),
		"ERL_EPMD_ADDRESS":                    "127.0.0.1",
		"RABBITMQ_NODENAME":                   fmt.Sprintf("lab%d@localhost", l.ports.amqp),
		"RABBITMQ_DIST_PORT":                  strconv.Itoa(l.ports.dist),
		"RABBITMQ_CONF_ENV_FILE":              l.path("no-such-file"),
		"RABBITMQ_CONFIG_FILE":                l.path("rabbitmq.conf"),
		"RABBITMQ_ADVANCED_CONFIG_FILE":       l.path("advanced.config"), // if Options.Files has one
		"RABBITMQ_ENABLED_PLUGINS_FILE":       l.path("plugins"),
		"RABBITMQ_MNESIA_BASE":                l.path("data"),
		"RABBITMQ_LOG_BASE":                   l.path("log"),
		"RABBITMQ_PID_FILE":                   l.path("broker.pid"),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none", // tests share the cores
		"RUNNING_UNDER_SYSTEMD":               "true",                                    // the script becomes the broker
		"RABBITMQ_GENERATED_CONFIG_DIR":       l.path("config"),
	}
	var env []string
	for k, v := range set {
		env = append(env, k+"="+v)
	}
	return env
}

// write puts the broker's configuration in its place.
func (l *Lab) write(o Options) error {
	config := append([]string{
		"listeners.tcp.1 = " + l.Address(),
		"log.console = false",
		"log.file.level = info",
		"disk_free_limit.absolute = 50MB",
	}, o.Config...)
	text := strings.NewReplacer("{dir}", l.Dir, "{tls}", strconv.Itoa(l.ports.tls)).Replace(strings.Join(config, "\n") + "\n")
	files := map[string][]byte{"rabbitmq.conf": []byte(text), "plugins": []byte("[].\n")}
	for name, content := range o.Files {
		files[name] = content
	}
	for name, content := range files {
		if err := os.WriteFile(l.path(name), content, 0o600); err != nil {
			return fmt.Errorf("write the lab's configuration: %w", err)
		}
	}
	return nil
}
