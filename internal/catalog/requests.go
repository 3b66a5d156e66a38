package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"quarantine/internal/quarantine"
)

// Request returns the request of that id. ErrNotFound.
func (c *Catalog) Request(ctx context.Context, id string) (quarantine.Request, error) {
	var record []byte
	var version int64
	err := c.readDB.QueryRowContext(ctx, `SELECT record, version FROM requests WHERE id = ?`, id).Scan(&record, &version)
	if errors.Is(err, sql.ErrNoRows) {
		return quarantine.Request{}, fmt.Errorf("catalog: request %s: %w", id, quarantine.ErrNotFound)
	}
	if err != nil {
		return quarantine.Request{}, unavailable(err, "read request %s", id)
	}
	return decodeRequest(record, version)
}

// FindRequests returns the requests that the filter selects, the newest first.
func (c *Catalog) FindRequests(ctx context.Context, f quarantine.RequestFilter) ([]quarantine.Request, error) {
	if f.Limit < 0 {
		return nil, invalidf("a page of %d requests", f.Limit)
	}
	var w where
	states := make([]string, len(f.States))
	for i, s := range f.States {
		states[i] = string(s)
	}
	w.in("state", states)
	if f.Kind != "" {
		w.and("kind = ?", f.Kind)
	}
	if f.Subject != "" {
		w.and("subject = ?", f.Subject)
	}
	rows, err := c.readDB.QueryContext(ctx, `SELECT record, version FROM requests`+w.String()+` ORDER BY requested_at DESC, id LIMIT ?`, append(w.args, orAll(f.Limit))...)
	if err != nil {
		return nil, unavailable(err, "find requests")
	}
	defer rows.Close()
	var found []quarantine.Request
	for rows.Next() {
		var record []byte
		var version int64
		if err := rows.Scan(&record, &version); err != nil {
			return nil, unavailable(err, "find requests")
		}
		r, err := decodeRequest(record, version)
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(err, "find requests")
	}
	return found, nil
}

// PutRequest writes the request if the catalog's version of it is r.Version (zero:
// there is none yet), and returns it as it will be read back. ErrConflict if
// somebody was faster; ErrInvalid if it has no id.
func (c *Catalog) PutRequest(ctx context.Context, r quarantine.Request) (quarantine.Request, error) {
	if r.ID == "" || r.Version < 0 {
		return r, invalidf("request with id %q and version %d", r.ID, r.Version)
	}
	cut(&r.RequestedAt)
	cut(&r.ExpiresAt)
	cut(&r.DecidedAt)
	cut(&r.DoneAt)
	record, err := json.Marshal(r)
	if err != nil {
		return r, invalidf("request %s cannot be encoded: %v", r.ID, err)
	}
	stored, err := decodeRequest(record, r.Version+1)
	if err != nil {
		return r, err
	}
	err = c.writer.do(ctx, func(t *txn) error {
		args := []any{stored.Version, r.Kind, r.Subject, string(r.State), micros(r.RequestedAt), string(record), r.ID}
		query := `UPDATE requests SET version = ?, kind = ?, subject = ?, state = ?, requested_at = ?, record = ? WHERE id = ? AND version = ?`
		if r.Version == 0 {
			query = `INSERT INTO requests (version, kind, subject, state, requested_at, record, id) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`
		} else {
			args = append(args, r.Version)
		}
		n, err := t.exec(query, args...)
		if err != nil {
			return unavailable(err, "write request %s", r.ID)
		}
		if n == 0 {
			return fmt.Errorf("catalog: request %s: %w", r.ID, quarantine.ErrConflict)
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	return stored, nil
}

func decodeRequest(record []byte, version int64) (quarantine.Request, error) {
	var r quarantine.Request
	if err := json.Unmarshal(record, &r); err != nil {
		return r, unavailable(err, "decode a request's row")
	}
	r.Version = version
	return r, nil
}
