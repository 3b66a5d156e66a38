package api

import (
	"context"

	"quarantine/internal/quarantine"
)

// listParents lists the images on which disks in quarantine stand, those first
// that somebody wants gone.
func (s *Server) listParents(ctx context.Context, _ *struct{}) (*answer[[]quarantine.ParentImage], error) {
	list, err := s.cfg.Parents.Parents(ctx)
	return answered(listed(list), err)
}
