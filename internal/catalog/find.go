package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"quarantine/internal/quarantine"
)

// FindDisks returns the disks that the filter selects, in its order. A disk
// without the date is not selected by RetainBefore or ExpiringBefore.
// ErrInvalid for an unknown Sort, or a negative Limit or Offset.
func (c *Catalog) FindDisks(ctx context.Context, f quarantine.DiskFilter) ([]quarantine.Disk, error) {
	query, args, err := findQuery(f)
	if err != nil {
		return nil, err
	}
	return c.readDisks(ctx, query, args...)
}

// readDisks reads the disks that a query selects.
func (c *Catalog) readDisks(ctx context.Context, query string, args ...any) ([]quarantine.Disk, error) {
	rows, err := c.readDB.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, unavailable(err, "find disks")
	}
	defer rows.Close()
	var disks []quarantine.Disk
	var read []kept
	for rows.Next() {
		var r kept
		if err := rows.Scan(&r.record, &r.version, &r.stale); err != nil {
			return nil, unavailable(err, "find disks")
		}
		if read = append(read, r); len(read) == maxRead {
			if disks, err = decodeDisks(disks, read); err != nil {
				return nil, err
			}
			read = read[:0]
		}
	}
	if err := rows.Err(); err != nil {
		return nil, unavailable(err, "find disks")
	}
	return decodeDisks(disks, read)
}

// CountDisks counts the disks that the filter selects, up to atMost (0: all of
// them, which takes seconds where there are millions); the filter's order and
// page do not matter.
func (c *Catalog) CountDisks(ctx context.Context, f quarantine.DiskFilter, atMost int) (int64, error) {
	query, args := countQuery(f, atMost)
	var n int64
	if err := c.readDB.QueryRowContext(ctx, query, args...).Scan(&n); err != nil {
		return 0, unavailable(err, "count disks")
	}
	return n, nil
}

func countQuery(f quarantine.DiskFilter, atMost int) (string, []any) {
	from, w := source(f)
	return `SELECT count(*) FROM (SELECT 1 FROM ` + from + w.String() + ` LIMIT ?)`, append(w.args, orAll(atMost))
}

// sortColumn is the column that the filter's Sort names.
func sortColumn(sort string) (string, error) {
	switch sort {
	case "":
		return "deleted_at", nil
	case "user":
		return "user_label", nil
	case "deleted_at", "quarantined_at", "retain_until", "size_bytes", "original_name", "resource_name", "project", "state":
		return sort, nil
	}
	return "", invalidf("disks cannot be sorted by %q", sort)
}

// findQuery makes the query and its arguments. A page of the disks of several
// states is merged from the lists of each, because SQLite would read and sort
// all of them to find the first few.
func findQuery(f quarantine.DiskFilter) (string, []any, error) {
	column, err := sortColumn(f.Sort)
	if err != nil {
		return "", nil, err
	}
	if f.Limit < 0 || f.Offset < 0 {
		return "", nil, invalidf("a page of %d disks from %d on", f.Limit, f.Offset)
	}
	direction := ""
	if f.Desc {
		direction = " DESC"
	}
	order := fmt.Sprintf(` ORDER BY %s%s, id%s`, column, direction, direction)
	if _, byTerm := drivingTerm(f); byTerm && column == "deleted_at" {
		return byTermQuery(f, direction)
	}
	if f.Limit > 0 && len(f.States) > 1 && !narrow(f) {
		return mergedQuery(f, column, order)
	}
	var w where
	w.filter(f)
	query, args := page(`SELECT record, version, record_stale FROM disks`+w.String()+order, w.args, f)
	return query, args, nil
}

// byTermQuery reads a page of the disks with a term in the order of their deaths:
// a project can have a hundred thousand, and only those of the page are read.
func byTermQuery(f quarantine.DiskFilter, direction string) (string, []any, error) {
	t, _ := drivingTerm(f)
	w := t.where(f)
	query, args := page(`SELECT record, version, record_stale FROM disk_terms CROSS JOIN disks ON id = disk_id`+w.String()+
		fmt.Sprintf(` ORDER BY died%[1]s, disk_id%[1]s`, direction), w.args, f)
	return query, args, nil
}

