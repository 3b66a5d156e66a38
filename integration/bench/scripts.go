package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	cephlab "quarantine/integration/ceph"
)

// shellLoop is the script that an administrator would write. It takes the seal
// before the move: the rbd tool cannot make a snapshot of what is in the trash.
const shellLoop = `set -euo pipefail
while read -r name; do
	rbd -c "$CONF" --id "$RBD_USER" snap create --no-progress "$POOL/$name@quarantine"
	rbd -c "$CONF" --id "$RBD_USER" trash mv "$POOL/$name"
done`

// sealByShell seals live images and moves them to the trash, one after the
// other.
func sealByShell(ctx context.Context, lab *cephlab.Lab, pool string, names []string) error {
	cmd := exec.CommandContext(ctx, "bash", "-c", shellLoop)
	cmd.Env = append(cmd.Environ(), "CONF="+lab.Conf, "RBD_USER="+cephlab.Quarantine, "POOL="+pool)
	cmd.Stdin = strings.NewReader(strings.Join(names, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("shell loop: %w: %s", err, out)
	}
	return nil
}

// trashPurge empties the pool's trash with Ceph's own tool, which removes one image
// after the other, and several objects of each at once.
func trashPurge(ctx context.Context, lab *cephlab.Lab, pool string) error {
	_, err := lab.RBD(ctx, cephlab.Quarantine, "trash", "purge", "--no-progress", pool)
	return err
}
