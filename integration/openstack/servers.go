package openstacklab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

var (
	errNotThere = errors.New("is not there")
	errState    = errors.New("is in a state of error")
)

// ServerSpec is a server to boot. The zero value boots "server" from the image
// Quiet with flavor T1 on the network "private".
type ServerSpec struct {
	Name string
	// Flavor is a flavor's name.
	Flavor string
	// Image is the name of an image, or its id. With BlockDevices it is left
	// out unless it is given.
	Image string
	// Networks are the names of the networks ("private", "other"), or their
	// ids.
	Networks []string
	// NoNetwork boots without one.
	NoNetwork   bool
	ConfigDrive bool
	Metadata    map[string]string
	Tags        []string
	// BlockDevices is block_device_mapping_v2.
	BlockDevices []map[string]any
	// Extra are more of the API's fields.
	Extra map[string]any
}

// Server is what the API says of a server.
type Server struct {
	ID, Name, Status string
	TaskState        string `json:"OS-EXT-STS:task_state"`
	VMState          string `json:"OS-EXT-STS:vm_state"`
	Host             string `json:"OS-EXT-SRV-ATTR:host"` // for administrators
	ProjectID        string `json:"tenant_id"`
	UserID           string `json:"user_id"`
	Created          string
	Metadata         map[string]string
	Fault            struct{ Message string }
	// Addresses are by network; Type is fixed or floating.
	Addresses map[string][]struct {
		Addr    string
		Type    string `json:"OS-EXT-IPS:type"`
		MAC     string `json:"OS-EXT-IPS-MAC:mac_addr"`
		Version int
	}
}

// IPs are the server's addresses on all networks, floating ones too.
func (s Server) IPs() []string {
	var all []string
	for _, network := range s.Addresses {
		for _, a := range network {
			all = append(all, a.Addr)
		}
	}
	return all
}

// Boot boots a server and returns it when it is ACTIVE.
func (s *Session) Boot(ctx context.Context, spec ServerSpec) (Server, error) {
	id, err := s.BootNoWait(ctx, spec)
	if err != nil {
		return Server{}, err
	}
	return s.WaitServer(ctx, id, "ACTIVE")
}

// BootNoWait asks for a server and returns its id at once.
func (s *Session) BootNoWait(ctx context.Context, spec ServerSpec) (string, error) {
	body, err := s.bootBody(ctx, spec)
	if err != nil {
		return "", fmt.Errorf("boot %s: %w", spec.Name, err)
	}
	var made struct{ Server struct{ ID string } }
	if err := s.Do(ctx, http.MethodPost, "compute", "/servers", object{"server": body}, &made); err != nil {
		return "", fmt.Errorf("boot %s: %w", spec.Name, err)
	}
	return made.Server.ID, nil
}

func (s *Session) bootBody(ctx context.Context, spec ServerSpec) (object, error) {
	body := object{"name": orElse(spec.Name, "server"), "flavorRef": orElse(spec.Flavor, T1)}
	if spec.Image != "" || len(spec.BlockDevices) == 0 {
		image := orElse(spec.Image, Quiet)
		switch found, err := s.ImageNamed(ctx, image); {
		case err == nil:
			image = found.ID
		case !errors.Is(err, errNotThere):
			return nil, err
		}
		body["imageRef"] = image
	}
	if spec.NoNetwork {
		body["networks"] = "none"
	} else {
		nics := []object{}
		names := spec.Networks
		if len(names) == 0 {
			names = []string{"private"}
		}
		for _, name := range names {
			id, err := s.NetworkID(ctx, name)
			if err != nil {
				return nil, err
			}
			nics = append(nics, object{"uuid": id})
		}
		body["networks"] = nics
	}
	if spec.ConfigDrive {
		body["config_drive"] = true
	}
	if spec.Metadata != nil {
		body["metadata"] = spec.Metadata
	}
	if spec.Tags != nil {
		body["tags"] = spec.Tags
	}
	if spec.BlockDevices != nil {
		body["block_device_mapping_v2"] = spec.BlockDevices
	}
	for k, v := range spec.Extra {
		body[k] = v
	}
	return body, nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// Server returns a server. NotFound(err) if there is none.
func (s *Session) Server(ctx context.Context, id string) (Server, error) {
	var answer struct{ Server Server }
	err := s.Do(ctx, http.MethodGet, "compute", "/servers/"+id, nil, &answer)
	return answer.Server, err
}

// WaitServer returns a server when it has the status and no task is under way.
func (s *Session) WaitServer(ctx context.Context, id, status string) (v Server, err error) {
	err = poll(ctx, func() (bool, error) {
		v, err = s.Server(ctx, id)
		if err == nil && v.Status == "ERROR" && status != "ERROR" {
			err = fmt.Errorf("server %s: %w: %s", id, errState, v.Fault.Message)
		}
		return v.Status == status && v.TaskState == "", err
	}, func() string { return fmt.Sprintf("server %s is %s, task %q", id, v.Status, v.TaskState) })
	return v, err
}

// WaitGone returns when the server is not there any more. (A server that is
// only soft-deleted still is.)
func (s *Session) WaitGone(ctx context.Context, id string) error {
	var v Server
	return poll(ctx, func() (bool, error) {
		var err error
		if v, err = s.Server(ctx, id); NotFound(err) {
			return true, nil
		}
		return false, err
	}, func() string { return fmt.Sprintf("server %s is %s, task %q", id, v.Status, v.TaskState) })
}

// Delete deletes a server; see WaitGone.
func (s *Session) Delete(ctx context.Context, id string) error {
	return s.Do(ctx, http.MethodDelete, "compute", "/servers/"+id, nil, nil)
}

// ForceDelete deletes a server at once where deletion is deferred.
func (s *Session) ForceDelete(ctx context.Context, id string) error {
	return s.Action(ctx, id, object{"forceDelete": nil})
}

// Action does what is asked of a server, as in {"os-stop": nil}.
func (s *Session) Action(ctx context.Context, id string, action map[string]any) error {
	return s.Do(ctx, http.MethodPost, "compute", "/servers/"+id+"/action", action, nil)
}

// Attach attaches a volume to a server and returns when it is in use.
func (s *Session) Attach(ctx context.Context, server, volume string) error {
	body := object{"volumeAttachment": object{"volumeId": volume}}
	if err := s.Do(ctx, http.MethodPost, "compute", "/servers/"+server+"/os-volume_attachments", body, nil); err != nil {
		return fmt.Errorf("attach volume %s: %w", volume, err)
	}
	_, err := s.WaitVolume(ctx, volume, "in-use")
	return err
}

// Detach takes a volume from a server and returns when it is available. The
// server must be stopped (Stop): the guests of a lab do not let go of a disk.
func (s *Session) Detach(ctx context.Context, server, volume string) error {
	if err := s.Do(ctx, http.MethodDelete, "compute", "/servers/"+server+"/os-volume_attachments/"+volume, nil, nil); err != nil {
		return fmt.Errorf("detach volume %s: %w", volume, err)
	}
	_, err := s.WaitVolume(ctx, volume, "available")
	return err
}

// Stop shuts a server down and returns when it is SHUTOFF: 3 s, for its guest
// does not listen.
func (s *Session) Stop(ctx context.Context, id string) error {
	if err := s.Action(ctx, id, object{"os-stop": nil}); err != nil {
		return fmt.Errorf("stop server %s: %w", id, err)
	}
	_, err := s.WaitServer(ctx, id, "SHUTOFF")
	return err
}