// source is where the disks that the filter selects are counted, and the
// conditions: the terms alone, where the filter asks for one and nothing else.
func source(f quarantine.DiskFilter) (string, where) {
	t, ok := drivingTerm(f)
	if !ok {
		var w where
		w.filter(f)
		return `disks`, w
	}
	w := t.where(f)
	if w.rows {
		return `disk_terms CROSS JOIN disks ON id = disk_id`, w
	}
	return `disk_terms`, w
}

// drivingTerm is the term that the disks are found by: of those that the filter
// asks for the one that the fewest have, as a rule.
func drivingTerm(f quarantine.DiskFilter) (term, bool) {
	for _, t := range []term{{termCase, f.CaseID}, {termVM, f.VM}, {termAddress, canonicalAddress(f.Address)}, {termUser, f.User}, {termProject, f.Project}} {
		if t.value != "" {
			return t, true
		}
	}
	return term{}, false
}

// where is the filter over disk_terms joined with disks, beginning with the term.
func (t term) where(f quarantine.DiskFilter) where {
	var w where
	w.and(`kind = ? AND value = ?`, t.kind, t.value)
	if !f.DeletedFrom.IsZero() {
		w.and("died >= ?", microsUp(f.DeletedFrom))
	}
	if !f.DeletedTo.IsZero() {
		w.and("died < ?", microsUp(f.DeletedTo))
	}
	n := len(w.terms)
	rest := f
	rest.DeletedFrom, rest.DeletedTo = time.Time{}, time.Time{}
	for kind, field := range map[string]*string{termCase: &rest.CaseID, termVM: &rest.VM, termAddress: &rest.Address, termUser: &rest.User, termProject: &rest.Project} {
		if kind == t.kind {
			*field = ""
		}
	}
	w.filter(rest)
	w.rows = len(w.terms) > n
	return w
}

func page(query string, args []any, f quarantine.DiskFilter) (string, []any) {
	if f.Limit == 0 && f.Offset == 0 {
		return query, args
	}
	return query + ` LIMIT ? OFFSET ?`, append(args, orAll(f.Limit), f.Offset)
}

// orAll is a page's size for SQLite, to which 0 would mean nothing.
func orAll(limit int) int64 {
	if limit == 0 {
		return 1<<63 - 1
	}
	return int64(limit)
}

// mergedQuery merges a page of the disks of several states from the list of
// each: in one list of them all SQLite would read and sort every disk of these
// states to find the first few.
func mergedQuery(f quarantine.DiskFilter, column, order string) (string, []any, error) {
	states := slices.Clone(f.States)
	slices.Sort(states)
	var arms []string
	var args []any
	for _, s := range slices.Compact(states) { // one named twice is listed once
		one := f
		one.States = []quarantine.State{s}
		var w where
		w.filter(one)
		arms = append(arms, `SELECT record, version, record_stale, `+column+`, id FROM disks`+w.String())
		args = append(args, w.args...)
	}
	merged, args := page(strings.Join(arms, ` UNION ALL `)+order, args, f)
	return `SELECT record, version, record_stale FROM (` + merged + `)` + order, args, nil
}

// narrow reports whether the filter asks for what few disks have, by which
// they are then found, and everything else is looked at in their rows only.
func narrow(f quarantine.DiskFilter) bool {
	return f.SealBroken || f.Address != "" || f.VM != "" || f.CaseID != "" || f.User != "" || f.Project != "" ||
		f.Seal != nil || len(f.OriginalNames) > 0 || f.NamePrefix != "" || f.IDPrefix != ""
}

// where gathers conditions and their arguments.
type where struct {
	terms []string
	args  []any
	rows  bool // of term.where: it has conditions on disks
}

func (w *where) and(term string, args ...any) {
	w.terms = append(w.terms, term)
	w.args = append(w.args, args...)
}

func (w *where) String() string {
	if len(w.terms) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.terms, " AND ")
}

func (w *where) in(column string, values []string) {
	if len(values) == 0 {
		return
	}
	args := make([]any, len(values))
	for i, v := range values {
		args[i] = v
	}
	w.and(column+` IN (`+marks(len(values))+`)`, args...)
}

// hasTerm selects the disks with the term; an empty value selects all.
func (w *where) hasTerm(kind, value string) {
	if value != "" {
		w.and(`id IN (SELECT disk_id FROM disk_terms WHERE kind = ? AND value = ?)`, kind, value)
	}
}

