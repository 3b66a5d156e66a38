// Package openstack turns OpenStack's notifications into Deletions, takes them
// from RabbitMQ, and speaks to OpenStack's APIs.
//
// Decode reads one message, however it came; Consumer has queues of its own on
// the message bus and records what Decode finds; API asks the cloud's own APIs
// what lives, what is dead and whose it was, and makes volumes, images and
// servers of what is restored. The package is the only one that knows the
// client libraries of the bus and of the APIs.
//
// # What OpenStack says
//
// Nova sends each event in one or two formats, as the site configures
// ([notifications] notification_format): unversioned (event type
// "compute.instance.delete.start", a flat payload) and versioned
// ("instance.delete.start", nested objects under "nova_object.data"). Only the
// versioned format tells a server's addresses, tags and volumes. Cinder and
// Glance know one format each, and send to the exchanges "openstack" and
// "glance". All of it was measured with Nova 26, Cinder 21 and Glance 25; the
// recordings are in testdata.
//
// # One act, many messages
//
// A delete is reported by up to fourteen messages. Each gives the same
// Deletion id, and each gives only what it knows for sure, so that
// quarantine.Merge makes the same of them in any order and number.
package openstack
