package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// routes registers everything. What a route needs of a token's role stands
// here and nowhere else, but for three wishes inside a request: a hook that
// records, a job that confirms the clock, and ?cloud=.
func (s *Server) routes() {
	register(s, get("/v1/disks", "list-disks", "List disks"), RoleViewer, s.listDisks)
	register(s, get("/v1/disks/{id}", "show-disk", "Show a disk with its custody entries"), RoleViewer, s.showDisk)
	register(s, get("/v1/disks/{id}/explain", "explain-disk", "Say which policy rule decided about a disk, and why"), RoleViewer, s.explainDisk)
	register(s, post("/v1/disks/{id}/hold", "hold-disk", "Place a legal hold"), RoleOperator, s.holdDisk)
	register(s, post("/v1/disks/{id}/release", "release-disk", "Lift a legal hold"), RoleAdmin, s.releaseDisk)
	register(s, post("/v1/disks/{id}/extend", "extend-disk", "Move retain-until to a later date"), RoleOperator, s.extendDisk)
	register(s, post("/v1/disks/{id}/purge", "purge-disk", "Ask for a disk to be purged before its time"), RoleOperator, s.purgeDisk)
	register(s, post("/v1/disks/{id}/shorten", "shorten-disk", "Ask for an earlier retain-until"), RoleOperator, s.shortenDisk)
	register(s, get("/v1/cases", "list-cases", "List the cases that holds are placed for"), RoleViewer, s.listCases)
	register(s, post("/v1/cases", "open-case", "Open a case"), RoleOperator, s.openCase)
	register(s, get("/v1/cases/{case}", "show-case", "Show a case with what it holds"), RoleViewer, s.showCase)
	register(s, operation(http.MethodPut, "/v1/cases/{case}", "edit-case", "Replace a case's title, people and deadline"), RoleOperator, s.editCase)
	register(s, post("/v1/cases/{case}/close", "close-case", "Close a case, and lift its holds if wished"), RoleAdmin, s.closeCase)
	register(s, get("/v1/standing", "list-standing", "List the holds on what is yet to be deleted"), RoleViewer, s.listStanding)
	register(s, post("/v1/standing", "place-standing", "Hold all that will be deleted and that a selector matches"), RoleOperator, s.placeStanding)
	register(s, post("/v1/standing/{standing}/release", "release-standing", "End a standing hold; what it has held stays held"), RoleAdmin, s.releaseStanding)
	register(s, get("/v1/requests", "list-requests", "List the requests for what takes two people"), RoleViewer, s.listRequests)
	register(s, get("/v1/requests/{request}", "show-request", "Show a request"), RoleViewer, s.showRequest)
	register(s, post("/v1/requests/{request}/approve", "approve-request", "Approve another person's request, and do it"), RoleAdmin, s.approveRequest)
	register(s, post("/v1/requests/{request}/deny", "deny-request", "End a request with a no"), RoleAdmin, s.denyRequest)
	register(s, post("/v1/requests/{request}/withdraw", "withdraw-request", "End one's own request"), RoleOperator, s.withdrawRequest)
	restore := post("/v1/disks/{id}/restore", "restore-disk", "Give a disk back")
	restore.Description = "A line for each step; the last has the disk, or why it was not restored. Without a last line the outcome is unknown."
	register(s, s.answers(restore, stepsType, schemaOf[wire.Step](s)), RoleOperator, s.restoreDisk)
	vm := post("/v1/restore", "restore-vm", "Give all disks of a VM back to a cloud, as a unit")
	vm.Description = "A line for each step; the last has the result, or why nothing was restored. Without a last line the outcome is unknown."
	register(s, s.answers(vm, stepsType, schemaOf[wire.Step](s)), RoleOperator, s.restoreVM)
	register(s, post("/v1/restores/{restore}/cancel", "cancel-restore", "Cancel a restore to a cloud that is under way"), RoleOperator, s.cancelRestore)
	isolate := post("/v1/disks/{id}/isolate", "isolate-disk", "Copy a disk to the evidence pool")
	isolate.Description = "A line for each step; the last has the copy, or why there is none. Without a last line the outcome is unknown."
	register(s, s.answers(isolate, stepsType, schemaOf[wire.Step](s)), RoleOperator, s.isolateDisk)
	export := post("/v1/disks/{id}/export", "export-disk", "Read a disk out")
	export.Description = "All bytes, zeros included, with Content-Length or, for a client that says TE: trailers, with their SHA-256 in the trailer " +
		checksumTrailer + "; or, where the client accepts it, the extents only, with an end mark. An export that fails in the middle ends with a cut connection."
	register(s, s.answers(s.answers(export, rawType, binary()), wire.ExportContentType, binary()), RoleOperator, s.exportDisk)
	register(s, s.answers(get("/v1/guard", "show-guard", "Show the guard of a pool, or of all"), "application/json", oneOrAll(schemaOf[quarantine.GuardStatus](s))), RoleViewer, s.showGuard)
	register(s, operation(http.MethodPut, "/v1/guard", "set-guard", "Switch a pool's guard"), RoleAdmin, s.setGuard)
	register(s, get("/v1/parents", "list-parents", "List the images that disks in quarantine keep from being deleted"), RoleViewer, s.listParents)
	register(s, get("/v1/capacity", "capacity", "Show how full the pools are, and when they will be full"), RoleViewer, s.capacity)
	register(s, get("/v1/coverage", "coverage", "Compare what the clouds deleted with what is in quarantine"), RoleViewer, s.coverage)
	// Whoever sees that something is wrong may stop removals; that they go on is an
	// admin's word.
	register(s, post("/v1/collect/pause", "pause-collect", "Remove nothing, until that is lifted"), RoleOperator, s.pauseCollect)
	register(s, post("/v1/collect/resume", "resume-collect", "Lift a pause"), RoleAdmin, s.resumeCollect)
	register(s, post("/v1/policy/simulate", "simulate-policy", "Replay the history under another policy, and change nothing"), RoleOperator, s.simulate)
	apply := post("/v1/policy/apply", "apply-policy", "Decide about what is in quarantine anew, by the policy in force")
	apply.Description = "What that keeps for longer is done at once; what it would keep for a shorter time becomes a request for another person's approval. " +
		"Lines that tell how far it is, and a last one with what came of it, or why it ended before. Without a last line the outcome is unknown; it may be repeated."
	register(s, s.answers(apply, stepsType, schemaOf[wire.ApplyLine](s)), RoleAdmin, s.applyPolicy)
	register(s, get("/v1/policy/explain", "explain-alive", "Say what would be decided about what is alive, if it were deleted now"), RoleViewer, s.explainAlive)
	register(s, post("/v1/policy/explain", "explain-facts", "Say what would be decided by the facts in the request, of what never was"), RoleViewer, s.explainFacts)
	register(s, get("/v1/policy/locks", "list-locks", "List the locked rules of the policy in force"), RoleViewer, s.listLocks)
	register(s, post("/v1/policy/unlock", "unlock-rule", "Ask for a locked rule to be loosened, once its delay has passed"), RoleAdmin, s.unlockRule)
	register(s, post("/v1/policy/relock", "relock-rule", "Take back that a locked rule is to be loosened"), RoleOperator, s.relockRule)
	register(s, post("/v1/jobs/{job}", "run-job", "Run a job now"), RoleOperator, s.runJob)
	register(s, get("/v1/status", "status", "Show how the service is"), RoleViewer, s.status)
	register(s, get("/v1/doctor", "doctor", "Look for what should be mended"), RoleViewer, s.doctor)
	deep := get("/v1/doctor/deep", "doctor-deep", "Compare every disk with its image, trash entry, snapshots and custody log, and change nothing")
	deep.Description = "A line for each finding, lines that tell how far it is, and a last one with what was looked at, or why it ended before. One check runs at a time."
	register(s, s.answers(deep, stepsType, schemaOf[wire.CheckLine](s)), RoleViewer, s.check)
	register(s, post("/v1/catalog/rebuild", "rebuild-catalog", "Recreate the catalog from the records on the images"), RoleAdmin, s.rebuildCatalog)
	register(s, post("/v1/custody/verify", "verify-custody", "Check the custody log's chain"), RoleViewer, s.verifyCustody)
	register(s, post("/v1/hooks/{source}", "hook", "Take a cloud's report of a deletion"), RoleHook, s.hook)
	register(s, post("/v1/drivers/{source}/{action}", "driver", "Answer a cloud's storage driver that is about to remove a disk"), RoleHook, s.driver)

	register(s, get("/healthz", "health", "Say that the process is alive"), rolePublic, s.health)
	register(s, get("/readyz", "ready", "Say whether the service can do its work"), rolePublic, s.ready)
	s.plain(get("/metrics", "metrics", "Metrics for Prometheus"), "text/plain", s.cfg.Metrics.ServeHTTP)
	s.plain(get("/openapi.json", "openapi-json", "This description"), "application/openapi+json", s.serveOpenAPIJSON)
	s.plain(get("/openapi.yaml", "openapi-yaml", "This description"), "application/openapi+yaml", s.serveOpenAPIYAML)
}

