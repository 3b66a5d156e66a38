package openstacklab

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"strings"
)

// The images that a lab has. Their guests need neither a kernel nor an
// address: a boot sector writes "BEAT" and a counter to the sector 2048 (1 MiB)
// of the disk.
const (
	// Quiet counts to four and halts: it costs no CPU.
	Quiet = "quiet"
	// Tiny counts for ever, twice a second: 8 % of a core without KVM.
	Tiny = "tiny"
)

// The flavors that a lab has, all with one CPU.
const (
	// T0 has the image's size: 8 MiB.
	T0 = "t0"
	// T1 has 64 MiB of memory and a disk of 1 GiB.
	T1 = "t1"
	// T2 has 96 MiB of memory and a disk of 2 GiB.
	T2 = "t2"
	// TE is T1 with an ephemeral disk of 1 GiB and swap of 64 MiB.
	TE = "te"
)

// imageSize is that of both images, in bytes.
const imageSize = 8 << 20

// guest are the boot sectors, and their sources. They are assembled with
//
//	gcc -m32 -c boot.S && ld -m elf_i386 -Ttext 0x7c00 --oformat binary -o boot.bin boot.o
//
//go:embed guest
var guest embed.FS

// images puts the images into Glance, for everybody.
func (l *Lab) images(ctx context.Context) error {
	s, err := l.As(ctx, Admin())
	if err != nil {
		return err
	}
	var steps []func() error
	for name, file := range map[string]string{Quiet: "quiet.bin", Tiny: "boot.bin"} {
		steps = append(steps, func() error {
			sector, err := guest.ReadFile("guest/" + file)
			if err != nil {
				return fmt.Errorf("make image %s: %w", name, err)
			}
			raw := make([]byte, imageSize)
			copy(raw, sector)
			_, err = s.UploadImage(ctx, ImageSpec{Name: name, Public: true}, bytes.NewReader(raw))
			return err
		})
	}
	return together(steps...)
}

// flavors are the statements that make the flavors: Nova's API, by which they
// could be made, starts late.
func flavors() string {
	var b strings.Builder
	for i, f := range []struct {
		name                       string
		ram, disk, ephemeral, swap int
	}{{T0, 64, 0, 0, 0}, {T1, 64, 1, 0, 0}, {T2, 96, 2, 0, 0}, {TE, 64, 1, 1, 64}} {
		fmt.Fprintf(&b, `INSERT INTO nova_api.flavors
			(created_at, id, name, flavorid, vcpus, memory_mb, root_gb, ephemeral_gb, swap, rxtx_factor, vcpu_weight, disabled, is_public)
			VALUES (NOW(), %d, '%[2]s', '%[2]s', 1, %[3]d, %[4]d, %[5]d, %[6]d, 1, 0, 0, 1);
			`, i+1, f.name, f.ram, f.disk, f.ephemeral, f.swap)
	}
	return b.String()
}
