package api

import (
	"context"
	"time"

	"quarantine/internal/quarantine"
)

type coverageQuery struct {
	Cloud string `query:"cloud" doc:"name of the cloud; without it all clouds with an API are asked"`
	From  string `query:"from" doc:"deleted at this time or later: RFC 3339, or a date (its first moment in UTC); a day ago where empty"`
	To    string `query:"to" doc:"deleted before this time; now where empty"`
}

// defaultPeriod is how far a coverage looks back.
const defaultPeriod = 24 * time.Hour

// coverage compares what the clouds deleted with what is in quarantine.
func (s *Server) coverage(ctx context.Context, in *coverageQuery) (*answer[[]quarantine.Coverage], error) {
	from, err := moment("from", in.From)
	if err != nil {
		return nil, err
	}
	to, err := moment("to", in.To)
	if err != nil {
		return nil, err
	}
	if to.IsZero() {
		to = s.cfg.Clock().UTC()
	}
	if from.IsZero() {
		from = to.Add(-defaultPeriod)
	}
	clouds := s.cfg.Coverage.Clouds()
	if in.Cloud != "" {
		clouds = []string{in.Cloud}
	}
	all := []quarantine.Coverage{}
	for _, cloud := range clouds {
		c, err := s.cfg.Coverage.Coverage(ctx, cloud, from, to)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return answered(all, nil)
}
