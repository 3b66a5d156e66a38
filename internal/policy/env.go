package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"

	"quarantine/internal/quarantine"
)

// principal is how expressions see project, user, deleter and image.
func principal(p quarantine.Principal) map[string]string {
	return map[string]string{"id": p.ID, "name": p.Name}
}

// newEnv declares what an expression may speak of. It is typed: a misspelt
// name does not load.
func newEnv() (*cel.Env, error) {
	who := cel.MapType(cel.StringType, cel.StringType)
	vars := []cel.EnvOption{
		ext.Strings(),
		cel.Function("in_cidr", cel.Overload("in_cidr_string_string", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
			cel.BinaryBinding(inCIDR))),
		cel.Constant("KiB", cel.IntType, types.Int(1<<10)),
		cel.Constant("MiB", cel.IntType, types.Int(1<<20)),
		cel.Constant("GiB", cel.IntType, types.Int(1<<30)),
		cel.Constant("TiB", cel.IntType, types.Int(1<<40)),
	}
	for _, name := range []string{"cloud", "cloud_type", "cluster", "pool", "namespace", "kind", "resource_kind", "resource_id",
		"resource_name", "server_id", "flavor", "host", "availability_zone", "role", "original_name", "capture"} {
		vars = append(vars, cel.Variable(name, cel.StringType))
	}
	for _, name := range []string{"project", "user", "deleter", "image", "metadata"} {
		vars = append(vars, cel.Variable(name, who))
	}
	vars = append(vars,
		cel.Variable("tags", cel.ListType(cel.StringType)),
		cel.Variable("addresses", cel.ListType(cel.StringType)),
		cel.Variable("macs", cel.ListType(cel.StringType)),
		cel.Variable("networks", cel.ListType(cel.StringType)),
		cel.Variable("size_bytes", cel.IntType),
		cel.Variable("lifetime", cel.DurationType),
		cel.Variable("has_lifetime", cel.BoolType),
		cel.Variable("explained", cel.BoolType),
		cel.Variable("deleted_at", cel.TimestampType),
	)
	env, err := cel.NewEnv(vars...)
	if err != nil {
		return nil, fmt.Errorf("make the CEL environment: %w", err)
	}
	return env, nil
}

// inCIDR is in_cidr(address, prefix). What is no address is in no network; a
// prefix that does not parse is an error.
func inCIDR(addr, prefix ref.Val) ref.Val {
	p, err := netip.ParsePrefix(prefix.Value().(string))
	if err != nil {
		return types.NewErr("in_cidr: %v", err)
	}
	a, err := netip.ParseAddr(addr.Value().(string))
	if err != nil {
		return types.False
	}
	return types.Bool(p.Contains(a.Unmap()))
}

// tenantsWords are the variables of which a part or all is what a tenant may
// write as it likes: those that withoutTenantsWords changes.
var tenantsWords = []string{"metadata", "tags", "resource_name", "image", "networks"}

// input is what the expressions see of the facts. A value is made when one asks
// for it: most ask for few.
type input struct {
	facts    quarantine.Facts
	deletion quarantine.Deletion // empty while unexplained
	// words says that one has asked for a tenant's word. Who has not decides the
	// same without them.
	words bool
}

func newInput(f quarantine.Facts) *input {
	in := &input{facts: f}
	if f.Deletion != nil {
		in.deletion = *f.Deletion
	}
	return in
}

// Parent implements cel.Activation.
func (in *input) Parent() cel.Activation { return nil }

// ResolveName implements cel.Activation.
func (in *input) ResolveName(name string) (any, bool) {
	in.words = in.words || slices.Contains(tenantsWords, name)
	if text, ok := in.text(name); ok {
		return text, true
	}
	d := &in.deletion
	switch name {
	case "project":
		return principal(d.Project), true
	case "user":
		return principal(d.User), true
	case "deleter":
		return principal(d.Deleter), true
	case "image":
		return principal(d.Image), true
	case "metadata":
		if d.Metadata == nil {
			return map[string]string{}, true
		}
		return d.Metadata, true
	case "tags":
		if d.Tags == nil {
			return []string{}, true
		}
		return d.Tags, true
	case "addresses":
		return in.each(func(a quarantine.Address) string { return a.IP }), true
	case "macs":
		return in.each(func(a quarantine.Address) string { return a.MAC }), true
	case "networks":
		return in.each(func(a quarantine.Address) string { return a.Network }), true
	case "size_bytes":
		return in.facts.SizeBytes, true
	case "lifetime":
		lifetime, _ := in.lifetime()
		return types.Duration{Duration: lifetime}, true
	case "has_lifetime":
		_, has := in.lifetime()
		return has, true
	case "explained":
		return in.facts.Deletion != nil, true
	case "deleted_at":
		return types.Timestamp{Time: in.facts.DeletedAt}, true
	}
	return nil, false
}

// text is the value of a variable that is a string.
func (in *input) text(name string) (string, bool) {
	f, d := &in.facts, &in.deletion
	switch name {
	case "cloud":
		return f.Cloud, true
	case "cloud_type":
		return d.CloudType, true
	case "cluster":
		return f.Cluster, true
	case "pool":
		return f.Pool.Pool, true
	case "namespace":
		return f.Pool.Namespace, true
	case "kind":
		return string(d.Kind), true
	case "resource_kind":
		return string(d.ResourceKind), true
	case "resource_id":
		return d.ResourceID, true
	case "resource_name":
		return d.ResourceName, true
	case "server_id":
		return d.ServerID, true
	case "flavor":
		return d.Flavor, true
	case "host":
		return d.Host, true
	case "availability_zone":
		return d.AvailabilityZone, true
	case "role":
		return f.Role, true
	case "original_name":
		return f.OriginalName, true
	case "capture":
		return string(f.Capture), true
	}
	return "", false
}

// each is what the addresses have of one kind.
func (in *input) each(of func(quarantine.Address) string) []string {
	all := []string{}
	for _, a := range in.deletion.Addresses {
		if v := of(a); v != "" {
			all = append(all, v)
		}
	}
	return all
}

// lifetime is how long the resource lived, if that is known.
func (in *input) lifetime() (time.Duration, bool) {
	ended, created := in.facts.DeletedAt, in.deletion.CreatedAt
	if started := in.deletion.StartedAt; !started.IsZero() {
		ended = started
	}
	if created.IsZero() || ended.IsZero() || ended.Before(created) {
		return 0, false
	}
	return ended.Sub(created), true
}