// flag writes the value into the query, because an index over part of the
// table is used only when the query says so itself.
func (w *where) flag(column string, want *bool) {
	if want != nil {
		w.and(fmt.Sprintf("%s = %d", column, bit(*want)))
	}
}

func (w *where) filter(f quarantine.DiskFilter) {
	states := make([]string, len(f.States))
	for i, s := range f.States {
		states[i] = string(s)
	}
	// SQLite does not know how many disks a value selects, and would prefer the
	// index of a state that nearly all are in to that of one address. The plus
	// sign keeps it from using a column's indexes.
	plus := ""
	if narrow(f) {
		plus = "+"
	}
	w.in(plus+"state", states)
	if p := f.Pool; p != nil {
		w.and(fmt.Sprintf("%[1]sfsid = ? AND %[1]spool = ? AND %[1]snamespace = ?", plus), p.FSID, p.Pool, p.Namespace)
	}
	w.in("original_name", f.OriginalNames)
	w.namePrefix(f.NamePrefix)
	if f.Cloud != "" {
		w.and(plus+"cloud = ?", f.Cloud)
	}
	w.hasTerm(termProject, f.Project)
	w.hasTerm(termUser, f.User)
	w.hasTerm(termVM, f.VM)
	w.hasTerm(termCase, f.CaseID)
	if f.Address != "" {
		w.hasTerm(termAddress, canonicalAddress(f.Address))
	}
	if g := f.Group; g != nil {
		// Written so, because the indexes are over the explained disks only.
		w.and(`explained = 1 AND cloud = ? AND project_id = ?`, g.Cloud, g.ProjectID)
		if g.Resource != "" {
			w.and("resource_name = ?", g.Resource)
		}
	}
	w.flag("held", f.Held)
	w.flag("isolate", f.Isolate)
	w.flag("sealed", f.Sealed)
	if f.Unexplained {
		w.and("explained = 0")
	}
	if f.HoldsUnchecked {
		w.and("unchecked = 1")
	}
	if f.RecordStale {
		w.and("record_stale = 1")
	}
	if f.Unmeasured {
		w.and("used_bytes = -1")
	}
	if f.SealBroken {
		w.and("seal_broken = 1")
	}
	if s := f.Seal; s != nil {
		// The second condition lets the index over part of the table be used.
		w.and("seal_id = ? AND seal_id > 0 AND +fsid = ?", int64(s.ID), s.FSID)
	}
	w.times(f)
	if f.IDPrefix != "" {
		w.and("id >= ? AND id < ?", f.IDPrefix, f.IDPrefix+lastRune)
	}
}

func (w *where) times(f quarantine.DiskFilter) {
	if !f.DeletedFrom.IsZero() {
		w.and("deleted_at >= ?", microsUp(f.DeletedFrom))
	}
	if !f.DeletedTo.IsZero() {
		w.and("deleted_at < ?", microsUp(f.DeletedTo))
	}
	var never = micros(zeroTime())
	if !f.RetainBefore.IsZero() {
		w.and("retain_until > ? AND retain_until <= ?", never, micros(f.RetainBefore))
	}
	if !f.ExpiringBefore.IsZero() {
		w.and("expiring_at > ? AND expiring_at <= ?", never, micros(f.ExpiringBefore))
	}
}

// microsUp rounds a time between two microseconds up: what is kept is on whole
// ones, and the last of them before the time is not at or after it.
func microsUp(t time.Time) int64 {
	if t.Nanosecond()%1000 != 0 {
		return micros(t) + 1
	}
	return micros(t)
}

// lastRune sorts after every other character, so that prefix+lastRune ends the
// range of what begins with the prefix.
const lastRune = "\U0010FFFF"

// namePrefix selects the names that are the prefix, or go on after it with one
// of "_.-@". Each is a range of the index: '.' comes next after '-', so one
// range has both.
func (w *where) namePrefix(p string) {
	if p == "" {
		return
	}
	w.and(`(original_name = ? OR original_name >= ? AND original_name < ? OR original_name >= ? AND original_name < ? OR original_name >= ? AND original_name < ?)`,
		p, p+"-", p+"/", p+"@", p+"A", p+"_", p+"`")
}
