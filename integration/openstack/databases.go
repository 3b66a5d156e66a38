package openstacklab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// databases starts MariaDB with the services' databases. Making them takes
// more time than all the rest, so what was made is kept for other labs (see
// cacheDir); only the ports must be changed then.
func (l *Lab) databases(ctx context.Context) error {
	cache, err := l.cacheDir(ctx)
	if err != nil {
		return err
	}
	switch err := os.CopyFS(l.path("var/mysql"), os.DirFS(cache)); {
	case err == nil:
		if err := l.StartService(ctx, "mariadb"); err != nil {
			return err
		}
		return l.readdress(ctx)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("copy the databases from %s: %w", cache, err)
	}
	if err := perform(ctx, l.log, l.databaseTasks()); err != nil {
		return err
	}
	return l.fillCache(ctx, cache)
}

// databaseTasks make the databases, with all that the services keep in them.
func (l *Lab) databaseTasks() []task {
	program := func(name, after string, args ...string) task {
		return task{name, []string{after}, func(ctx context.Context) error { return l.inside(ctx, name, args...) }}
	}
	with := func(program string, configs []string, args ...string) []string {
		return append(append([]string{program}, configs...), args...)
	}
	return []task{
		{"mariadb-install", nil, func(ctx context.Context) error {
			return l.inside(ctx, "mariadb-install", "/usr/bin/mariadb-install-db", "--no-defaults", "--user=root",
				"--datadir="+l.path("var/mysql"), "--skip-test-db")
		}},
		{"mariadb", []string{"mariadb-install"}, func(ctx context.Context) error { return l.StartService(ctx, "mariadb") }},
		program("keystone-db", "mariadb", "/usr/bin/keystone-manage", "--config-file", l.config("keystone"), "db_sync"),
		program("placement-db", "mariadb", "/usr/bin/placement-manage", "--config-file", l.config("placement"), "db", "sync"),
		program("glance-db", "mariadb", "/usr/bin/glance-manage", "--config-file", l.config("glance"), "db_sync"),
		program("cinder-db", "mariadb", with("/usr/bin/cinder-manage", l.configs("cinder"), "db", "sync")...),
		program("nova-api-db", "mariadb", with("/usr/bin/nova-manage", l.configs("nova"), "api_db", "sync")...),
		program("nova-db", "mariadb", with("/usr/bin/nova-manage", l.configs("nova"), "db", "sync", "--local_cell")...),
		{"seed", []string{"keystone-db", "cinder-db", "nova-api-db", "nova-db"}, l.seed},
	}
}

// seed puts into the databases what a lab begins with. Nova's cell0, where
// servers are that no host took, has the schema of its other cell.
func (l *Lab) seed(ctx context.Context) error {
	if _, err := l.sql(ctx, wideText); err != nil {
		return err
	}
	dump, err := l.run(ctx, "", "mariadb-dump", append(l.sqlArgs(), "--no-data", "nova")...)
	if err != nil {
		return err
	}
	version, err := l.run(ctx, "", "mariadb-dump", append(l.sqlArgs(), "--no-create-info", "nova", "alembic_version")...)
	if err != nil {
		return err
	}
	_, err = l.sql(ctx, l.site.seed()+"USE nova_cell0;\n"+dump+version)
	return err
}

// seed are the statements that make what a lab begins with.
func (s site) seed() string { return s.identity() + s.cells() + flavors() + quotas }

// quotas lets a project have any number of volumes. Cinder reads the limits from
// its database, which it fills from its configuration when it is made.
const quotas = `UPDATE cinder.quota_classes SET hard_limit = -1 WHERE class_name = 'default';
	`

// wideText lets the columns with a tenant's text have any character. The
// services make them utf8mb3, which has none beyond U+FFFF; sites widen them.
const wideText = `
	ALTER TABLE nova.instances
		MODIFY display_name VARCHAR(255) CHARACTER SET utf8mb4,
		MODIFY display_description VARCHAR(255) CHARACTER SET utf8mb4;
	ALTER TABLE nova.instance_metadata
		MODIFY ` + "`key`" + ` VARCHAR(255) CHARACTER SET utf8mb4,
		MODIFY ` + "`value`" + ` VARCHAR(255) CHARACTER SET utf8mb4;
	ALTER TABLE cinder.volumes
		MODIFY display_name VARCHAR(255) CHARACTER SET utf8mb4,
		MODIFY display_description VARCHAR(255) CHARACTER SET utf8mb4;
	ALTER TABLE cinder.volume_metadata
		MODIFY ` + "`key`" + ` VARCHAR(255) CHARACTER SET utf8mb4,
		MODIFY ` + "`value`" + ` VARCHAR(255) CHARACTER SET utf8mb4;
	`

// cells are the statements that make Nova's two cells, and its host in the
// second: for five calls of nova-manage.
func (s site) cells() string {
	return fmt.Sprintf(`INSERT INTO nova_api.cell_mappings (created_at, uuid, name, transport_url, database_connection, disabled) VALUES
		(NOW(), '00000000-0000-0000-0000-000000000000', 'cell0', 'none:///', '', 0),
		(NOW(), '11111111-1111-4111-8111-111111111111', 'cell1', '', '', 0);
		INSERT INTO nova_api.host_mappings (created_at, cell_id, host) SELECT NOW(), id, '%s' FROM nova_api.cell_mappings WHERE name='cell1';
		`, node) + s.cellAddresses()
}

// cellAddresses are the statements that say where the cells are.
func (s site) cellAddresses() string {
	return fmt.Sprintf(`UPDATE nova_api.cell_mappings SET database_connection='%s' WHERE name='cell0';
		UPDATE nova_api.cell_mappings SET database_connection='%s', transport_url='%s' WHERE name='cell1';
		`, s.DB("nova_cell0"), s.DB("nova"), s.Rabbit())
}

// readdress writes this lab's ports into databases that another lab made.
func (l *Lab) readdress(ctx context.Context) error {
	var b strings.Builder
	b.WriteString(l.site.cellAddresses())
	for _, e := range l.site.endpoints() {
		fmt.Fprintf(&b, "UPDATE keystone.endpoint e JOIN keystone.service s ON s.id = e.service_id SET e.url='%s' WHERE s.type='%s';\n", e.url, e.kind)
	}
	_, err := l.sql(ctx, b.String())
	return err
}
