package openstack

import (
	"context"
	"crypto/rand"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"quarantine/internal/quarantine"
)

// AdoptImage implements quarantine.CloudWriter. The owner may be any project,
// which Glance allows administrators.
//
// Deleting the image that it returns deletes the RBD image too. So if it
// cannot be known whether Glance took the location, nothing is deleted, and
// the error tells the id.
func (a *API) AdoptImage(ctx context.Context, o quarantine.ImageOrder) (quarantine.Made, error) {
	m, err := a.adoptImage(ctx, o)
	if err != nil {
		return quarantine.Made{}, fmt.Errorf("make an image of %s by its location: %w", o.Source, err)
	}
	return m, nil
}

func (a *API) adoptImage(ctx context.Context, o quarantine.ImageOrder) (quarantine.Made, error) {
	var m quarantine.Made
	if o.Source == "" || o.FSID == "" {
		return m, fmt.Errorf("%w: no image or no cluster", quarantine.ErrInvalid)
	}
	pool, err := a.ImagePool(ctx)
	if err != nil {
		return m, err
	}
	s, err := a.session(ctx)
	if err != nil {
		return m, err
	}
	if m, err = s.createImage(ctx, o); err != nil {
		return m, err
	}
	// "snap" is the name that Glance's RBD driver gives its own snapshots.
	location := fmt.Sprintf("rbd://%s/%s/%s/snap", url.PathEscape(o.FSID), url.PathEscape(pool.Pool), url.PathEscape(o.Source))
	change := jsonPatch{{"op": "add", "path": "/locations/-", "value": map[string]any{"url": location, "metadata": struct{}{}}}}
	err = s.call(ctx, imageService, http.MethodPatch, "images/"+m.ID, nil, change, nil)
	if err == nil {
		err = s.imageReady(ctx, m.ID)
	}
	if err == nil {
		return m, nil
	}
	if errors.Is(err, quarantine.ErrRefused) {
		err = fmt.Errorf("%w; Glance takes a location only with show_multiple_locations = true and the policy set_image_location", err)
	}
	undo, cancel := undoing(ctx)
	defer cancel()
	v, lerr := s.image(undo, m.ID)
	switch {
	case lerr == nil && v.Status == "active":
		return m, nil
	case lerr == nil && v.Status == "queued": // it has no location
		return m, s.withdraw(undo, m.ID, err)
	case errors.Is(lerr, quarantine.ErrNotFound):
		return m, err
	}
	return m, fmt.Errorf("%w: %w; image %s is left in the cloud, because it may have the location", quarantine.ErrUnavailable, err, m.ID)
}

// UploadImage implements quarantine.CloudWriter. What Glance says of the
// image's size and SHA-512 must be what was sent.
func (a *API) UploadImage(ctx context.Context, o quarantine.ImageOrder, read func(w quarantine.Writer) error) (quarantine.Made, error) {
	m, err := a.uploadImage(ctx, o, read)
	if err != nil {
		return quarantine.Made{}, fmt.Errorf("upload image %s: %w", strconv.Quote(o.Name), err)
	}
	return m, nil
}

func (a *API) uploadImage(ctx context.Context, o quarantine.ImageOrder, read func(w quarantine.Writer) error) (quarantine.Made, error) {
	if o.SizeBytes <= 0 {
		return quarantine.Made{}, fmt.Errorf("%w: size %d", quarantine.ErrInvalid, o.SizeBytes)
	}
	s, err := a.session(ctx)
	if err != nil {
		return quarantine.Made{}, err
	}
	m, err := s.createImage(ctx, o)
	if err != nil {
		return m, err
	}
	sum, err := s.send(ctx, m.ID, o.SizeBytes, read)
	if err == nil {
		err = s.imageReady(ctx, m.ID)
	}
	if err == nil {
		err = s.checkImage(ctx, m.ID, o.SizeBytes, sum)
	}
	if err == nil {
		return m, nil
	}
	undo, cancel := undoing(ctx)
	defer cancel()
	return m, s.withdraw(undo, m.ID, err)
}

// withdraw deletes an image that came to nothing, because of err.
func (s *session) withdraw(ctx context.Context, id string, err error) error {
	if derr := s.deleteImage(ctx, id); derr != nil {
		return fmt.Errorf("%w; image %s could not be deleted: %s", err, id, derr)
	}
	return err
}

