package api

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

// Checker compares the books with Ceph: *quarantine.Checker.
type Checker interface {
	Run(ctx context.Context, found func(quarantine.CheckFinding) error, progress quarantine.Progress) (quarantine.CheckResult, error)
}

// liveLines writes lines as they come. Whoever sends them waits for the client.
type liveLines struct {
	x     *exchange
	mu    sync.Mutex
	begun bool
}

func (l *liveLines) send(line any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.begun {
		l.begun = true
		l.x.Header().Set("Content-Type", stepsType)
		l.x.WriteHeader(http.StatusOK)
	}
	if err := json.NewEncoder(l.x).Encode(line); err != nil {
		return errClientGone
	}
	if err := http.NewResponseController(l.x).Flush(); err != nil {
		return errClientGone
	}
	return nil
}

// check compares everything, and ends when its client goes away. It waits for the
// client: there is no bound to how much it can find, and nothing waits for the
// check.
func (s *Server) check(ctx context.Context, _ *struct{}) (*huma.StreamResponse, error) {
	return &huma.StreamResponse{Body: func(huma.Context) {
		x := exchangeOf(ctx)
		stop := unblock(ctx, x)
		defer stop()
		out := &liveLines{x: x}
		res, err := s.cfg.Checker.Run(ctx,
			func(f quarantine.CheckFinding) error { return out.send(wire.CheckLine{Finding: &f}) },
			func(done, total uint64) { _ = out.send(wire.CheckLine{Done: done, Total: total}) }) // the next finding, or the end, notices that the client is gone
		switch {
		case err == nil:
			_ = out.send(wire.CheckLine{Result: &res}) // whoever it was for is gone, or has it
		case !out.begun:
			x.refuse(problemOf(err))
		default:
			p := problemOf(err)
			x.fail(p)
			_ = out.send(wire.CheckLine{Error: p}) // as above
		}
	}}, nil
}
