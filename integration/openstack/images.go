package openstacklab

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// ImageSpec is an image to upload. Its format is raw.
type ImageSpec struct {
	Name   string
	Public bool
	// Extra are more of the API's fields.
	Extra map[string]any
}

// Image is what the API says of an image.
type Image struct {
	ID, Name, Status string
	Size             int64
	// Locations are where its data is: rbd://FSID/POOL/IMAGE/SNAPSHOT.
	Locations []struct{ URL string }
}

// UploadImage makes an image with the data and returns it when it is active.
func (s *Session) UploadImage(ctx context.Context, spec ImageSpec, data io.Reader) (Image, error) {
	body := object{"name": spec.Name, "disk_format": "raw", "container_format": "bare", "visibility": "private"}
	if spec.Public {
		body["visibility"] = "public"
	}
	for k, v := range spec.Extra {
		body[k] = v
	}
	var i Image
	if err := s.Do(ctx, http.MethodPost, "image", "/images", body, &i); err != nil {
		return i, fmt.Errorf("upload image %s: %w", spec.Name, err)
	}
	if err := s.Do(ctx, http.MethodPut, "image", "/images/"+i.ID+"/file", data, nil); err != nil {
		return i, fmt.Errorf("upload image %s: %w", spec.Name, err)
	}
	return s.WaitImage(ctx, i.ID, "active")
}

// Image returns an image.
func (s *Session) Image(ctx context.Context, id string) (Image, error) {
	var i Image
	err := s.Do(ctx, http.MethodGet, "image", "/images/"+id, nil, &i)
	return i, err
}

// ImageNamed returns the first image of the name that the user may see.
func (s *Session) ImageNamed(ctx context.Context, name string) (Image, error) {
	var list struct{ Images []Image }
	if err := s.Do(ctx, http.MethodGet, "image", "/images?name="+url.QueryEscape(name), nil, &list); err != nil {
		return Image{}, err
	}
	if len(list.Images) == 0 {
		return Image{}, fmt.Errorf("image %s: %w", name, errNotThere)
	}
	return list.Images[0], nil
}

// WaitImage returns an image when it has the status.
func (s *Session) WaitImage(ctx context.Context, id, status string) (i Image, err error) {
	err = poll(ctx, func() (bool, error) {
		i, err = s.Image(ctx, id)
		if err == nil && i.Status == "killed" && status != "killed" {
			err = fmt.Errorf("image %s: %w", id, errState)
		}
		return i.Status == status, err
	}, func() string { return "image " + id + " is " + i.Status })
	return i, err
}

// DownloadImage returns the bytes of an image.
func (s *Session) DownloadImage(ctx context.Context, id string) ([]byte, error) {
	var data []byte
	err := s.Do(ctx, http.MethodGet, "image", "/images/"+id+"/file", nil, &data)
	return data, err
}

// DeleteImage deletes an image. Glance answers 409 while its data is in use.
func (s *Session) DeleteImage(ctx context.Context, id string) error {
	return s.Do(ctx, http.MethodDelete, "image", "/images/"+id, nil, nil)
}
