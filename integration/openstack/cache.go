package openstacklab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// schemaPackages are the packages of Debian that make the databases.
var schemaPackages = []string{"python3-keystone", "python3-placement", "python3-glance", "python3-cinder", "python3-nova", "mariadb-server-core"}

// cacheAge is the age at which the databases of other versions are removed.
const cacheAge = 7 * 24 * time.Hour

// cacheDir is where the databases are kept that the installed packages make and
// that begin with this version's seed: below the user's cache directory.
func (l *Lab) cacheDir(ctx context.Context) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = filepath.Join(os.TempDir(), "cache") // no HOME
	}
	versions, err := l.run(ctx, "", "dpkg-query", append([]string{"-W"}, schemaPackages...)...)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(versions + wideText + site{}.seed()))
	return filepath.Join(base, "quarantine-openstacklab", hex.EncodeToString(sum[:8])), nil
}

// fillCache keeps a copy of the databases, which must stand still meanwhile.
func (l *Lab) fillCache(ctx context.Context, cache string) error {
	parent := filepath.Dir(cache)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return fmt.Errorf("keep the databases: %w", err)
	}
	old, err := os.ReadDir(parent)
	if err != nil {
		return fmt.Errorf("keep the databases: %w", err)
	}
	for _, entry := range old {
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > cacheAge {
			if err := os.RemoveAll(filepath.Join(parent, entry.Name())); err != nil {
				return fmt.Errorf("remove old databases: %w", err)
			}
		}
	}
	if err := l.StopService(ctx, "mariadb"); err != nil {
		return err
	}
	// Under another name until it is whole.
	fresh, err := os.MkdirTemp(parent, "new-")
	if err != nil {
		return fmt.Errorf("keep the databases: %w", err)
	}
	if err := os.CopyFS(fresh, os.DirFS(l.path("var/mysql"))); err != nil {
		return fmt.Errorf("keep the databases: %w", err)
	}
	if err := os.Rename(fresh, cache); err != nil {
		// Another lab was faster.
		if err := os.RemoveAll(fresh); err != nil {
			return fmt.Errorf("keep the databases: %w", err)
		}
	}
	return l.StartService(ctx, "mariadb")
}
