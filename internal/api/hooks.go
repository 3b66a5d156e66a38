package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"quarantine/internal/api/wire"
	"quarantine/internal/quarantine"
)

type hookInput struct {
	Source  string `path:"source" doc:"the form of the payload"`
	DryRun  bool   `query:"dry_run" doc:"decode, answer, and record nothing"`
	Cloud   string `query:"cloud" doc:"the cloud that reports; a hook's token says it, and the only cloud of the form's type needs not be named"`
	RawBody []byte `contentType:"*/*"`
}

// hook takes a report. It answers with success only when the deletions are
// committed.
func (s *Server) hook(ctx context.Context, in *hookInput) (*answer[wire.Hooked], error) {
	h, ok := s.cfg.Hooks[in.Source]
	if !ok {
		return nil, fmt.Errorf("hook %q: %w; there are %s", in.Source, quarantine.ErrNotFound, strings.Join(slices.Sorted(maps.Keys(s.cfg.Hooks)), ", "))
	}
	token := exchangeOf(ctx).token
	if !in.DryRun && token.Role != RoleHook && !token.Role.may(RoleOperator) {
		return nil, forbidden(fmt.Sprintf("recording needs the role hook or operator; the token %s has the role %s, which may use dry_run=true", token.Name, token.Role))
	}
	cloud, err := s.reporter(token, in.Cloud, h.CloudType, "hook "+in.Source)
	if err != nil {
		return nil, err
	}
	deletions, err := decode(h, cloud, in)
	if err != nil {
		return nil, err
	}
	if !in.DryRun && len(deletions) > 0 {
		if err := s.cfg.Recorder.Record(ctx, deletions); err != nil {
			return nil, fmt.Errorf("record what %s reports: %w", cloud, err)
		}
	}
	return answered(wire.Hooked{DryRun: in.DryRun, Deletions: listed(deletions)}, nil)
}

// reporter says for which cloud of that type who reports speaks, given what the
// request says of it.
func (s *Server) reporter(token *Token, cloud, cloudType, who string) (string, error) {
	if token.Role == RoleHook {
		if cloud != "" && cloud != token.Cloud {
			return "", forbidden(fmt.Sprintf("the token %s speaks for cloud %s, not for %s", token.Name, token.Cloud, cloud))
		}
		cloud = token.Cloud
	}
	if cloud == "" {
		var fitting []string
		for name, typ := range s.cfg.Clouds {
			if typ == cloudType {
				fitting = append(fitting, name)
			}
		}
		slices.Sort(fitting)
		switch len(fitting) {
		case 0:
			return "", invalidf("no cloud of type %s is configured", cloudType)
		case 1:
			return fitting[0], nil
		}
		return "", invalidf("query.cloud: say which of %s it is", strings.Join(fitting, ", "))
	}
	switch typ := s.cfg.Clouds[cloud]; typ {
	case cloudType:
		return cloud, nil
	case "":
		return "", invalidf("query.cloud: cloud %q is not configured", cloud)
	default:
		return "", invalidf("%s is for clouds of type %s; %s is of type %s", who, cloudType, cloud, typ)
	}
}

// decode reads the payload. Whatever is wrong with it is the sender's fault.
func decode(h Hook, cloud string, in *hookInput) ([]quarantine.Deletion, error) {
	deletions, err := h.Decode(cloud, in.RawBody)
	for i := range deletions {
		err = errors.Join(err, deletions[i].Validate())
	}
	if err != nil && !errors.Is(err, quarantine.ErrInvalid) {
		err = fmt.Errorf("%w: %w", quarantine.ErrInvalid, err)
	}
	if err != nil {
		return nil, fmt.Errorf("decode the payload of hook %s: %w", in.Source, err)
	}
	return deletions, nil
}
