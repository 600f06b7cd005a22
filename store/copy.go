package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// ErrNotEmpty means that a database holds something, where an empty one is wanted.
var ErrNotEmpty = errors.New("the database is not empty")

// maxText is from how many bytes of text on a statement gets no more rows. Escaped
// and with one more row it stays below 4 MB, the smallest max_allowed_packet that a
// server in use has by default.
const maxText = 1 << 20

// copyTable is a table that Copy copies, all of its rows.
type copyTable struct {
	name    string
	order   string // the primary key
	columns []string
}

var copyTables = []copyTable{
	{"RouteData", "id", []string{"id", "modid", "cmdid", "serverip", "serverport"}},
	{"RouteHost", "modid, cmdid, serverip, serverport",
		[]string{"modid", "cmdid", "serverip", "serverport", "weight", "drained", "zone", "note"}},
	{"ServiceSetting", "modid, cmdid, name", []string{"modid", "cmdid", "name", "value"}},
	{"RouteChange", "id", []string{"id", "modid", "cmdid", "version"}},
	{"RouteAudit", "id", []string{"id", "time", "version", "previous", "modid", "cmdid", "who", "action", "details", "edit_id"}},
	{"ServerCallStatus", "modid, cmdid, ip, port, caller",
		[]string{"modid", "cmdid", "ip", "port", "caller", "succ_cnt", "err_cnt", "ts", "overload"}},
	{"ModIDConfig", "id", []string{"id", "modid", "content"}},
	{"CmdIDConfig", "id", []string{"id", "cmdid", "content"}},
}

// textColumns are the columns that hold text; the others hold integers.
var textColumns = []string{"who", "action", "details", "edit_id", "overload", "content", "zone", "note", "name", "value"}

// Copied says what a Copy has copied.
type Copied struct {
	Version uint64 // of the routes
	Tables  []CopiedTable
}

// CopiedTable says how many rows of a table were copied.
type CopiedTable struct {
	Name string
	Rows uint64
}

// Rows returns how many rows of a table were copied.
func (c Copied) Rows(table string) uint64 {
	for _, t := range c.Tables {
		if t.Name == table {
			return t.Rows
		}
	}
	return 0
}

// Copy copies routes, their version and history, audit, names and statistics
// from one database into another, of any kind each. It reads one state of the
// first, while programs go on using it. The second has to have its tables and to
// be empty, else the error is ErrNotEmpty; it gets everything in one
// transaction, which ends only if what it holds then is what was read. An error
// says that nothing was copied, or that it is not known. ctx alone bounds it:
// 100,000 rows take 2 to 4 s.
func Copy(ctx context.Context, from, to *DB) (Copied, error) {
	c, err := copyAll(ctx, from, to)
	if err != nil {
		return Copied{}, fmt.Errorf("store: copy %s to %s: %w", from, to, err)
	}
	return c, nil
}

func copyAll(ctx context.Context, from, to *DB) (Copied, error) {
	for _, db := range []*DB{from, to} {
		if err := db.CheckSchema(ctx, ForAll); err != nil {
			return Copied{}, err
		}
		if err := db.checkIntegrity(ctx); err != nil {
			return Copied{}, err
		}
	}
	source, closeSource, err := from.beginLong(ctx, &from.dialect.read)
	if err != nil {
		return Copied{}, from.explain(err)
	}
	defer closeSource()
	target, closeTarget, err := to.beginLong(ctx, nil)
	if err != nil {
		return Copied{}, to.explain(err)
	}
	defer closeTarget()
	j := &copying{ctx: ctx, source: source, target: target, lockRows: to.dialect.lockRows}
	c, err := j.run()
	if err != nil {
		return Copied{}, err
	}
	return c, to.copied(target.Commit())
}

// copied says of an error of the commit of a copy what became of it.
func (db *DB) copied(err error) error {
	switch {
	case err == nil:
		return nil
	case db.dialect.mayHaveCommitted(err):
		return fmt.Errorf("%w; it is not known whether it was copied: copy it again, which is refused if it was", db.explain(err))
	}
	return fmt.Errorf("%w; nothing was copied", db.explain(err))
}

// beginLong begins a transaction that nothing but ctx bounds, on a connection of
// its own. end rolls back what was not committed.
func (db *DB) beginLong(ctx context.Context, options *sql.TxOptions) (tx *sql.Tx, end func(), err error) {
	pool, _, err := openPool(db.source, db.options, migrateLockWait, 0)
	if err != nil {
		return nil, nil, err
	}
	if tx, err = pool.BeginTx(ctx, options); err != nil {
		pool.Close()
		return nil, nil, err
	}
	return tx, func() { tx.Rollback(); pool.Close() }, nil
}