func operation(method, path, id, summary string) huma.Operation {
	return huma.Operation{Method: method, Path: path, OperationID: id, Summary: summary, Responses: map[string]*huma.Response{}}
}

func get(path, id, summary string) huma.Operation {
	return operation(http.MethodGet, path, id, summary)
}

func post(path, id, summary string) huma.Operation {
	return operation(http.MethodPost, path, id, summary)
}

// register adds a route that needs the role. Errors of the handler become
// problems.
func register[I, O any](s *Server, op huma.Operation, need Role, handler func(ctx context.Context, in *I) (*O, error)) {
	op.Metadata = map[string]any{roleKey: need}
	op.Middlewares = huma.Middlewares{s.admit}
	// admit has read and bounded the body.
	op.MaxBodyBytes, op.BodyReadTimeout = -1, -1
	if need != rolePublic {
		op.Security = []map[string][]string{{bearer: {}}}
		needs := "Needs the role " + string(need) + " or a higher one."
		switch {
		case op.OperationID == "driver":
			needs = "Needs the role hook, or operator."
		case need == RoleHook:
			needs = "Needs the role hook, or operator; with dry_run viewer is enough."
		}
		op.Description = strings.TrimSpace(op.Description + " " + needs)
	}
	op.Responses["default"] = &huma.Response{
		Description: "A problem",
		Content:     map[string]*huma.MediaType{problemType: {Schema: schemaOf[wire.Problem](s)}},
	}
	huma.Register(s.api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, problemOf(err)
		}
		return out, nil
	})
}

// plain adds a public route that huma does not handle.
func (s *Server) plain(op huma.Operation, mediaType string, h http.HandlerFunc) {
	op = s.answers(op, mediaType, &huma.Schema{Type: huma.TypeString})
	s.api.OpenAPI().AddOperation(&op)
	s.router.HandleFunc(op.Method+" "+op.Path, h)
}

// answer is an answer with a JSON body.
type answer[T any] struct {
	Body T
}

// answered makes an answer, or passes the error on.
func answered[T any](body T, err error) (*answer[T], error) {
	if err != nil {
		return nil, err
	}
	return &answer[T]{body}, nil
}
