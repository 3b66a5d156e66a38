package generic

import "quarantine/internal/quarantine"

// The shape of the body. The names of the keys are these tags; a key is
// matched exactly, and schema.json has the same ones.

type batchJSON struct {
	Deletions []deletionJSON `json:"deletions"`
}

type deletionJSON struct {
	Kind             string            `json:"kind"`
	ResourceKind     string            `json:"resource_kind"`
	ResourceID       string            `json:"resource_id"`
	ResourceName     string            `json:"resource_name"`
	ServerID         string            `json:"server_id"`
	Project          principalJSON     `json:"project"`
	User             principalJSON     `json:"user"`
	Deleter          principalJSON     `json:"deleter"`
	Flavor           string            `json:"flavor"`
	Image            principalJSON     `json:"image"`
	Host             string            `json:"host"`
	AvailabilityZone string            `json:"availability_zone"`
	Metadata         map[string]string `json:"metadata"`
	Tags             []string          `json:"tags"`
	Addresses        []addressJSON     `json:"addresses"`
	RequestID        string            `json:"request_id"`
	CreatedAt        string            `json:"created_at"`
	StartedAt        string            `json:"started_at"`
	EndedAt          string            `json:"ended_at"`
	Disks            []diskJSON        `json:"disks"`
}

// principalJSON may be a string instead, which is the name.
type principalJSON struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func (p *principalJSON) fromString(s string) { p.Name = s }

func (p principalJSON) principal() quarantine.Principal {
	return quarantine.Principal{ID: p.ID, Name: p.Name}
}

// addressJSON may be a string instead, which is the IP address.
type addressJSON struct {
	IP      string `json:"ip"`
	MAC     string `json:"mac"`
	Network string `json:"network"`
}

func (a *addressJSON) fromString(s string) { a.IP = s }

type diskJSON struct {
	Pool      string `json:"pool"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Prefix    bool   `json:"prefix"`
	Role      string `json:"role"`
	Required  bool   `json:"required"`
}
