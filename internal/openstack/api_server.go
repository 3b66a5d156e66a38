package openstack

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"

	"quarantine/internal/quarantine"
)

// apiServer is a server as Nova's API shows it.
//
// Of a deleted server it shows (measured with Nova 26, microversion 2.90):
//
//	name, project, user, flavor, image id, host, zone, key     as before
//	created, launched_at                                       as before
//	terminated_at                                              when it was deleted, also if it was never built
//	metadata, tags, addresses, volumes                         none
//	os-instance-actions                                        as before; GET /servers/<id> and all below it: 404
//
// An image that was deleted meanwhile has an id, but no name. A server that
// was not built has no host and no launched_at. A soft-deleted one shows all
// that a living one does, and has no terminated_at; addresses it keeps. When
// the site archives its database (nova-manage db archive_deleted_rows), the
// deleted servers and their actions are gone.
type apiServer struct {
	ID       text       `json:"id"`
	Name     text       `json:"name"`
	Status   text       `json:"status"`
	Project  text       `json:"tenant_id"`
	User     text       `json:"user_id"`
	Metadata dictionary `json:"metadata"`
	Image    lenient[struct {
		ID text `json:"id"`
	}] `json:"image"` // "" where it boots from a volume
	Flavor lenient[struct {
		ID   text `json:"id"` // before 2.47
		Name text `json:"original_name"`
	}] `json:"flavor"`
	Created   text                             `json:"created"`
	Updated   text                             `json:"updated"`
	Launched  text                             `json:"OS-SRV-USG:launched_at"`
	Ended     text                             `json:"OS-SRV-USG:terminated_at"`
	Addresses lenient[map[string][]apiAddress] `json:"addresses"`
	Zone      text                             `json:"OS-EXT-AZ:availability_zone"`
	Host      text                             `json:"OS-EXT-SRV-ATTR:host"`
	Root      text                             `json:"OS-EXT-SRV-ATTR:root_device_name"`
	State     text                             `json:"OS-EXT-STS:vm_state"`
	Key       text                             `json:"key_name"`
	Config    text                             `json:"config_drive"`
	Tags      lenient[[]text]                  `json:"tags"`
	Volumes   lenient[[]struct {
		ID      text          `json:"id"`
		Deleted lenient[bool] `json:"delete_on_termination"`
	}] `json:"os-extended-volumes:volumes_attached"`
	Fault lenient[struct {
		Message text `json:"message"`
	}] `json:"fault"`
}

type apiAddress struct {
	IP   text `json:"addr"`
	Type text `json:"OS-EXT-IPS:type"`
	MAC  text `json:"OS-EXT-IPS-MAC:mac_addr"`
}

func (v apiServer) ident() string { return uuid(v.ID) }

// unreachable reports whether the server's cell does not answer, so that
// little more than the id is shown (since 2.69). The status alone does not
// tell: Nova gives it to a server in a state that it does not know, too.
func (v apiServer) unreachable() bool { return v.Status == "UNKNOWN" && v.Updated == "" }

// softDeleted reports whether the server waits to be reclaimed. Not everybody
// is shown its state.
func (v apiServer) softDeleted() bool { return v.State == "soft-delete" || v.Status == "SOFT_DELETED" }

// device is where a volume is attached.
type device struct{ volume, server string }

// deletion is what the death of the server would be. Where devices are known,
// they are added to its volumes.
func (v apiServer) deletion(ctx context.Context, s *session, devices map[device]string) (quarantine.Deletion, error) {
	id := v.ident()
	d := serverDeath(s.api.cfg.Cloud, id)
	d.ResourceName, d.KeyPair = string(v.Name), string(v.Key)
	d.Host, d.AvailabilityZone = string(v.Host), string(v.Zone)
	d.Metadata, d.Tags = v.Metadata, stringsOf(v.Tags.value)
	d.CreatedAt = utc(v.Created)
	for label, addresses := range v.Addresses.value {
		for _, a := range addresses {
			if a.IP != "" {
				d.Addresses = append(d.Addresses, quarantine.Address{IP: string(a.IP), MAC: string(a.MAC), Network: label, Type: string(a.Type)})
			}
		}
	}
	for _, volume := range v.Volumes.value {
		if ref := (quarantine.VolumeRef{ID: uuid(volume.ID), DeleteOnTermination: volume.Deleted.value}); ref.ID != "" {
			ref.Device = devices[device{ref.ID, id}]
			ref.Boot = v.Image.value.ID == "" && ref.Device != "" && ref.Device == string(v.Root)
			d.Volumes = append(d.Volumes, ref)
		}
	}
	d.Flavor = string(v.Flavor.value.Name)
	if d.Flavor == "" {
		flavor, err := s.named(ctx, kindFlavor, compute, "flavors/", v.Flavor.value.ID)
		if err != nil {
			return d, err
		}
		d.Flavor = flavor.Label()
	}
	var err error
	if d.Image, err = s.imageName(ctx, text(uuid(v.Image.value.ID))); err != nil {
		return d, err
	}
	if d.Project, err = s.projectName(ctx, v.Project); err != nil {
		return d, err
	}
	d.User, err = s.userName(ctx, v.User)
	return d, err
}

