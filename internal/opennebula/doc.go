// Package opennebula turns what OpenNebula tells its hooks into Deletions.
//
// # Forms
//
// A body is one message, in any form that OpenNebula hands to a hook script or
// publishes: the base64 line that a state hook gets as $TEMPLATE, as an
// argument or on stdin (a VM or IMAGE element), the base64 of a HOOK_MESSAGE
// (the second ZeroMQ frame, around the same elements), the CALL_INFO of an API
// hook, or the XML itself.
//
// # Which message is which act
//
//	VM EPILOG, EPILOG_FAILURE with terminate, DONE after EPILOG   delete
//	VM CLEANUP_DELETE, DONE after it                             recover-delete
//	VM DONE after POWEROFF, SUSPENDED, STOPPED, UNDEPLOYED       recover-delete, see below
//	VM CLEANUP_RESUBMIT, PENDING or DONE after a recreate        recreate
//	VM HOTPLUG, HOTPLUG_EPILOG_POWEROFF with disk-detach         disk-detach
//	IMAGE DELETE, HOOK_MESSAGE of a good one.image.delete        image-delete
//
// All other states destroy nothing. SHUTDOWN does not either: a guest that
// does not shut down brings the VM back to RUNNING. EPILOG is entered by
// terminate only; stop, undeploy and migrations have states of their own.
//
// The act of a VM is read from the last record of its HISTORY_RECORDS, whose
// ACTION stays the same from the first state of the act to DONE and after it,
// and with that the Deletion's id: a VM's number for delete and
// recover-delete, because it dies once; the number of the history record too
// for recreate and disk-detach, which it survives.
//
// # What cannot be told
//
// `onevm recover --delete` and `--delete-db` of a VM that is not ACTIVE both
// go to DONE at once and leave the same message. The first destroys the disks
// after DONE, the second never. Such a message is taken as a recover-delete
// that requires no disk: if the disks die they are explained, and if they do
// not nothing is missed. A `--delete-db` of an ACTIVE VM is known by its
// previous state and is no Deletion.
//
// A bare CALL_INFO does not name its call, and says nothing that the state
// messages of the same act do not say better; it is never a Deletion. API
// messages can also be bad XML, because OpenNebula does not escape the
// parameters; they are read only as far as is needed.
//
// No message says who called terminate: the history's UID is then the VM's
// owner. For recover and disk-detach it is the caller.
//
// # What the API tells
//
// API asks oned by XML-RPC for what no message told: the living and the dead,
// names, what was done to a VM (quarantine.CloudReader), and for a driver that
// is about to remove an image what that is (API.Dying). It reads the same
// elements as the messages, so that both lead to the same Deletions.
//
// A VM is known for ever, an image until it is gone. A listing is whole, or an
// error. What tenants write is data: OpenNebula does not escape the end of CDATA
// in it, so what a resource seems to say of itself for the second time is not
// heard (once).
//
// # What goes back
//
// A volume is a persistent image, an image one that is not; both are records
// with the place of an RBD image in SOURCE, which only oneadmin may set. oned
// does not look whether it is there, nor whether two records have the same, and
// renames nothing. Its driver deletes, with a record, whatever RBD image has that
// name then. So no record is deleted while the name in it is the disk's
// (API.AdoptVolume), and nothing is concluded from an answer that is lost: the
// record is looked for by its SOURCE, a VM by a mark of its own.
package opennebula
