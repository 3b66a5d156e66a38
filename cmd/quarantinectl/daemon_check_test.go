package main

import (
	"encoding/json"
	"net/http"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// check streams a check that finds two things.
func check(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	line := func(l wire.CheckLine) { _ = json.NewEncoder(w).Encode(l) }
	line(wire.CheckLine{Done: 20, Total: 42})
	line(wire.CheckLine{Finding: &quarantine.CheckFinding{Kind: quarantine.CheckNoSeal, Severity: quarantine.SeverityFault, Disk: webID, Pool: "vms", ImageID: "5e3a1b",
		What: "it has no seal", Next: "quarantinectl run reconcile, which seals what is left"}})
	line(wire.CheckLine{Finding: &quarantine.CheckFinding{Kind: quarantine.CheckUnfinished, Severity: quarantine.SeverityWarn, Disk: "9c9c9c9c9c9c9c9c", Pool: "vms", ImageID: "77aa",
		What: "it is purging, and nobody works on it", Next: "quarantinectl run collect"}})
	line(wire.CheckLine{Result: &quarantine.CheckResult{Rows: 42, Entries: 40, Names: 1, Busy: 1, Faults: 1, Warns: 1}})
}