// createImage makes an image without data.
func (s *session) createImage(ctx context.Context, o quarantine.ImageOrder) (quarantine.Made, error) {
	m := quarantine.Made{Kind: quarantine.ResourceImage, Name: o.Name}
	var err error
	if m.Project, err = s.findProject(ctx, o.Project, o.Domain); err != nil {
		return m, err
	}
	m.ID = newUUID() // ours, so that it is known though the answer be lost
	order := map[string]any{
		"id": m.ID, "name": o.Name, "disk_format": "raw", "container_format": "bare", "visibility": "private", "owner": m.Project.ID,
	}
	for name, value := range o.Properties {
		if strings.HasPrefix(name, "os_glance_") || slices.Contains(imageAttributes, name) && name != "min_disk" && name != "min_ram" {
			return m, fmt.Errorf("%w: property %q is Glance's own", quarantine.ErrInvalid, name)
		}
		order[name] = value
		if name == "min_disk" || name == "min_ram" {
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 {
				return m, fmt.Errorf("%w: %s %q is no number", quarantine.ErrInvalid, name, value)
			}
			order[name] = n
		}
	}
	var v apiImage
	if err := s.call(ctx, imageService, http.MethodPost, "images", nil, order, &v); err != nil {
		if !errors.Is(err, quarantine.ErrUnavailable) {
			return m, err
		}
		undo, cancel := undoing(ctx)
		defer cancel()
		return m, s.withdraw(undo, m.ID, err)
	}
	return m, nil
}

// newUUID returns a random UUID (version 4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// send streams the data and returns its SHA-512. read may be called once only,
// so the token is tried before.
func (s *session) send(ctx context.Context, id string, size int64, read func(w quarantine.Writer) error) (string, error) {
	if _, err := s.image(ctx, id); err != nil {
		return "", err
	}
	c, err := s.service(ctx, imageService)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, feed := io.Pipe()
	defer body.Close()
	hash := sha512.New()
	w := &counted{w: io.MultiWriter(feed, hash), left: size}
	finished := make(chan error, 1)
	go func() {
		err := read(w)
		if err == nil && w.left > 0 {
			err = fmt.Errorf("%w: the data is %d bytes short of the %d", quarantine.ErrInvalid, w.left, size)
		}
		feed.CloseWithError(err) // nil: the end
		finished <- err
	}()
	defer func() {
		body.Close() // ends read, whatever it does
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.ServiceURL("images", id, "file"), body)
	if err != nil {
		body.Close()
		<-finished
		return "", fmt.Errorf("%w: %s", quarantine.ErrInvalid, "the endpoint of Glance")
	}
	req.ContentLength = size
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("User-Agent", s.provider.UserAgent.Join())
	req.Header.Set("X-Auth-Token", s.provider.Token())
	resp, err := s.api.http.upload.Do(req)
	body.Close()
	rerr := <-finished
	if resp != nil {
		defer resp.Body.Close()
	}
	switch {
	case rerr != nil && !errors.Is(rerr, io.ErrClosedPipe):
		return "", rerr // the cause; what the service says of it is a consequence
	case err != nil:
		return "", s.failure(ctx, err)
	case resp.StatusCode >= 300:
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
		return "", fmt.Errorf("cloud %s: image %s: %w: status %d: %s", s.api.cfg.Cloud, id, sentinel(resp.StatusCode), resp.StatusCode, s.redact(faultMessage(said)))
	case rerr != nil:
		return "", fmt.Errorf("cloud %s: image %s: %w: Glance did not read all of the data", s.api.cfg.Cloud, id, quarantine.ErrUnavailable)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// counted refuses what is more than left.
type counted struct {
	w    io.Writer
	left int64
}

// Write implements quarantine.Writer.
func (c *counted) Write(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		return 0, fmt.Errorf("%w: the data is longer than the size that was told", quarantine.ErrInvalid)
	}
	n, err := c.w.Write(p)
	c.left -= int64(n)
	return n, err
}

// checkImage compares what Glance says of the image with what was sent.
func (s *session) checkImage(ctx context.Context, id string, size int64, sum string) error {
	v, err := s.image(ctx, id)
	switch {
	case err != nil:
		return err
	case v.Size != size:
		return fmt.Errorf("%w: Glance has %d bytes of %d", quarantine.ErrInvalid, v.Size, size)
	case v.HashAlgo == "sha512" && v.Hash != "" && string(v.Hash) != sum:
		return fmt.Errorf("%w: Glance's SHA-512 of the data is another than ours", quarantine.ErrInvalid)
	}
	return nil
}

// imageReady waits until the image is active.
func (s *session) imageReady(ctx context.Context, id string) error {
	return s.api.wait(ctx, func(ctx context.Context) (bool, error) {
		v, err := s.image(ctx, id)
		if err != nil {
			return false, err
		}
		switch v.Status {
		case "active":
			return true, nil
		case "killed", "deleted", "pending_delete":
			return false, fmt.Errorf("%w: image %s: status %s", quarantine.ErrInvalid, id, v.Status)
		}
		return false, nil
	})
}

func (s *session) deleteImage(ctx context.Context, id string) error {
	err := s.call(ctx, imageService, http.MethodDelete, "images/"+id, nil, nil, nil)
	if err != nil && !errors.Is(err, quarantine.ErrNotFound) {
		return err
	}
	return s.api.gone(ctx, func(ctx context.Context) (string, error) {
		v, err := s.image(ctx, id)
		return string(v.Status), err
	})
}
