package openstack

import (
	"strings"

	"quarantine/internal/quarantine"
)

// flatServer is the payload of one of Nova's unversioned events.
type flatServer struct {
	ID         text       `json:"instance_id"`
	ProjectID  text       `json:"tenant_id"`
	UserID     text       `json:"user_id"`
	Name       text       `json:"display_name"`
	Flavor     text       `json:"instance_type"`
	Host       text       `json:"host"`
	Zone       text       `json:"availability_zone"`
	CreatedAt  text       `json:"created_at"`
	LaunchedAt text       `json:"launched_at"`
	ImageURL   text       `json:"image_ref_url"`
	State      text       `json:"state"`
	Task       text       `json:"state_description"`
	NewTask    text       `json:"new_task_state"`
	Metadata   dictionary `json:"metadata"`
}

func (f *flatServer) server() *server {
	url := string(f.ImageURL)
	return &server{
		id: f.ID, name: f.Name, projectID: f.ProjectID, userID: f.UserID,
		flavor: f.Flavor, host: f.Host, zone: f.Zone, createdAt: f.CreatedAt, launchedAt: f.LaunchedAt,
		image: uuid(text(url[strings.LastIndexByte(url, '/')+1:])),
		state: f.State, task: f.Task, newTask: f.NewTask, metadata: f.Metadata,
	}
}

// versionedServer is the data of one of Nova's versioned events.
type versionedServer struct {
	ID         text       `json:"uuid"`
	ProjectID  text       `json:"tenant_id"`
	UserID     text       `json:"user_id"`
	Name       text       `json:"display_name"`
	Host       text       `json:"host"`
	Zone       text       `json:"availability_zone"`
	CreatedAt  text       `json:"created_at"`
	LaunchedAt text       `json:"launched_at"`
	Image      text       `json:"image_uuid"`
	State      text       `json:"state"`
	Task       text       `json:"task_state"`
	Request    text       `json:"request_id"` // empty for Nova's periodic work
	Metadata   dictionary `json:"metadata"`

	Flavor lenient[object[struct {
		Name text `json:"name"`
	}]] `json:"flavor"`
	Update lenient[object[struct {
		NewTask text `json:"new_task_state"`
	}]] `json:"state_update"`
	Tags      lenient[[]text] `json:"tags"`
	Addresses lenient[[]object[struct {
		IP      text `json:"address"`
		MAC     text `json:"mac"`
		Network text `json:"label"`
		Port    text `json:"port_uuid"`
	}]] `json:"ip_addresses"`
	Volumes lenient[[]object[struct {
		ID        text          `json:"volume_id"`
		BootIndex text          `json:"boot_index"`
		Deleted   lenient[bool] `json:"delete_on_termination"`
	}]] `json:"block_devices"`
}

func (v *versionedServer) server() *server {
	s := &server{
		id: v.ID, name: v.Name, projectID: v.ProjectID, userID: v.UserID,
		flavor: v.Flavor.value.Data.value.Name, host: v.Host, zone: v.Zone, createdAt: v.CreatedAt, launchedAt: v.LaunchedAt,
		image: uuid(v.Image),
		state: v.State, task: v.Task, newTask: v.Update.value.Data.value.NewTask, metadata: v.Metadata,
		request: v.Request, tags: stringsOf(v.Tags.value),
	}
	for _, address := range v.Addresses.value {
		a := address.Data.value
		if a.IP != "" {
			s.addresses = append(s.addresses, quarantine.Address{IP: string(a.IP), MAC: string(a.MAC), Network: string(a.Network), PortID: string(a.Port)})
		}
	}
	for _, device := range v.Volumes.value {
		b := device.Data.value
		if b.BootIndex == "0" {
			s.bootsVolume = true
		}
		if id := uuid(b.ID); id != "" && b.Deleted.value {
			s.volumes = append(s.volumes, id)
		}
	}
	return s
}
