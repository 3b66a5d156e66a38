package opennebula

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"quarantine/internal/quarantine"
)

// Datastore is a datastore of OpenNebula that is on Ceph.
type Datastore struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
	// Type is DatastoreImage or DatastoreSystem.
	Type string `json:"type"`
	// Pool and Namespace are POOL_NAME ("pool" or "pool/namespace"). They are
	// empty where the datastore leaves that to the drivers' own configuration.
	Pool      string `json:"pool"`
	Namespace string `json:"namespace,omitempty"`
	// DataPool is EC_POOL_NAME, the pool of the data where that is another one.
	DataPool   string   `json:"data_pool,omitempty"`
	CephUser   string   `json:"ceph_user,omitempty"`
	CephConf   string   `json:"ceph_conf,omitempty"`
	BridgeList []string `json:"bridge_list,omitempty"` // hosts that do the drivers' work
	TMMad      string   `json:"tm_mad"`
	DSMad      string   `json:"ds_mad"`
}

// The types of datastores that hold disks.
const (
	DatastoreImage  = "image"
	DatastoreSystem = "system"
)

// driverCeph is the name of both Ceph drivers, TM_MAD and DS_MAD.
const driverCeph = "ceph"

type datastoreXML struct {
	ID       string `xml:"ID"`
	Name     string `xml:"NAME"`
	Type     string `xml:"TYPE"` // a number
	DSMad    string `xml:"DS_MAD"`
	TMMad    string `xml:"TM_MAD"`
	PoolName string `xml:"TEMPLATE>POOL_NAME"`
	DataPool string `xml:"TEMPLATE>EC_POOL_NAME"`
	CephUser string `xml:"TEMPLATE>CEPH_USER"`
	CephConf string `xml:"TEMPLATE>CEPH_CONF"`
	Bridges  string `xml:"TEMPLATE>BRIDGE_LIST"`
}

// datastore returns it as others see it; false if it holds no disks on Ceph.
func (x *datastoreXML) datastore() (Datastore, bool) {
	d := Datastore{
		Name: cut(x.Name, maxName), DataPool: cut(x.DataPool, maxName), CephUser: cut(x.CephUser, maxName), CephConf: cut(x.CephConf, maxName),
		BridgeList: strings.Fields(x.Bridges), TMMad: cut(x.TMMad, maxName), DSMad: cut(x.DSMad, maxName),
	}
	d.Pool, d.Namespace = poolName(x.PoolName)
	switch x.Type {
	case "0":
		d.Type = DatastoreImage
		return d, d.DSMad == driverCeph
	case "1":
		d.Type = DatastoreSystem
		return d, d.TMMad == driverCeph
	}
	return d, false
}

// poolName splits POOL_NAME, which the drivers put before "/image".
func poolName(s string) (pool, namespace string) {
	pool, namespace, _ = strings.Cut(cut(s, 2*maxName), "/")
	return cut(pool, maxName), cut(namespace, maxName)
}

// Datastores returns the image and system datastores that are on Ceph, by id.
// Similar to: onedatastore list.
func (a *API) Datastores(ctx context.Context) ([]Datastore, error) {
	all, err := a.datastores(ctx)
	return slices.DeleteFunc(all, func(d Datastore) bool { return d.Type == "" }), err
}

