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
	d := i.death()
	switch {
	case len(d.Disks) == 0:
		return nil, nil
	case d.Disks[0].Name == "":
		return nil, invalidf("IMAGE %s: SOURCE names no image", i.ID)
	}
	return d, nil
}

// death is what the delete of the image would be. Its type of volume is the
// datastore; it has no disk if it is not on RBD, or was never made.
func (i *imageXML) death() *deletion {
	d := &deletion{Deletion: i.owned(quarantine.ResourceImage, i.RegTime)}
	d.Kind = quarantine.KindImageDelete
	d.Flavor = cut(i.Datastore, maxName)
	d.Metadata = i.Template
	if i.Source != "" && (i.DiskType == imageRBD || i.DiskType == imageRBDCDROM) {
		ref := source(i.Source, "")
		ref.Role = "image"
		d.Disks = []quarantine.DiskRef{ref}
	}
	return d
}
