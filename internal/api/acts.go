package api

import (
	"context"
	"errors"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

type holdInput struct {
	ID   string `path:"id"`
	Body wire.HoldRequest
}

type extendInput struct {
	ID   string `path:"id"`
	Body wire.ExtendRequest
}

type reasonInput struct {
	ID   string `path:"id"`
	Body wire.ReasonRequest
}

// act performs an act on a disk that ends with the disk as it is then.
func (s *Server) act(ctx context.Context, id, reason string, do func(actor string, d quarantine.Disk) (quarantine.Disk, error)) (*answer[wire.Disk], error) {
	d, err := s.target(ctx, id, reason)
	if err != nil {
		return nil, err
	}
	after, err := do(exchangeOf(ctx).actor(), d)
	if err != nil {
		return nil, err
	}
	return answered(wire.FromDisk(after), nil)
}

// target finds the disk of an act, and checks that the act has a reason.
func (s *Server) target(ctx context.Context, id, reason string) (quarantine.Disk, error) {
	d, err := s.find(ctx, id)
	return d, errors.Join(err, reasoned(reason))
}

func (s *Server) holdDisk(ctx context.Context, in *holdInput) (*answer[wire.Disk], error) {
	return s.act(ctx, in.ID, in.Body.Reason, func(actor string, d quarantine.Disk) (quarantine.Disk, error) {
		return s.cfg.Holds.Hold(ctx, actor, d.ID, in.Body.CaseID, in.Body.Reason)
	})
}

func (s *Server) releaseDisk(ctx context.Context, in *holdInput) (*answer[wire.Disk], error) {
	return s.act(ctx, in.ID, in.Body.Reason, func(actor string, d quarantine.Disk) (quarantine.Disk, error) {
		return s.cfg.Holds.Release(ctx, actor, d.ID, in.Body.CaseID, in.Body.Reason)
	})
}

func (s *Server) extendDisk(ctx context.Context, in *extendInput) (*answer[wire.Disk], error) {
	return s.act(ctx, in.ID, in.Body.Reason, func(actor string, d quarantine.Disk) (quarantine.Disk, error) {
		return s.cfg.Holds.Extend(ctx, actor, d.ID, in.Body.Until, in.Body.Reason)
	})
}
