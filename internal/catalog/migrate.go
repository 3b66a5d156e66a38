package catalog

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// checkFile refuses a file that is no SQLite database, or the database of
// another program, before anything is written to it.
func checkFile(ctx context.Context, db *sql.DB, path string) error {
	var tables, ours int
	err := db.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(name = 'goose_db_version'), 0) FROM sqlite_master WHERE type = 'table'`).Scan(&tables, &ours)
	if err != nil {
		var serr *sqlite.Error
		if errors.As(err, &serr) && (serr.Code()&0xff == sqlite3.SQLITE_NOTADB || serr.Code()&0xff == sqlite3.SQLITE_CORRUPT) {
			return invalidf("%s is no SQLite database, or a damaged one: %v; `catalog rebuild` recreates a lost catalog from the images", path, err)
		}
		return unavailable(err, "read %s", path)
	}
	foreign := tables > 0 && ours == 0
	if ours > 0 {
		// Others use goose too. Where ours was cut short before its first
		// migration, there is no table yet.
		const q = `SELECT NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'disk_terms') AND EXISTS (SELECT 1 FROM goose_db_version WHERE version_id > 0)`
		if err := db.QueryRowContext(ctx, q).Scan(&foreign); err != nil {
			return unavailable(err, "read the schema version of %s", path)
		}
	}
	if foreign {
		return invalidf("%s is the SQLite database of another program", path)
	}
	return nil
}

// migrate brings the schema up to date. A schema newer than this program's is
// refused before anything is changed.
func migrate(ctx context.Context, db *sql.DB, path string, log *slog.Logger) error {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return unavailable(err, "read the built-in migrations")
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return unavailable(err, "read the built-in migrations")
	}
	sources := p.ListSources()
	newest := sources[len(sources)-1].Version
	var have sql.NullInt64
	var started int
	if err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_master WHERE name = 'goose_db_version'`).Scan(&started); err != nil {
		return unavailable(err, "read the schema version of %s", path)
	}
	if started > 0 {
		if err := db.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version WHERE is_applied = 1`).Scan(&have); err != nil {
			return unavailable(err, "read the schema version of %s", path)
		}
	}
	if have.Int64 > newest {
		return invalidf("%s has schema version %d, and this program knows versions up to %d: use the newer program that wrote it", path, have.Int64, newest)
	}
	// Stored in the file, so it comes after the checks.
	var mode string
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode); err != nil {
		return unavailable(err, "set the journal mode of %s", path)
	}
	if mode != "wal" {
		return invalidf("%s cannot have a write-ahead log (its journal mode stays %q): is it on a network file system?", path, mode)
	}
	results, err := p.Up(ctx)
	if err != nil {
		return unavailable(err, "bring the schema of %s up to date", path)
	}
	for _, r := range results {
		log.Info("catalog schema migrated", "path", path, "version", r.Source.Version)
	}
	return nil
}