// datastores returns all datastores. Those that hold no disks on Ceph have no
// type.
func (a *API) datastores(ctx context.Context) ([]Datastore, error) {
	const method = "one.datastorepool.info"
	doc, err := a.document(ctx, method)
	if err != nil {
		return nil, err
	}
	var found []Datastore
	err = splitPool(doc, [2]string{"DATASTORE_POOL", "DATASTORE"}, func(element []byte) error {
		var x datastoreXML
		if err := decodeElement(element, &x); err != nil {
			return err
		}
		d, onCeph := x.datastore()
		if d.ID, err = number(x.ID); err != nil {
			return unreadable("a datastore has no id")
		}
		if !onCeph {
			d.Type = ""
		}
		found = append(found, d)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	slices.SortFunc(found, func(a, b Datastore) int { return cmp.Compare(a.ID, b.ID) })
	return found, nil
}

// VolumePool implements quarantine.CloudWriter: the pool of the image datastore
// of that name or id; of the configured one, or the only one that is on Ceph,
// where it is empty.
func (a *API) VolumePool(ctx context.Context, datastore string) (quarantine.PoolRef, error) {
	d, err := a.imageDatastore(ctx, datastore)
	if err != nil {
		return quarantine.PoolRef{}, err
	}
	return a.poolOf(d)
}

// ImagePool implements quarantine.CloudWriter. Images and volumes are the same
// here, so it is the pool of the default datastore.
func (a *API) ImagePool(ctx context.Context) (quarantine.PoolRef, error) {
	return a.VolumePool(ctx, "")
}

// imageDatastore returns the image datastore that is meant, as in VolumePool.
// ErrNotFound if there is none of that name or id, or it is not on Ceph;
// ErrInvalid if it is not clear which is meant.
func (a *API) imageDatastore(ctx context.Context, wanted string) (Datastore, error) {
	all, err := a.datastores(ctx)
	if err != nil {
		return Datastore{}, fmt.Errorf("look for the datastore: %w", err)
	}
	wanted = cmp.Or(wanted, a.cfg.Datastore)
	usable := slices.DeleteFunc(slices.Clone(all), func(d Datastore) bool { return d.Type != DatastoreImage })
	if wanted == "" {
		switch len(usable) {
		case 1:
			return usable[0], nil
		case 0:
			return Datastore{}, fmt.Errorf("cloud %s has no image datastore on Ceph: %w", a.cfg.Cloud, quarantine.ErrNotFound)
		}
		return Datastore{}, invalidf("cloud %s has several image datastores on Ceph: %s; name one, or configure it", a.cfg.Cloud, nameAll(usable))
	}
	match := func(d Datastore) bool { return d.Name == wanted }
	if id, err := number(wanted); err == nil && slices.ContainsFunc(all, func(d Datastore) bool { return d.ID == id }) {
		match = func(d Datastore) bool { return d.ID == id }
	}
	found := slices.DeleteFunc(slices.Clone(usable), func(d Datastore) bool { return !match(d) })
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return Datastore{}, invalidf("cloud %s has several datastores of that name: %s; give the id", a.cfg.Cloud, nameAll(found))
	case slices.ContainsFunc(all, match):
		return Datastore{}, fmt.Errorf("cloud %s: datastore %q is no image datastore on Ceph: %w", a.cfg.Cloud, wanted, quarantine.ErrNotFound)
	}
	return Datastore{}, fmt.Errorf("cloud %s: datastore %q: %w", a.cfg.Cloud, wanted, quarantine.ErrNotFound)
}

// poolOf returns the pool in the service's care that the datastore is in.
// ErrInvalid where the configuration does not tell it.
func (a *API) poolOf(d Datastore) (quarantine.PoolRef, error) {
	subject := fmt.Sprintf("cloud %s: datastore %d (%s)", a.cfg.Cloud, d.ID, d.Name)
	if d.Pool == "" {
		return quarantine.PoolRef{}, invalidf("%s has no POOL_NAME", subject)
	}
	var own, all []quarantine.PoolRef
	for _, p := range a.cfg.Pools {
		if p.Pool != d.Pool || p.Namespace != d.Namespace || p.Cloud != "" && p.Cloud != a.cfg.Cloud || slices.Contains(all, p.PoolRef) {
			continue
		}
		all = append(all, p.PoolRef)
		if p.Cloud == a.cfg.Cloud {
			own = append(own, p.PoolRef)
		}
	}
	switch {
	case len(own) == 1:
		return own[0], nil
	case len(own) == 0 && len(all) == 1:
		return all[0], nil
	case len(all) == 0:
		return quarantine.PoolRef{}, invalidf("%s: its pool %s is not among the cloud's pools in the configuration", subject, quarantine.PoolRef{Pool: d.Pool, Namespace: d.Namespace})
	}
	fsids := make([]string, len(all))
	for i, p := range all {
		fsids[i] = p.FSID
	}
	return quarantine.PoolRef{}, invalidf("%s: the pool %s is in several clusters (%s), and CEPH_CONF=%q does not tell which is meant; give one of them to the cloud in the configuration",
		subject, all[0], strings.Join(fsids, ", "), d.CephConf)
}

func nameAll(ds []Datastore) string {
	names := make([]string, len(ds))
	for i, d := range ds {
		names[i] = fmt.Sprintf("%d (%s)", d.ID, d.Name)
	}
	return strings.Join(names, ", ")
}
