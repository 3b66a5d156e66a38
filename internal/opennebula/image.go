package opennebula

import "quarantine/internal/quarantine"

// Image disk types (DISK_TYPE of an IMAGE is a number).
const (
	imageRBD      = "3"
	imageRBDCDROM = "4"
)

// deletion returns the deletion of an image; nil if it is not on RBD, or was
// never made. OpenNebula gives it no time.
func (i *imageXML) deletion() (*deletion, error) {
	if err := checkNumber("IMAGE ID", i.ID); err != nil {
		return nil, err
	}
	if i.Source == "" || i.DiskType != imageRBD && i.DiskType != imageRBDCDROM {
		return nil, nil
	}
	ref := source(i.Source, "")
	ref.Role = "image"
	if ref.Name == "" {
		return nil, invalidf("IMAGE %s: SOURCE names no image", i.ID)
	}
	d := &deletion{Deletion: i.owned(quarantine.ResourceImage, i.RegTime)}
	d.Kind = quarantine.KindImageDelete
	d.Metadata = i.Template
	d.Disks = []quarantine.DiskRef{ref}
	return d, nil
}
