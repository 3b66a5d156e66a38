package cephtest

import (
	"testing"
	"time"

	"quarantine/internal/quarantine"
)

// Ceph is all that does not remove.
type Ceph interface {
	quarantine.Trash
	quarantine.Images
	quarantine.Cloner
	quarantine.Snapshotter
	quarantine.Renamer
	quarantine.Reader
	quarantine.Copier
	quarantine.Guard
	quarantine.Clusters
	quarantine.Lineages
	quarantine.Gauge
	quarantine.Snapshots
	quarantine.Looker
}

// Cloud is what a cloud, or anybody with its key, does to its images. The
// errors are of no interest but for being there.
type Cloud interface {
	// CloudCreate makes a live image.
	CloudCreate(p quarantine.PoolRef, name string, size int64) (quarantine.Key, error)
	// CloudCreateCut is a create whose client dies before there is an image: its
	// name is taken all the same, with an id that no image has.
	CloudCreateCut(p quarantine.PoolRef, name string) (quarantine.Key, error)
	// CloudRenameCut is `rbd rename` by a client that dies after its first step: the
	// image can be opened by both names, and has the first one.
	CloudRenameCut(p quarantine.PoolRef, name, to string) error
	// CloudWrite writes into an image, live or in the trash.
	CloudWrite(key quarantine.Key, offset int64, data []byte) error
	// CloudSnapshot takes a snapshot of a live image.
	CloudSnapshot(p quarantine.PoolRef, name, snap string) error
	// CloudClone clones a snapshot of a live image.
	CloudClone(p quarantine.PoolRef, src, snap string, dst quarantine.PoolRef, name string) (quarantine.Key, error)
	// CloudCloneShallow is CloudClone of an image without deep-flatten.
	CloudCloneShallow(p quarantine.PoolRef, src, snap string, dst quarantine.PoolRef, name string) (quarantine.Key, error)
	// CloudRemoveSnapshot removes a snapshot of a live image; one with clones
	// leaves its name at once and stays until they are gone.
	CloudRemoveSnapshot(p quarantine.PoolRef, name, snap string) error
	// CloudRemove is librbd's remove.
	CloudRemove(p quarantine.PoolRef, name string) error
	// CloudTrash is `rbd trash mv`.
	CloudTrash(p quarantine.PoolRef, name string, protect time.Duration) error
	// CloudForceRemove is `rbd trash rm --force`.
	CloudForceRemove(key quarantine.Key) error
	// CloudWatch opens an image as a hypervisor does, until stop.
	CloudWatch(key quarantine.Key, client string) (stop func(), err error)
}

// Backend is one implementation, with pools for one test alone.
type Backend struct {
	// Pool, Other and Namespace are empty and of one cluster, Other of another
	// pool than Pool, Namespace a namespace of Pool's pool; their guard is off.
	// All three are among Pools().
	Pool, Other, Namespace quarantine.PoolRef
	// Far is a pool of a second cluster. Only RunClusters needs it.
	Far quarantine.PoolRef

	Ceph    Ceph
	Remover quarantine.Remover
	Cloud   Cloud
	// Clock is the time by which the trash is stamped.
	Clock quarantine.Clock
}

// Run checks everything but the guard. open is called once for each test,
// which runs in parallel with others. Pool and Other may be namespaces, too.
func Run(t *testing.T, open func(t *testing.T) Backend) {
	run(t, open, map[string]func(*env){
		"TrashListsEveryEntryByID":    trashListsEveryEntry,
		"TrashMoves":                  trashMoves,
		"TrashRestores":               trashRestores,
		"ImagesOpenByID":              imagesOpenByID,
		"ImagesKeepRecords":           imagesKeepRecords,
		"LookLeavesNoTrace":           lookLeavesNoTrace,
		"ImagesAreSealedOnce":         imagesAreSealedOnce,
		"SealsHaveIDs":                sealsHaveIDs,
		"RemovedSnapshotsAreTold":     removedSnapshotsAreTold,
		"LiveImagesByPrefix":          liveImagesByPrefix,
		"CloneOfTheSeal":              cloneOfTheSeal,
		"FlattenMakesIndependent":     flattenMakesIndependent,
		"MarksGoWithClones":           marksGoWithClones,
		"ProtectsSnapshots":           protectsSnapshots,
		"Renames":                     renames,
		"LineageTellsWhatStandsWhere": lineageTells,
		"LineageOfWhatIsLeft":         lineageOfShallow,
		"FlattenOfASealedDisk":        flattenSealed,
		"FlattenWithoutDeepFlatten":   flattenShallow,
		"SecondSealOfOtherBytes":      secondSealDiffers,
		"StripTakesBothSeals":         stripTakesBothSeals,
		"WhereaboutsOfAParent":        whereabouts,
		"ReadSealedBytes":             readSealedBytes,
		"ReadSealedClone":             readSealedClone,
		"ReadSealedEnds":              readSealedEnds,
		"CreatesImages":               createsImages,
		"CreatesCutShort":             createsCutShort,
		"FreesNames":                  freesNames,
		"DropsSecondNames":            dropsSecondNames,
		"CopiesAreFilled":             copiesAreFilled,
		"ReadsFromAnOffset":           readsFromAnOffset,
		"UsedIsWhatTheImageAllocated": usedIsAllocated,
		"DependentsAreNamed":          dependentsAreNamed,
		"InspectReadsTheRecord":       inspectReadsTheRecord,
		"RemovalsBegin":               removalsBegin,
		"UnsealRepeats":               unsealRepeats,
		"StripTakesEverySnapshot":     stripTakesAll,
		"RemoveKeepsCephsRefusals":    removeKeepsRefusals,
		"PoolsAreApart":               poolsAreApart,
		"UnknownPool":                 unknownPool,
		"EndedContext":                endedContext,
		"HealthIsToldPerCluster":      healthPerCluster,
		"LoadIsToldPerCluster":        loadPerCluster,
		"TrimMakesSmaller":            trimMakesSmaller,
	})
}

// RunGuard checks the guard, which is a setting of a whole pool: no other test
// may use Pool meanwhile, and nobody may switch on the guard of Other's pool.
func RunGuard(t *testing.T, open func(t *testing.T) Backend) {
	run(t, open, map[string]func(*env){
		"GuardOnAndOff":               guardOnAndOff,
		"GuardKeepsWhatACloudRemoves": guardKeeps,
		"CanaryUnderGuard":            canaryUnderGuard,
		"DiscardsUnderGuard":          discardsUnderGuard,
		"CanaryWithoutGuard":          canaryWithoutGuard,
		"ANamespaceIsAPool":           namespaceIsAPool,
		"UsageIsThePools":             usageIsThePools,
	})
}

// RunClusters checks an implementation with two clusters.
func RunClusters(t *testing.T, open func(t *testing.T) Backend) {
	run(t, open, map[string]func(*env){
		"ClustersAreRoutedByFSID": clustersAreRouted,
	})
}

func run(t *testing.T, open func(t *testing.T) Backend, checks map[string]func(*env)) {
	for name, check := range checks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(&env{T: t, Backend: open(t), ctx: t.Context()})
		})
	}
}
