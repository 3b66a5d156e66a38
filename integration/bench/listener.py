"""A listener for notifications as one writes it with oslo.messaging: it keeps
what reports a deletion, and drops the rest.

Usage: listener.py URL EXCHANGE QUEUE COUNT

It takes COUNT messages from the queue, which it declares, and prints as JSON
how long that took from the first to the last, how many reported a deletion, its
processor time and its largest memory. With COUNT 0 it declares the queue only.
"""
import json
import resource
import sys
import threading
import time

from oslo_config import cfg
import oslo_messaging

URL, EXCHANGE, QUEUE, COUNT = sys.argv[1].replace('amqp:', 'rabbit:', 1), sys.argv[2], sys.argv[3], int(sys.argv[4])

# The same event types that internal/openstack decodes.
EVENTS = (
    r'^(compute\.)?instance\.(update|delete\.(start|end)|shutdown\.(start|end)|soft_delete\.(start|end)'
    r'|rebuild\.(start|end|error)|shelve_offload\.(start|end)|unrescue\.(start|end)'
    r'|finish_resize\.(start|end)|resize\.(confirm|revert)\.(start|end)|resize_(finish|confirm|revert)\.(start|end))$'
    r'|^volume\.delete\.(start|end)$|^image\.delete$')

seen = 0
first = None
kept = 0
done = threading.Event()


class CountingFilter(oslo_messaging.NotificationFilter):
    """Counts what comes by, and notes when."""

    def match(self, *args):
        global seen, first
        if first is None:
            first = time.monotonic(), time.process_time()
        matched = super().match(*args)
        seen += 1
        # Who is kept is counted after this, in the endpoint.
        if seen == COUNT and not matched:
            done.set()
        return matched


def deletes(event, payload):
    data = payload.get('nova_object.data', payload)
    if event.endswith('instance.update'):
        task = data.get('new_task_state')
        if 'state_update' in data:
            task = data['state_update']['nova_object.data']['new_task_state']
        return task in ('deleting', 'soft-deleting') or data.get('state') == 'deleted'
    if '.shutdown.' in event:
        task = data.get('task_state', data.get('state_description'))
        return task in ('deleting', 'soft-deleting') or data.get('state') in ('soft-delete', 'deleted')
    return True


class Endpoint:
    filter_rule = CountingFilter(event_type=EVENTS)

    def info(self, ctxt, publisher_id, event_type, payload, metadata):
        global kept
        if deletes(event_type, payload):
            kept += 1
        if seen == COUNT:
            done.set()

    error = info


conf = cfg.ConfigOpts()
conf([])
transport = oslo_messaging.get_notification_transport(conf, url=URL)
conf.set_override('amqp_durable_queues', True, group='oslo_messaging_rabbit')
# The driver has no connection yet, and reads the option when it makes one.
targets = [oslo_messaging.Target(exchange=EXCHANGE, topic=topic) for topic in ('notifications', 'versioned_notifications')]
listener = oslo_messaging.get_notification_listener(
    transport, targets, [Endpoint()], executor='threading', pool=QUEUE, allow_requeue=False)
listener.start()
if COUNT:
    done.wait()
    took, cpu = time.monotonic() - first[0], time.process_time() - first[1]
    print(json.dumps({
        'seconds': took, 'cpu_seconds': cpu, 'kept': kept,
        'rss_bytes': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}), flush=True)
listener.stop()
listener.wait()
