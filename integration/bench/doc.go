// Command bench measures the service side by side with what there is without
// it, in one run on a lab Ceph, and prints each ratio beside its bar. `make
// bench` runs it.
//
// # What is compared
//
//   - Adopting and sealing disks, by quarantine.Adopter over the real adapters
//     (Ceph, a catalog and a custody log on disk, a policy, a Deletion to join
//     with each disk), with bare: the same work on Ceph by go-ceph alone, with
//     the same key and as many workers; and with a shell loop of `rbd snap
//     create` and `rbd trash mv`.
//   - Purging them, by a pass of quarantine.Collector, with bare, and with
//     `rbd trash purge` of images that have no seal.
//   - Collecting disks with data, in the same ways; how much longer a client's
//     writes take, and how much slower disks are adopted, beside a collection
//     that is told a pace.
//   - Collecting disks with data in those ways on a second Ceph whose OSD is far: each
//     message from a client takes some milliseconds to it, as on a network (far.go).
//   - The epochs that both cost the cluster's OSD map.
//   - Terminates of OpenNebula's VMs: for each the hook's script is run (dash, curl)
//     on a recorded message, and its disk removed; the time is until the last disk
//     is sealed and joined. The processor time of the script, with its children, is
//     shown beside that of a script that does nothing.
//   - Decoding OpenStack's notifications, as they were recorded.
//   - Taking them from a real RabbitMQ, with a listener written with Debian's
//     oslo.messaging that has the same filter (listener.py). Each drains a
//     backlog of persistent messages from a durable classic queue of its own, as
//     one process on one core; the publisher is done by then. The Python side has
//     the threading executor, no requeue, and no limit of prefetched messages,
//     which is oslo.messaging's default. (Its listener of batches filters and
//     acknowledges each message alone too.) Both are timed from the first message
//     that they see to the last, so that the start of an interpreter does not
//     count; and both must have kept exactly the messages that report a deletion.
//     What follows from keeping one, the commit to the catalog, is on neither
//     side. How fast each is alone is counted by a second of its core: by the
//     clock the faster one waits for the broker.
//
// # How
//
// The sides take turns on fresh images, a small round each and another side
// first in every round, so that whatever else the machine does hits all of
// them; a result is the sum over the rounds. What prepares a round (clones,
// their removal by the cloud, the Deletions, the pass that marks disks as
// expired) is not timed. The table shows beside the speed what each side cost
// this process in processor time, librbd's threads included. The ratios decide;
// the absolute numbers beside them are of this machine and of the moment.
//
// # Output
//
// The last lines are the measures, one a line:
//
//	NAME VALUE UNIT bar BAR ok|short
//
// The unit ratio-max marks a ratio that must not exceed its bar, and MB and ms
// memory, processor time and epochs of the OSD map that must not; all other values must reach theirs. The exit status is 0 if all
// are ok, 1 if one is short or the run failed (then there is a line `error: …`
// on standard error), 2 after a wrong flag.
package main