// copying is one run of Copy. It is used by one goroutine.
type copying struct {
	// Immutable.
	ctx            context.Context // of both transactions
	source, target *sql.Tx
	lockRows       string // of the target
}

func (j *copying) run() (Copied, error) {
	if err := j.checkEmpty(); err != nil {
		return Copied{}, err
	}
	version, err := scanVersion(j.source.QueryRowContext(j.ctx, selectVersion))
	if err != nil {
		return Copied{}, err
	}
	c := Copied{Version: version}
	for _, t := range copyTables {
		rows, err := j.copy(t)
		if err != nil {
			return Copied{}, fmt.Errorf("table %s: %w; nothing was copied", t.name, err)
		}
		c.Tables = append(c.Tables, CopiedTable{t.name, rows})
	}
	_, err = j.target.ExecContext(j.ctx, `UPDATE RouteVersion SET version = ? WHERE id = 1`, version)
	return c, err
}

// checkEmpty locks the target's version, so that it stays empty.
func (j *copying) checkEmpty() error {
	version, err := scanVersion(j.target.QueryRowContext(j.ctx, selectVersion+j.lockRows))
	if err != nil {
		return err
	}
	if version != 0 {
		return fmt.Errorf("%w: its routes have version %d", ErrNotEmpty, version)
	}
	for _, t := range copyTables {
		var rows int64
		if err := j.target.QueryRowContext(j.ctx, `SELECT COUNT(*) FROM `+t.name).Scan(&rows); err != nil {
			return err
		}
		if rows > 0 {
			return fmt.Errorf("%w: %s has %d rows", ErrNotEmpty, t.name, rows)
		}
	}
	return nil
}

// copy copies one table and compares the two.
func (j *copying) copy(t copyTable) (rows uint64, err error) {
	var batch []any
	size := 0 // bytes of text in batch
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		size = 0
		n := len(t.columns)
		_, err := j.target.ExecContext(j.ctx, `INSERT INTO `+t.name+` (`+strings.Join(t.columns, ", ")+`) VALUES `+
			tuples(len(batch)/n, n), batch...)
		batch = batch[:0]
		return err
	}
	read, err := t.each(j.ctx, j.source, func(row []any) error {
		batch, size = append(batch, row...), size+textSize(row)
		if len(batch) < maxRows*len(t.columns) && size < maxText {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return 0, err
	}
	written, err := t.each(j.ctx, j.target, func([]any) error { return nil })
	if err == nil && read != written {
		err = fmt.Errorf("what was written is not what was read: %d rows with sum %x, now %d with sum %x",
			read.rows, read.sum, written.rows, written.sum)
	}
	return read.rows, err
}

// textSize returns how many bytes of text a row holds.
func textSize(row []any) int {
	size := 0
	for _, value := range row {
		if text, ok := value.(string); ok {
			size += len(text)
		}
	}
	return size
}

// contents sums up the rows of a table.
type contents struct {
	rows, sum uint64
}

// each calls f with the values of each row, in the order of the primary key.
func (t *copyTable) each(ctx context.Context, from *sql.Tx, f func(row []any) error) (contents, error) {
	var c contents
	rows, err := from.QueryContext(ctx, `SELECT `+strings.Join(t.columns, ", ")+` FROM `+t.name+` ORDER BY `+t.order)
	if err != nil {
		return c, err
	}
	defer rows.Close()
	sum := fnv.New64a()
	for rows.Next() {
		into, values := t.cells()
		if err := rows.Scan(into...); err != nil {
			return c, err
		}
		row := values()
		fmt.Fprintf(sum, "%q\n", row)
		c.rows++
		if err := f(row); err != nil {
			return c, err
		}
	}
	c.sum = sum.Sum64()
	return c, rows.Err()
}

// cells returns what a row is read into, and what was read. A CHAR of MySQL has
// no blanks at its end, so text has none.
func (t *copyTable) cells() (into []any, values func() []any) {
	for _, name := range t.columns {
		if slices.Contains(textColumns, name) {
			into = append(into, new(string))
		} else {
			into = append(into, new(int64))
		}
	}
	return into, func() []any {
		row := make([]any, len(into))
		for i, cell := range into {
			switch v := cell.(type) {
			case *string:
				row[i] = strings.TrimRight(*v, " ")
			case *int64:
				row[i] = *v
			}
		}
		return row
	}
}