// serverDeath is the Deletion of a server of which only the id is known. None
// of its disks is required: the API does not tell whether a server's disks are
// in Ceph at all.
func serverDeath(cloud, id string) quarantine.Deletion {
	return quarantine.Deletion{
		ID:    quarantine.DeletionID(cloud, quarantine.KindDelete, id, ""),
		Cloud: cloud, CloudType: quarantine.CloudOpenStack, Kind: quarantine.KindDelete,
		ResourceKind: quarantine.ResourceVM, ResourceID: id,
		Disks: serverDisks(quarantine.KindDelete, id, false),
	}
}

// livingServers lists the servers that Nova has, with the soft-deleted ones:
// their disks are there, and they may be restored.
func (s *session) livingServers(ctx context.Context, devices map[device]string, each func(quarantine.Deletion) error) error {
	query := url.Values{"all_tenants": {"1"}, "soft_deleted": {"true"}}
	return s.listServers(ctx, query, func(v apiServer) error {
		d, err := v.deletion(ctx, s, devices)
		if err != nil {
			return err
		}
		return each(d.Normalize())
	})
}

// listServers calls each for every server of a listing. It ends with
// ErrUnavailable at a server of a cell that went down after checkCells: Nova
// shows little more of it than its id, and that must not pass for all there is
// to know, nor be left out.
func (s *session) listServers(ctx context.Context, query url.Values, each func(apiServer) error) error {
	return list(ctx, s, compute, "servers/detail", "servers", query, func(v apiServer) error {
		if v.unreachable() {
			return s.cellDown(v.ident())
		}
		return each(v)
	})
}

// cellDown is the error about a server that Nova knows, and cannot tell of.
func (s *session) cellDown(id string) error {
	return fmt.Errorf("cloud %s: server %s: %w: its cell does not answer", s.api.cfg.Cloud, id, quarantine.ErrUnavailable)
}

// server returns a server that Nova has, living or dying.
func (s *session) server(ctx context.Context, id string) (apiServer, error) {
	var answer struct{ Server apiServer }
	err := s.get(ctx, compute, "servers/"+id, nil, &answer)
	if err == nil && (answer.Server.ident() != id || answer.Server.unreachable()) {
		err = s.cellDown(id)
	}
	return answer.Server, err
}

// devicesOf tells where the volumes of a server are attached.
func (s *session) devicesOf(ctx context.Context, id string) (map[device]string, error) {
	var answer struct {
		Attachments []struct {
			Volume text `json:"volumeId"`
			Device text `json:"device"`
		} `json:"volumeAttachments"`
	}
	if err := s.get(ctx, compute, "servers/"+id+"/os-volume_attachments", nil, &answer); err != nil {
		return nil, err
	}
	devices := map[device]string{}
	for _, a := range answer.Attachments {
		devices[device{uuid(a.Volume), id}] = string(a.Device)
	}
	return devices, nil
}

// action is something that was done to a server.
type action struct {
	Action  text `json:"action"`
	Request text `json:"request_id"`
	User    text `json:"user_id"`
	Start   text `json:"start_time"`
	Updated text `json:"updated_at"` // since 2.58
}

// actions returns what was done to a server, oldest first; also to one that is
// deleted. None are known of a server whose records are archived.
func (s *session) actions(ctx context.Context, id string) ([]action, error) {
	var answer struct {
		Actions lenient[[]action] `json:"instanceActions"`
	}
	if err := s.get(ctx, compute, "servers/"+id+"/os-instance-actions", nil, &answer); err != nil {
		return nil, err
	}
	actions := answer.Actions.value
	slices.SortStableFunc(actions, func(a, b action) int {
		return cmp.Or(utc(a.Start).Compare(utc(b.Start)), cmp.Compare(a.Request, b.Request))
	})
	return actions, nil
}

// checkCells fails if a cell of Nova does not answer. Nova then leaves the
// cell's servers out of its listings, and says 200.
func (s *session) checkCells(ctx context.Context) error {
	services, err := s.novaServices(ctx)
	if err != nil {
		return err
	}
	for _, v := range services {
		if v.Status == "UNKNOWN" {
			return fmt.Errorf("cloud %s: %w: Nova's cell with host %s does not answer; its servers are not listed", s.api.cfg.Cloud, quarantine.ErrUnavailable, v.Host)
		}
	}
	return nil
}

type apiService struct {
	Binary text `json:"binary"`
	Host   text `json:"host"`
	Zone   text `json:"zone"`
	Status text `json:"status"` // enabled, disabled; UNKNOWN in a cell that does not answer (2.69)
	State  text `json:"state"`  // up, down
}

func (s *session) novaServices(ctx context.Context) ([]apiService, error) {
	return s.listServices(ctx, compute)
}

func (s *session) listServices(ctx context.Context, service string) ([]apiService, error) {
	var answer struct {
		Services json.RawMessage `json:"services"`
	}
	if err := s.get(ctx, service, "os-services", nil, &answer); err != nil {
		return nil, err
	}
	var services []apiService
	if json.Unmarshal(answer.Services, &services) != nil {
		return nil, fmt.Errorf("cloud %s: %s: list services: %w: the answer is none", s.api.cfg.Cloud, service, quarantine.ErrUnavailable)
	}
	return services, nil
}
