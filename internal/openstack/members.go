package openstack

import "encoding/json"

// members are those of a JSON object, by their exact keys. It is for objects
// in which a service puts its users' own keys beside its own: an image's
// properties, and what administrators of a domain note of users and projects.
// encoding/json alone takes a key for another one that differs only in its
// letters' case, so that the property "Owner" would stand for the owner.
//
// A key that comes twice counts as the service's own parser would have it: the
// last is valid. No service writes one twice; in Glance's answers an
// attribute and a property cannot have one name.
type members map[string]json.RawMessage

// UnmarshalJSON never fails on valid JSON. What is no object has no members.
func (m *members) UnmarshalJSON(data []byte) error {
	*m = nil
	var found map[string]json.RawMessage
	if json.Unmarshal(data, &found) == nil {
		*m = found
	}
	return nil
}

// read takes a member into a value, and leaves it as it is where there is no
// such member or it is of another type.
func (m members) read(key string, into any) {
	if raw, ok := m[key]; ok {
		_ = json.Unmarshal(raw, into) // lenient, as all that is read here
	}
}
