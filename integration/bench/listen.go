package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	rabbitlab "quarantine/integration/rabbitmq"
)

// listenPlan is how listening is measured: in each round each side takes so
// many messages, as much as a second of its own speed. With oslo 0 that side is
// left out.
type listenPlan struct{ rounds, ours, oslo int }

//go:embed listener.py
var osloListener string

// python is Debian's, for which python3-oslo.messaging is installed.
const python = "/usr/bin/python3"

// consumeCommand is the bench's own argument that makes it the service's side.
const consumeCommand = "consume"

// listening are the results, summed over rounds.
type listening struct {
	ours, oslo score
	oursRSS    int64 // bytes, the most of all rounds
	osloRSS    int64
}

// listen has both listeners drain a backlog of recorded messages from a real
// broker, each from a durable queue of its own, each as one process on one
// core, one after the other.
func listen(ctx context.Context, messages []notification, p listenPlan) (res listening, err error) {
	start, cancel := context.WithTimeout(ctx, rabbitlab.StartTimeout)
	defer cancel()
	lab, err := rabbitlab.Start(start, rabbitlab.Options{})
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, lab.Stop()) }()
	self, err := os.Executable()
	if err != nil {
		return res, fmt.Errorf("find the bench's own program: %w", err)
	}
	ours := side{lab.URL(), "ours", p.ours, []string{self, consumeCommand}, []string{"GOMAXPROCS=1", "GOGC=300"}}
	// The service sets GOGC itself (cmd/quarantined).
	// A clean environment: what the user's Python finds is not Debian's.
	oslo := side{lab.URL(), "oslo", p.oslo, []string{python, "-I", "-c", osloListener}, nil}
	for i := range p.rounds {
		err := inTurn(i%2 == 0,
			func() error { return ours.round(ctx, messages, &res.ours, &res.oursRSS) },
			func() error {
				if p.oslo == 0 {
					return nil
				}
				return oslo.round(ctx, messages, &res.oslo, &res.osloRSS)
			})
		if err != nil {
			return res, err
		}
	}
	return res, nil
}

// side is one of the listeners.
type side struct {
	url, name string
	count     int
	command   []string
	env       []string
}

// round puts the messages into the side's queue, and has it take them.
func (s side) round(ctx context.Context, messages []notification, sum *score, rss *int64) error {
	if _, err := s.run(ctx, 0); err != nil { // it declares its queue
		return err
	}
	if err := s.publish(ctx, messages); err != nil {
		return err
	}
	out, err := s.run(ctx, s.count)
	if err != nil {
		return err
	}
	var got consumption
	if err := json.Unmarshal(out, &got); err != nil {
		return fmt.Errorf("read what listener %s says: %w: %s", s.name, err, out)
	}
	want := 0
	for i := range s.count {
		if messages[i%len(messages)].deletes {
			want++
		}
	}
	if got.Kept != want {
		return fmt.Errorf("listener %s kept %d of %d messages; %d report a deletion", s.name, got.Kept, s.count, want)
	}
	sum.add(score{n: s.count, took: seconds(got.Seconds), cpu: seconds(got.CPUSeconds)})
	*rss = max(*rss, got.RSSBytes)
	return nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// run starts the listener on the first core and waits for its end.
func (s side) run(ctx context.Context, count int) ([]byte, error) {
	args := append([]string{"-c", "0"}, s.command...)
	args = append(args, s.url, s.exchange(), s.queue(), strconv.Itoa(count))
	cmd := exec.CommandContext(ctx, "taskset", args...)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent", "LC_ALL=C.UTF-8"}, s.env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w: %s", s.name, err, stderr.Bytes())
	}
	return out, nil
}

func (s side) exchange() string { return "bench-" + s.name }
func (s side) queue() string    { return "bench." + s.name }

// publish replays the messages, persistent as the services send them, until
// there are enough in the queue.
func (s side) publish(ctx context.Context, messages []notification) (err error) {
	conn, err := amqp.Dial(s.url)
	if err != nil {
		return fmt.Errorf("connect to publish: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel to publish: %w", err)
	}
	if err := ch.Confirm(false); err != nil {
		return fmt.Errorf("ask for confirms: %w", err)
	}
	const together = 500
	var last *amqp.DeferredConfirmation
	for i := range s.count {
		m := messages[i%len(messages)]
		last, err = ch.PublishWithDeferredConfirmWithContext(ctx, s.exchange(), m.RoutingKey, false, false, amqp.Publishing{
			ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp.Persistent, Body: m.Body,
		})
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		if i%together == 0 || i == s.count-1 {
			if ok, err := last.WaitContext(ctx); err != nil || !ok {
				return fmt.Errorf("publish: confirmed: %v: %w", ok, err)
			}
		}
	}
	q, err := ch.QueueDeclarePassive(s.queue(), true, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("inspect queue %s: %w", s.queue(), err)
	}
	if q.Messages != s.count {
		return fmt.Errorf("%d of %d messages are in queue %s", q.Messages, s.count, s.queue())
	}
	return nil
}
