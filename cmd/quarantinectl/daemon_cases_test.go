package main

import (
	"fmt"
	"net/http"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

func caseView() quarantine.CaseView {
	return quarantine.CaseView{
		Case:    quarantine.Case{ID: "CERT-17", Title: "stolen keys", People: []string{"ann", "bob"}, Deadline: at("2026-11-01T00:00:00Z"), OpenedBy: "ops", OpenedAt: at("2026-10-01T08:00:00Z")},
		Overdue: true, Disks: 1, Standing: []quarantine.StandingHold{standingHold()},
	}
}

func standingHold() quarantine.StandingHold {
	return quarantine.StandingHold{ID: "5b2d0c91f7e3a846", CaseID: "CERT-17", Reason: "under investigation", Kind: quarantine.StandingUser, Value: "mallory", By: "ops", At: at("2026-11-19T08:00:00Z")}
}

// cases: there are an open case and a closed one; the open one holds something.
func (d *daemon) cases(mux *http.ServeMux) {
	known := func(r *http.Request) error {
		if id := r.PathValue("case"); id != "CERT-17" {
			return fmt.Errorf("case %q: %w", id, quarantine.ErrNotFound)
		}
		return nil
	}
	mux.HandleFunc("GET /v1/cases", func(w http.ResponseWriter, _ *http.Request) {
		closed := quarantine.Case{ID: "CERT-9", Title: "over", OpenedBy: "ops", OpenedAt: at("2026-09-01T08:00:00Z"), ClosedAt: at("2026-09-02T08:00:00Z"), ClosedBy: "boss"}
		reply(w)([]quarantine.Case{closed, caseView().Case}, nil)
	})
	mux.HandleFunc("POST /v1/cases", func(w http.ResponseWriter, r *http.Request) {
		var in wire.OpenCaseRequest
		err := decode(r, &in)
		reply(w)(quarantine.Case{ID: in.ID, Title: in.Title, People: in.People, Deadline: in.Deadline}, err)
	})
	mux.HandleFunc("GET /v1/cases/{case}", func(w http.ResponseWriter, r *http.Request) { reply(w)(caseView(), known(r)) })
	mux.HandleFunc("PUT /v1/cases/{case}", func(w http.ResponseWriter, r *http.Request) {
		var in wire.CaseRequest
		err := decode(r, &in)
		reply(w)(quarantine.Case{ID: r.PathValue("case"), Title: in.Title, People: in.People, Deadline: in.Deadline}, err)
	})
	mux.HandleFunc("POST /v1/cases/{case}/close", func(w http.ResponseWriter, r *http.Request) {
		var in wire.CloseCaseRequest
		err := decode(r, &in)
		if err == nil && !in.Release {
			err = refused("case %s holds 1 disks and has 1 standing holds", r.PathValue("case"))
		}
		reply(w)(quarantine.Case{ID: r.PathValue("case"), ClosedAt: at("2026-11-20T08:00:00Z")}, err)
	})
	mux.HandleFunc("GET /v1/standing", func(w http.ResponseWriter, _ *http.Request) { reply(w)([]quarantine.StandingHold{standingHold()}, nil) })
	mux.HandleFunc("POST /v1/standing", func(w http.ResponseWriter, r *http.Request) {
		var in wire.StandingRequest
		err := decode(r, &in)
		s := standingHold()
		s.CaseID, s.Kind, s.Value, s.Reason, s.Until = in.CaseID, in.Kind, in.Value, in.Reason, in.Until
		reply(w)(s, err)
	})
	mux.HandleFunc("POST /v1/standing/{standing}/release", func(w http.ResponseWriter, r *http.Request) { reply(w)(standingHold(), nil) })
}
