package fakeneutron

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
)

// State is all that the service knows. It is saved after each change, so that
// a restarted service goes on.
type State struct {
	// Bridges is how the names of the bridges begin. Linux allows 15 bytes for
	// a name; one digit is appended.
	Bridges  string            `json:"bridges"`
	Networks []Network         `json:"networks"`
	Ports    map[string]object `json:"ports"`
	Floating map[string]object `json:"floating"`
	Next     map[string]int    `json:"next"` // by prefix: the number of the next address
	file     string            // where it is saved
}

// Network is a network with its subnets.
type Network struct {
	ID, Name string
	Subnets  []Subnet
}

// Subnet is a range of addresses.
type Subnet struct {
	ID   string
	CIDR string
}

// object is a resource as the API shows it.
type object map[string]any

// firstAddress is the number of the first address that is given of a range:
// the lowest are for gateways and services.
const firstAddress = 10

// floatingCIDR is where floating IPs come from.
const floatingCIDR = "198.18.0.0/15"

// New returns the state of a new service, to be saved in the file.
func New(file, bridges string) *State {
	return &State{
		Bridges: bridges, Ports: map[string]object{}, Floating: map[string]object{}, Next: map[string]int{}, file: file,
		Networks: []Network{
			{newID(), "private", []Subnet{{newID(), "10.77.0.0/16"}}},
			{newID(), "other", []Subnet{{newID(), "10.78.0.0/16"}, {newID(), "fd00:78::/64"}}},
			{newID(), "public", []Subnet{{newID(), floatingCIDR}}},
		},
	}
}

// Load reads what was saved.
func Load(file string) (*State, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("load the networks: %w", err)
	}
	s := &State{file: file}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("load the networks from %s: %w", file, err)
	}
	return s, nil
}

// Save writes the file.
func (s *State) Save() error {
	b, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("save the networks: %w", err)
	}
	if err := os.WriteFile(s.file+".new", b, 0o600); err != nil {
		return fmt.Errorf("save the networks: %w", err)
	}
	if err := os.Rename(s.file+".new", s.file); err != nil {
		return fmt.Errorf("save the networks: %w", err)
	}
	return nil
}

// network finds a network by its id.
func (s *State) network(id string) (int, bool) {
	for i, n := range s.Networks {
		if n.ID == id {
			return i, true
		}
	}
	return 0, false
}

var errFull = errors.New("no address is left")

// address gives the next address of a range.
func (s *State) address(cidr string) (string, error) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return "", fmt.Errorf("take an address: %w", err)
	}
	n := max(s.Next[cidr], firstAddress)
	s.Next[cidr] = n + 1
	b := p.Addr().AsSlice()
	for i := len(b) - 1; i >= 0 && n > 0; i-- {
		n += int(b[i])
		b[i] = byte(n)
		n >>= 8
	}
	a, _ := netip.AddrFromSlice(b) // has the length of an address
	if !p.Contains(a) {
		return "", fmt.Errorf("take an address of %s: %w", cidr, errFull)
	}
	return a.String(), nil
}

// mac makes an address of the range that OpenStack uses.
func (s *State) mac() string {
	n := s.Next["mac"]
	s.Next["mac"] = n + 1
	return fmt.Sprintf("fa:16:3e:%02x:%02x:%02x", n>>16&255, n>>8&255, n&255)
}
