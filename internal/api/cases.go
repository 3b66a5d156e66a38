package api

import (
	"context"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

func (s *Server) listCases(ctx context.Context, _ *struct{}) (*answer[[]quarantine.Case], error) {
	all, err := s.cfg.CaseViews.ListCases(ctx)
	return answered(listed(all), err)
}

type caseInput struct {
	Case string `path:"case"`
}

func (s *Server) showCase(ctx context.Context, in *caseInput) (*answer[quarantine.CaseView], error) {
	return answered(s.cfg.CaseViews.ShowCase(ctx, in.Case))
}

type openCaseInput struct{ Body wire.OpenCaseRequest }

func (s *Server) openCase(ctx context.Context, in *openCaseInput) (*answer[quarantine.Case], error) {
	b := in.Body
	return answered(s.cfg.Cases.OpenCase(ctx, exchangeOf(ctx).actor(), quarantine.Case{ID: b.ID, Title: b.Title, People: b.People, Deadline: b.Deadline}))
}

type editCaseInput struct {
	Case string `path:"case"`
	Body wire.CaseRequest
}

func (s *Server) editCase(ctx context.Context, in *editCaseInput) (*answer[quarantine.Case], error) {
	b := in.Body
	return answered(s.cfg.Cases.EditCase(ctx, exchangeOf(ctx).actor(), quarantine.Case{ID: in.Case, Title: b.Title, People: b.People, Deadline: b.Deadline}))
}

type closeCaseInput struct {
	Case string `path:"case"`
	Body wire.CloseCaseRequest
}

func (s *Server) closeCase(ctx context.Context, in *closeCaseInput) (*answer[quarantine.Case], error) {
	if err := reasoned(in.Body.Reason); err != nil {
		return nil, err
	}
	return answered(s.cfg.Cases.CloseCase(ctx, exchangeOf(ctx).actor(), in.Case, in.Body.Reason, in.Body.Release))
}

func (s *Server) listStanding(ctx context.Context, _ *struct{}) (*answer[[]quarantine.StandingHold], error) {
	all, err := s.cfg.Standing.All(ctx)
	return answered(listed(all), err)
}

type standingInput struct{ Body wire.StandingRequest }

func (s *Server) placeStanding(ctx context.Context, in *standingInput) (*answer[quarantine.StandingHold], error) {
	b := in.Body
	return answered(s.cfg.Cases.PlaceStanding(ctx, exchangeOf(ctx).actor(), quarantine.StandingHold{
		CaseID: b.CaseID, Reason: b.Reason, Kind: b.Kind, Value: b.Value, Until: b.Until,
	}))
}

type releaseStandingInput struct {
	Standing string `path:"standing"`
	Body     wire.ReasonRequest
}

func (s *Server) releaseStanding(ctx context.Context, in *releaseStandingInput) (*answer[quarantine.StandingHold], error) {
	if err := reasoned(in.Body.Reason); err != nil {
		return nil, err
	}
	return answered(s.cfg.Standing.Release(ctx, exchangeOf(ctx).actor(), in.Standing, in.Body.Reason))
}
