package catalog

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// writer owns the only connection that writes. Changes that wait at the same
// time are committed together: with many callers the disk is flushed once for
// a batch, not once for each.
type writer struct {
	queue chan *change
	done  chan struct{}

	// mu is held for reading while a change is handed over, so that close
	// does not close the queue under it.
	mu     sync.RWMutex
	closed bool
}

type change struct {
	ctx   context.Context
	apply func(*txn) error
	err   chan error
}

func startWriter(conn *sql.Conn, maxBatch int) *writer {
	// The queue holds a batch, so that changes gather while one is committed.
	w := &writer{queue: make(chan *change, maxBatch), done: make(chan struct{})}
	t := &txn{conn: conn, stmts: map[string]*sql.Stmt{}}
	go func() {
		defer close(w.done)
		defer t.close()
		for first := range w.queue {
			t.commit(w.gather(first, maxBatch))
		}
	}()
	return w
}

// gather takes what waits, without waiting for more.
func (w *writer) gather(first *change, limit int) []*change {
	batch := []*change{first}
	for len(batch) < limit {
		select {
		case c, ok := <-w.queue:
			if !ok {
				return batch
			}
			batch = append(batch, c)
		default:
			return batch
		}
	}
	return batch
}

// do applies the change and returns when it is committed, or was not. A
// context that ends before the change's turn stops it; later the answer, which
// is certain, is waited for. apply runs in the writer's goroutine and must use
// its txn alone; when it returns an error nothing of what it did remains. It may
// be called again after its work was rolled back, and must then do the same anew.
func (w *writer) do(ctx context.Context, apply func(*txn) error) error {
	c := &change{ctx: ctx, apply: apply, err: make(chan error, 1)}
	if err := w.hand(c); err != nil {
		return err
	}
	return <-c.err
}

func (w *writer) hand(c *change) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return unavailable(errClosed, "write")
	}
	select {
	case w.queue <- c:
		return nil
	case <-c.ctx.Done():
		return unavailable(c.ctx.Err(), "wait to write")
	}
}

var errClosed = errors.New("the catalog is closed")

// close lets the waiting changes finish.
func (w *writer) close() error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.mu.Unlock()
	<-w.done
	return nil
}

// txn is the writer's connection, with its statements prepared once.
type txn struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
	// touched says that a statement has changed rows, or failed, since it was
	// last cleared.
	touched bool
}

// background is for the statements of the writer: once begun, a batch serves
// many callers, and none of their contexts may end it.
func background() context.Context { return context.Background() }

func (t *txn) stmt(query string) (*sql.Stmt, error) {
	if s, ok := t.stmts[query]; ok {
		return s, nil
	}
	s, err := t.conn.PrepareContext(background(), query)
	if err != nil {
		return nil, err
	}
	t.stmts[query] = s
	return s, nil
}

// exec returns the number of rows that it changed. The query must be one of a
// fixed few: each is kept prepared.
func (t *txn) exec(query string, args ...any) (int64, error) {
	s, err := t.stmt(query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(background(), args...)
	if err != nil {
		t.touched = true
		return 0, err
	}
	n, err := res.RowsAffected()
	t.touched = t.touched || n > 0 || err != nil
	return n, err
}

// row scans the single row of the query; sql.ErrNoRows if there is none.
func (t *txn) row(query string, args, dest []any) error {
	s, err := t.stmt(query)
	if err != nil {
		return err
	}
	err = s.QueryRowContext(background(), args...).Scan(dest...)
	t.touched = t.touched || err != nil && !errors.Is(err, sql.ErrNoRows)
	return err
}

// commit applies a batch in one transaction and answers each of its callers.
//
// Nearly always no change fails, and so there is at first nothing to go back to
// for each: SQLite copies every page to a file before it changes it, once for each
// savepoint, which costs as much as the changes. If one has left something and
// failed, all are applied again, each behind a savepoint.
func (t *txn) commit(batch []*change) {
	errs, err := t.transact(batch, t.applyAll)
	if errors.Is(err, errAgain) {
		errs, err = t.transact(batch, t.applyEach)
	}
	for i, c := range batch {
		if err != nil && errs[i] == nil {
			errs[i] = err
		}
		c.err <- errs[i]
	}
}

// transact applies a batch by apply, which sets each change's own error. The error
// that it returns is of the transaction as a whole, of which then nothing remains.
func (t *txn) transact(batch []*change, apply func([]*change, []error) error) ([]error, error) {
	errs := make([]error, len(batch))
	if _, err := t.exec("BEGIN IMMEDIATE"); err != nil {
		return errs, unavailable(err, "begin to write")
	}
	if err := apply(batch, errs); err != nil {
		// SQLite may have rolled back already, as it does when the disk is
		// full; then this says so and changes nothing.
		_, _ = t.exec("ROLLBACK")
		return errs, err
	}
	if _, err := t.exec("COMMIT"); err != nil {
		_, _ = t.exec("ROLLBACK")
		return errs, unavailable(err, "commit")
	}
	return errs, nil
}

// errAgain says that a change has failed and left something.
var errAgain = errors.New("a change of the batch has to be taken back")

// applyAll applies the changes with nothing between them; errAgain if that will
// not do. A change that failed before it wrote (a conflict) is no reason.
func (t *txn) applyAll(batch []*change, errs []error) error {
	for i, c := range batch {
		if err := c.ctx.Err(); err != nil {
			errs[i] = unavailable(err, "wait to write")
			continue
		}
		t.touched = false
		if errs[i] = c.apply(t); errs[i] != nil && t.touched {
			return errAgain
		}
	}
	return nil
}

// applyEach applies the changes each behind a savepoint.
func (t *txn) applyEach(batch []*change, errs []error) error {
	for i, c := range batch {
		if err := c.ctx.Err(); err != nil {
			errs[i] = unavailable(err, "wait to write")
			continue
		}
		if _, err := t.exec("SAVEPOINT change"); err != nil {
			return unavailable(err, "begin a change")
		}
		if errs[i] = c.apply(t); errs[i] != nil {
			if _, err := t.exec("ROLLBACK TO change"); err != nil {
				return unavailable(errors.Join(errs[i], err), "take back a change")
			}
		}
		if _, err := t.exec("RELEASE change"); err != nil {
			return unavailable(err, "end a change")
		}
	}
	return nil
}

func (t *txn) close() {
	for _, s := range t.stmts {
		_ = s.Close() // it dies with the connection in any case
	}
	_ = t.conn.Close() // gives it back to the pool, whose Close reports
}
