package supervisor

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Config is what a supervisor is started with: a JSON file.
type Config struct {
	// Dir is the lab's directory, removed at the end unless Keep.
	Dir  string
	Keep bool
	// Socket is the path on which it takes orders.
	Socket string
	// Mounts are made in its mount namespace, in order.
	Mounts []Mount
	// Bridges is how the names of the network bridges begin that belong to the
	// lab and are removed at its end.
	Bridges string
	// Detached: it stays when its standard input ends.
	Detached bool
}

// Mount lays Source, a file or directory, over Target.
type Mount struct{ Source, Target string }

// Write writes the file that Run reads.
func (c Config) Write(file string) error {
	b, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return fmt.Errorf("write the supervisor's configuration: %w", err)
	}
	return nil
}

func readConfig(file string) (Config, error) {
	var c Config
	b, err := os.ReadFile(file)
	if err != nil {
		return c, fmt.Errorf("read the supervisor's configuration: %w", err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("read %s: %w", file, err)
	}
	if !filepath.IsAbs(c.Dir) || filepath.Clean(c.Dir) == "/" {
		return c, fmt.Errorf("read %s: %q is no directory of a lab", file, c.Dir)
	}
	return c, nil
}
