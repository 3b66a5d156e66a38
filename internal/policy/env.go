package policy

import (
	"fmt"
	"net/netip"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"

	"quarantine/internal/quarantine"
)

// costLimit bounds the evaluation of one rule, in CEL's own units: a hostile
// or clumsy expression ends with an error instead of eating the daemon.
const costLimit = 1_000_000

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

// vars is what the expressions see of the facts.
func vars(f quarantine.Facts) map[string]any {
	d := f.Deletion
	explained := d != nil
	if d == nil {
		d = &quarantine.Deletion{}
	}
	addresses, macs, networks := []string{}, []string{}, []string{}
	for _, a := range d.Addresses {
		if a.IP != "" {
			addresses = append(addresses, a.IP)
		}
		if a.MAC != "" {
			macs = append(macs, a.MAC)
		}
		if a.Network != "" {
			networks = append(networks, a.Network)
		}
	}
	metadata, tags := d.Metadata, d.Tags
	if metadata == nil {
		metadata = map[string]string{}
	}
	if tags == nil {
		tags = []string{}
	}
	ended := f.DeletedAt
	if !d.StartedAt.IsZero() {
		ended = d.StartedAt
	}
	hasLifetime := !d.CreatedAt.IsZero() && !ended.IsZero() && !ended.Before(d.CreatedAt)
	lifetime := types.Duration{}
	if hasLifetime {
		lifetime.Duration = ended.Sub(d.CreatedAt)
	}
	return map[string]any{
		"cloud": f.Cloud, "cloud_type": d.CloudType, "cluster": f.Cluster, "pool": f.Pool.Pool, "namespace": f.Pool.Namespace,
		"kind": string(d.Kind), "resource_kind": string(d.ResourceKind), "resource_id": d.ResourceID, "resource_name": d.ResourceName,
		"server_id": d.ServerID, "flavor": d.Flavor, "host": d.Host, "availability_zone": d.AvailabilityZone,
		"role": f.Role, "original_name": f.OriginalName, "capture": string(f.Capture),
		"project": principal(d.Project), "user": principal(d.User), "deleter": principal(d.Deleter), "image": principal(d.Image),
		"metadata": metadata, "tags": tags, "addresses": addresses, "macs": macs, "networks": networks,
		"size_bytes": f.SizeBytes, "lifetime": lifetime, "has_lifetime": hasLifetime, "explained": explained,
		"deleted_at": types.Timestamp{Time: f.DeletedAt},
	}
}
