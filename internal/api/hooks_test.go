package api_test

import "fmt"

// genericBody reports the deletion of a VM with one disk, root.
func genericBody(vm string) string {
	return fmt.Sprintf(`{"kind":"delete","resource_kind":"vm","resource_id":%q,"resource_name":"web","ended_at":"2026-11-20T11:00:00Z","disks":[{"name":"root"}]}`, vm)
}
