package store

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"lars.internal/route"
)

// maxWho is what the audit holds of a name, in bytes.
const maxWho = 255

// EditRoutes makes an edit in one transaction. An edit that finds everything
// as it shall be makes no new version. When the connection breaks at the commit,
// the edit is made again unless the audit shows that it was made. Where that
// cannot be seen either, the error is a *route.UnknownEditError; after any other
// error the edit was not made.
func (db *DB) EditRoutes(ctx context.Context, edit route.Edit) (route.EditResult, error) {
	return db.editRoutes(ctx, edit, extras{})
}

// extras is what an edit of this package may do beyond one of its users.
type extras struct {
	unlimited bool                                 // services may have more hosts than a frame holds
	what      string                               // in errors; "": edit routes
	also      func(context.Context, *sql.Tx) error // runs in the transaction of each try, after the edit; nil: nothing

	// instead makes a try, up to the commit, on top of a version. Nil: the changes
	// of the edit are made.
	instead func(e *editor, version uint64) (route.EditResult, error)
}

// editRoutes is EditRoutes with extras.
func (db *DB) editRoutes(ctx context.Context, edit route.Edit, extras extras) (route.EditResult, error) {
	what := cmp.Or(extras.what, "edit routes")
	if err := validate(edit); err != nil {
		return route.EditResult{}, fmt.Errorf("store: %s: %w", what, err)
	}
	timeout := db.options.commitTimeout() + db.options.QueryTimeout*time.Duration(weigh(edit)/100)
	e := &edits{db: db, edit: edit, extras: extras, mayBeMade: edit.ID != ""}
	if edit.ID == "" {
		e.edit.ID = rand.Text()
	}
	if err := db.attempt(ctx, timeout, what, e.try); err != nil {
		return route.EditResult{}, e.outcome(err)
	}
	return e.result, nil
}

// edits is one edit with all tries to make it. It is used by one goroutine.
type edits struct {
	// Immutable.
	db     *DB
	edit   route.Edit
	extras extras

	mayBeMade bool               // look into the audit before the next try
	broken    bool               // a commit broke, and its outcome was not looked up since
	committed []route.EditResult // of the tries whose commit broke
	result    route.EditResult   // of the last try
}

func (e *edits) try(ctx context.Context) error {
	tx, err := e.db.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	one := &editor{ctx: ctx, tx: tx, db: e.db, dialect: e.db.dialect, edit: e.edit, unlimited: e.extras.unlimited, now: e.db.options.Now().Unix()}
	version, err := one.lockVersion()
	if err != nil {
		return err
	}
	if e.mayBeMade {
		made, err := one.madeBefore()
		if err != nil {
			return err
		}
		e.broken = false
		if made > 0 {
			e.result = e.resultOf(made)
			return nil
		}
	}
	run := one.run
	if e.extras.instead != nil {
		run = func(version uint64) (route.EditResult, error) { return e.extras.instead(one, version) }
	}
	if e.result, err = run(version); err != nil {
		return err
	}
	if e.extras.also != nil {
		if err := e.extras.also(ctx, tx); err != nil {
			return err
		}
	}
	err = tx.Commit()
	if e.db.dialect.mayHaveCommitted(err) {
		e.mayBeMade, e.broken = true, true
		e.committed = append(e.committed, e.result)
	}
	return err
}

// resultOf returns the result of the try that made this version, or of an edit
// that somebody made earlier under the same ID.
func (e *edits) resultOf(version uint64) route.EditResult {
	for _, r := range e.committed {
		if r.Version == version {
			return r
		}
	}
	return route.EditResult{Version: version, Repeated: true}
}

// mayHaveCommitted reports whether a transaction may be through in spite of an
// error of its Commit. It is not if the database answered that it lost against
// another, or if its time was over before the commit was sent.
func (d *dialect) mayHaveCommitted(err error) bool {
	return err != nil && d.classify(err) != conflict && !errors.Is(err, sql.ErrTxDone) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// outcome adds to an error what became of the edit, where that is not plain.
func (e *edits) outcome(err error) error {
	switch {
	case e.broken:
		return &route.UnknownEditError{ID: e.edit.ID, Err: err}
	case e.db.dialect.classify(err) == lost, e.db.dialect.classify(err) == conflict, errors.Is(err, context.Canceled),
		errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w; the edit was not made", err)
	}
	return err
}

// validate refuses what no edit can mean.
func validate(edit route.Edit) error {
	if len(edit.Who) < 1 || len(edit.Who) > maxWho {
		return fmt.Errorf("who: want 1 to %d bytes for the audit, got %d", maxWho, len(edit.Who))
	}
	if len(edit.ID) > route.MaxEditID {
		return fmt.Errorf("id: want at most %d bytes, got %d", route.MaxEditID, len(edit.ID))
	}
	for _, c := range edit.Changes {
		if err := validateChange(c); err != nil {
			return fmt.Errorf("service %v: %w", c.Key, err)
		}
	}
	return nil
}

func validateChange(c route.Change) error {
	switch {
	case c.Action < route.Add || c.Action > route.Unconfigure:
		return fmt.Errorf("%v is none of add, set and remove, and of the later ones", c.Action)
	case c.Everywhere && c.Action != route.Drain && c.Action != route.Undrain:
		return fmt.Errorf("%v is not done everywhere, but drain and undrain are", c.Action)
	}
	for _, h := range c.Hosts {
		if c.Everywhere && h.IP != 0 && h.Port == 0 {
			continue
		}
		if _, err := route.NewHost(h.IP, int64(h.Port)); err != nil {
			return err
		}
	}
	for _, s := range c.Settings {
		if err := s.Check(); err != nil {
			return err
		}
	}
	return c.Attributes.Check()
}

// weigh returns about how many services an edit touches.
func weigh(edit route.Edit) int {
	const everywhere = 1000
	n := len(edit.Changes)
	for _, c := range edit.Changes {
		if c.Everywhere {
			n += everywhere
		}
	}
	return n
}
