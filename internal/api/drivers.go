package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"quarantine/internal/quarantine"
)

// Driver is how a cloud's storage driver asks before it removes a disk.
type Driver struct {
	// CloudType is the type of the clouds that have such drivers, Actions what
	// can be asked about.
	CloudType string
	Actions   []string
	// Dying says what the call destroys: the Deletion that it is a part of, and
	// of its disks those that the call removes; an empty Deletion if it is part
	// of none (a migration). It may ask the cloud. The error wraps
	// quarantine.ErrInvalid if the body is not of the action's form.
	Dying func(ctx context.Context, cloud, action string, body []byte) (quarantine.Deletion, []quarantine.DiskRef, error)
	// GoesOn reports whether the call has more to do than to remove disks, so that
	// the driver must run whatever became of these; nil: never.
	GoesOn func(action string, body []byte) bool
}

// Interceptor answers drivers: *quarantine.Interceptor.
type Interceptor interface {
	Intercept(ctx context.Context, d quarantine.Deletion, refs []quarantine.DiskRef) (quarantine.Interception, error)
	Report(ctx context.Context, d quarantine.Deletion) error
}

type driverInput struct {
	Source  string `path:"source" doc:"the kind of cloud"`
	Action  string `path:"action" doc:"what the driver is about to do"`
	Cloud   string `query:"cloud" doc:"as for hooks"`
	Late    bool   `query:"late" doc:"it is done already: only record it"`
	RawBody []byte `contentType:"*/*"`
}

// driver answers a storage driver, which waits.
func (s *Server) driver(ctx context.Context, in *driverInput) (*answer[quarantine.Interception], error) {
	d, ok := s.cfg.Drivers[in.Source]
	if !ok {
		return nil, fmt.Errorf("driver of %q: %w; there are %s", in.Source, quarantine.ErrNotFound, strings.Join(slices.Sorted(maps.Keys(s.cfg.Drivers)), ", "))
	}
	if !slices.Contains(d.Actions, in.Action) {
		return nil, fmt.Errorf("driver action %q: %w; there are %s", in.Action, quarantine.ErrNotFound, strings.Join(d.Actions, ", "))
	}
	token := exchangeOf(ctx).token
	if token.Role != RoleHook && !token.Role.may(RoleOperator) {
		return nil, forbidden(fmt.Sprintf("this needs the role hook or operator; the token %s has the role %s", token.Name, token.Role))
	}
	cloud, err := s.reporter(token, in.Cloud, d.CloudType, "driver "+in.Source)
	if err != nil {
		return nil, err
	}
	deletion, refs, err := d.Dying(ctx, cloud, in.Action, in.RawBody)
	if err == nil && deletion.ID != "" {
		if verr := deletion.Validate(); verr != nil {
			err = verr
		}
	}
	if err != nil {
		// Not found: the cloud does not know what its own driver is asked to
		// remove. The route is there, so that this is no 404.
		if errors.Is(err, quarantine.ErrNotFound) {
			err = fmt.Errorf("%w: %w", quarantine.ErrInvalid, err)
		}
		return nil, fmt.Errorf("understand what driver %s of %s is about to do: %w", in.Action, cloud, err)
	}
	if in.Late {
		late := quarantine.Interception{Act: quarantine.Proceed, Reason: "recorded", Disks: []string{}}
		if deletion.ID == "" {
			return answered(late, nil)
		}
		return answered(late, s.cfg.Interceptor.Report(ctx, deletion))
	}
	got, err := s.cfg.Interceptor.Intercept(ctx, deletion, refs)
	if d.GoesOn != nil && d.GoesOn(in.Action, in.RawBody) {
		got.Act = quarantine.Proceed
	}
	return answered(got, err)
}
