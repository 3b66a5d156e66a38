package openstacklab

import (
	"fmt"
	"strconv"
	"time"
)

// service is a program of the lab that stays.
type service struct {
	name string
	args []string
	env  []string // beside that of all
	// ready says whether it serves; nil: as soon as it runs.
	ready probe
	every time.Duration // how often it is asked; 0: often
}

// service returns the description of a service.
func (l *Lab) service(name string) (service, bool) {
	for _, s := range l.services() {
		if s.name == name {
			return s, true
		}
	}
	return service{}, false
}

// services are all services, in the order in which people think of them.
func (l *Lab) services() []service {
	p := l.site.Ports
	// A client program a second is enough.
	const reports = time.Second
	nova := func(name string, ready probe) service {
		return service{name: name, args: append([]string{"/usr/bin/" + name}, l.configs("nova")...), ready: ready, every: reports}
	}
	cinder := func(name string, ready probe) service {
		return service{name: name, args: append([]string{"/usr/bin/" + name}, l.configs("cinder")...), ready: ready, every: reports}
	}
	return []service{
		{name: "mariadb", ready: greets(p.Database, ""), args: []string{
			"/usr/sbin/mariadbd", "--no-defaults", "--user=root", "--datadir=" + l.path("var/mysql"), "--socket=" + l.path("run/mysql.sock"),
			"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(p.Database), "--pid-file=" + l.path("run/mariadbd.pid"),
			"--init-file=" + l.path("etc/databases.sql"), "--skip-name-resolve", "--max-connections=1000",
			// Nobody's data: as little writing as can be.
			"--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync", "--sync-frm=0", "--skip-log-bin", "--innodb-doublewrite=0",
			"--innodb-buffer-pool-size=128M", "--performance-schema=off", "--character-set-server=utf8mb3",
		}},
		{name: "epmd", args: []string{"/usr/bin/epmd"}, env: l.rabbitEnv(), ready: greets(p.EPMD, "\x00\x01n")},
		{name: "rabbitmq", args: []string{"/usr/lib/rabbitmq/bin/rabbitmq-server"}, env: l.rabbitEnv(),
			ready: greets(p.Rabbit, "AMQP\x00\x00\x09\x01")},
		{name: "libvirtd", env: []string{"PATH=" + l.path("bin")}, args: []string{"/usr/sbin/libvirtd", "-f", l.path("etc/libvirtd.conf"), "-p", l.path("run/libvirtd.pid")}, ready: l.virshAnswers, every: reports},
		{name: "neutron", args: []string{l.path("run/openstacklab"), "neutron", l.Dir}, ready: answers(p.Network)},
		l.wsgi("keystone", p.Identity, "/usr/bin/keystone-wsgi-public", 2, "OS_KEYSTONE_CONFIG_FILES="+l.config("keystone")+";"+l.override("keystone")),
		l.wsgi("placement", p.Placement, "/usr/bin/placement-api", 1, "OS_PLACEMENT_CONFIG_DIR="+l.path("etc/placement")),
		{name: "glance-api", args: append([]string{"/usr/bin/glance-api"}, l.configs("glance")...), ready: answers(p.Image)},
		cinder("cinder-api", answers(p.Volume)),
		cinder("cinder-scheduler", l.reports("cinder", "cinder-scheduler", "updated_at")),
		cinder("cinder-volume", l.reports("cinder", "cinder-volume", "updated_at")),
		nova("nova-conductor", l.reports("nova", "nova-conductor", "last_seen_up")),
		nova("nova-scheduler", l.reports("nova", "nova-scheduler", "last_seen_up")),
		nova("nova-api", answers(p.Compute)),
		nova("nova-compute", l.reports("nova", "nova-compute", "last_seen_up")),
	}
}

// wsgi is a service below uwsgi: Keystone and Placement have no server of
// their own.
func (l *Lab) wsgi(name string, port int, file string, processes int, env string) service {
	return service{name: name, env: []string{env}, ready: answers(port), args: []string{
		"/usr/bin/uwsgi", "--plugin", "python3", "--http-socket", "127.0.0.1:" + strconv.Itoa(port), "--wsgi-file", file,
		"--master", "--processes", strconv.Itoa(processes), "--threads", "1", "--enable-threads", "--buffer-size", "65535",
		"--die-on-term", "--need-app", "--thunder-lock", "--disable-logging", "--add-header", "Connection: close",
	}}
}

// config is the path of a project's configuration, override that of the file
// that Configure writes.
func (l *Lab) config(project string) string {
	switch project {
	case "glance":
		return l.path("etc/glance-api.conf")
	case "placement":
		return l.path("etc/placement/placement.conf")
	}
	return l.path("etc/" + project + ".conf")
}

func (l *Lab) override(project string) string { return l.path("etc/" + project + ".local.conf") }

func (l *Lab) configs(project string) []string {
	return []string{"--config-file", l.config(project), "--config-file", l.override(project)}
}

// environment is that of every program of the lab: Debian's own Python, and
// nothing of the user's.
func (l *Lab) environment() []string {
	return []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "HOME=" + l.path("home"), "TMPDIR=" + l.path("tmp"),
		// The patched copy of a file must not get into the caches beside the
		// original.
		"PYTHONDONTWRITEBYTECODE=1",
	}
}

// rabbitEnv gives the broker places and ports of its own.
func (l *Lab) rabbitEnv() []string {
	p := l.site.Ports
	return []string{
		"ERL_EPMD_PORT=" + strconv.Itoa(p.EPMD), "ERL_EPMD_ADDRESS=127.0.0.1",
		fmt.Sprintf("RABBITMQ_NODENAME=lab%d@localhost", p.Rabbit), "RABBITMQ_DIST_PORT=" + strconv.Itoa(p.RabbitDist),
		"RABBITMQ_CONF_ENV_FILE=" + l.path("no-such-file"), "RABBITMQ_CONFIG_FILE=" + l.path("etc/rabbitmq.conf"),
		"RABBITMQ_ADVANCED_CONFIG_FILE=" + l.path("no-such-file"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + l.path("etc/rabbitmq-plugins"),
		"RABBITMQ_MNESIA_BASE=" + l.path("var/rabbit"), "RABBITMQ_LOG_BASE=" + l.path("log"),
		"RABBITMQ_GENERATED_CONFIG_DIR=" + l.path("var/rabbit-config"), "RABBITMQ_PID_FILE=" + l.path("run/rabbitmq.pid"),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
		"RUNNING_UNDER_SYSTEMD=true", // the script becomes the broker
	}
}
