package openstack

import (
	"strings"

	"quarantine/internal/quarantine"
)

// readServer reads a payload of either of Nova's formats.
func readServer(inner []byte) (*message, *server, error) {
	var flat, versioned server
	found := &flat
	odd := false
	m, err := read(inner, func(s *scanner, key []byte) {
		if string(key) != "nova_object.data" {
			flat.readFlat(s, key)
			return
		}
		found, versioned = &versioned, server{}
		odd = !s.object(func(key []byte) { versioned.readVersioned(s, key) })
	})
	if err == nil && odd {
		err = invalidf("the payload's nova_object.data is not an object")
	}
	return m, found, err
}

// readFlat reads a member of the payload of one of Nova's unversioned events.
func (v *server) readFlat(s *scanner, key []byte) {
	switch string(key) {
	case "instance_id":
		v.id = s.text()
	case "instance_type":
		v.flavor = s.text()
	case "image_ref_url":
		url := string(s.text())
		v.image = uuid(text(url[strings.LastIndexByte(url, '/')+1:]))
	case "state_description":
		v.task = s.text()
	case "new_task_state":
		v.newTask = s.text()
	default:
		v.readCommon(s, key)
	}
}

// readCommon reads a member that has the same name in both formats.
func (v *server) readCommon(s *scanner, key []byte) {
	switch string(key) {
	case "tenant_id":
		v.projectID = s.text()
	case "user_id":
		v.userID = s.text()
	case "display_name":
		v.name = s.text()
	case "host":
		v.host = s.text()
	case "availability_zone":
		v.zone = s.text()
	case "created_at":
		v.createdAt = s.text()
	case "launched_at":
		v.launchedAt = s.text()
	case "state":
		v.state = s.text()
	case "metadata":
		v.metadata = s.dictionary()
	default:
		s.skip()
	}
}

// readVersioned reads a member of the data of one of Nova's versioned events.
func (v *server) readVersioned(s *scanner, key []byte) {
	switch string(key) {
	case "uuid":
		v.id = s.text()
	case "image_uuid":
		v.image = uuid(s.text())
	case "task_state":
		v.task = s.text()
	case "request_id": // empty for Nova's periodic work
		v.request = s.text()
	case "flavor":
		v.flavor = novaText(s, "name")
	case "state_update":
		v.newTask = novaText(s, "new_task_state")
	case "tags":
		v.tags = s.texts()
	case "ip_addresses":
		v.addresses = nil
		s.array(func() { v.readAddress(s) })
	case "block_devices":
		v.volumes, v.bootsVolume = nil, false
		s.array(func() { v.readDevice(s) })
	default:
		v.readCommon(s, key)
	}
}

// readAddress reads an element of ip_addresses.
func (v *server) readAddress(s *scanner) {
	var a quarantine.Address
	novaObject(s, func(key []byte) {
		switch string(key) {
		case "address":
			a.IP = string(s.text())
		case "mac":
			a.MAC = string(s.text())
		case "label":
			a.Network = string(s.text())
		case "port_uuid":
			a.PortID = string(s.text())
		default:
			s.skip()
		}
	})
	if a.IP != "" {
		v.addresses = append(v.addresses, a)
	}
}

// readDevice reads an element of block_devices, which are volumes.
func (v *server) readDevice(s *scanner) {
	var id, bootIndex text
	dies := false
	novaObject(s, func(key []byte) {
		switch string(key) {
		case "volume_id":
			id = s.text()
		case "boot_index":
			bootIndex = s.text()
		case "delete_on_termination":
			dies = s.peek() == 't'
			s.skip()
		default:
			s.skip()
		}
	})
	if bootIndex == "0" {
		v.bootsVolume = true
	}
	if id := uuid(id); id != "" && dies {
		v.volumes = append(v.volumes, id)
	}
}

// novaObject reads the data of one of Nova's versioned objects.
func novaObject(s *scanner, member func(key []byte)) {
	s.object(func(key []byte) {
		if string(key) == "nova_object.data" {
			s.object(member)
		} else {
			s.skip()
		}
	})
}

// novaText reads one text of such an object.
func novaText(s *scanner, name string) (t text) {
	novaObject(s, func(key []byte) {
		if string(key) == name {
			t = s.text()
		} else {
			s.skip()
		}
	})
	return t
}
