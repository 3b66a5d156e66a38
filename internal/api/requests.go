package api

import (
	"context"
	"fmt"
	"slices"
	"time"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

type shortenInput struct {
	ID   string `path:"id"`
	Body wire.ShortenRequest
}

// purgeDisk asks for a disk to be purged before its time.
func (s *Server) purgeDisk(ctx context.Context, in *reasonInput) (*answer[quarantine.Request], error) {
	return s.ask(ctx, in.ID, quarantine.RequestPurgeEarly, in.Body.Reason, time.Time{})
}

// shortenDisk asks for an earlier date.
func (s *Server) shortenDisk(ctx context.Context, in *shortenInput) (*answer[quarantine.Request], error) {
	return s.ask(ctx, in.ID, quarantine.RequestShorten, in.Body.Reason, in.Body.Until)
}

func (s *Server) ask(ctx context.Context, id, kind, reason string, until time.Time) (*answer[quarantine.Request], error) {
	d, err := s.target(ctx, id, reason)
	if err != nil {
		return nil, err
	}
	x := exchangeOf(ctx)
	return answered(s.cfg.Approvals.Ask(ctx, x.actor(), quarantine.Wish{
		Kind: kind, Subject: d.ID, Reason: reason, Until: until, MayApprove: x.token.Role.may(RoleAdmin),
	}))
}

type requestsQuery struct {
	State []string `query:"state,explode" doc:"states, repeated or separated by commas; open and approved where it is left out"`
	Limit int      `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (s *Server) listRequests(ctx context.Context, in *requestsQuery) (*answer[[]quarantine.Request], error) {
	f := quarantine.RequestFilter{Limit: in.Limit, States: []quarantine.RequestState{quarantine.RequestOpen, quarantine.RequestApproved}}
	if len(in.State) > 0 {
		f.States = nil
		for _, name := range separated(in.State) {
			state := quarantine.RequestState(name)
			if !slices.Contains(quarantine.RequestStates(), state) {
				return nil, invalidf("query.state: there is no state %q; there are %v", name, quarantine.RequestStates())
			}
			f.States = append(f.States, state)
		}
	}
	found, err := s.cfg.Requests.FindRequests(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("list the requests: %w", err)
	}
	return answered(listed(found), nil)
}

type requestInput struct {
	Request string `path:"request"`
}

func (s *Server) showRequest(ctx context.Context, in *requestInput) (*answer[quarantine.Request], error) {
	r, err := s.cfg.Requests.Request(ctx, in.Request)
	return answered(r, err)
}

type decideInput struct {
	Request string `path:"request"`
	Body    wire.ReasonRequest
}

func (s *Server) approveRequest(ctx context.Context, in *decideInput) (*answer[quarantine.Request], error) {
	return s.decided(ctx, in, s.cfg.Approvals.Approve)
}

func (s *Server) denyRequest(ctx context.Context, in *decideInput) (*answer[quarantine.Request], error) {
	return s.decided(ctx, in, s.cfg.Approvals.Deny)
}

func (s *Server) withdrawRequest(ctx context.Context, in *decideInput) (*answer[quarantine.Request], error) {
	return s.decided(ctx, in, s.cfg.Approvals.Withdraw)
}

func (s *Server) decided(ctx context.Context, in *decideInput, how func(ctx context.Context, actor, id, reason string) (quarantine.Request, error)) (*answer[quarantine.Request], error) {
	if err := reasoned(in.Body.Reason); err != nil {
		return nil, err
	}
	return answered(how(ctx, exchangeOf(ctx).actor(), in.Request, in.Body.Reason))
}
