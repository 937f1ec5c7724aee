package fault

import (
	"context"
	"errors"
	"fmt"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/fault/sqlitefile"
	"chaosgate/pkg/target"
)

// database is a SQLite file as another process than the service meets it.
type database interface {
	// place is where the file is, as the instance finds it.
	place(context.Context) (string, error)
	// lockable and editable say why a fault cannot be; target.ErrGone if there is no such file.
	lockable(context.Context) error
	editable(context.Context) error
	// locked says whether somebody holds a lock, be it the service itself for a moment.
	locked(context.Context) (bool, error)
	// try does what its edit takes away, or without an edit tries to write and takes that back: agent.Succeeded, or why not. The error is for what could not be tried.
	try(context.Context) (agent.Outcome, string, error)
	edit(context.Context) error
	undo(context.Context) error // takes the edit back; idempotent
	// undone is what try is, of whether the edit is undone; after undo.
	undone(context.Context) (agent.Outcome, string, error)
	close(context.Context) error
	id() string // of the helper that reaches it; empty if there is none
}

// purpose is what a database is reached for: a lock, or an edit of all its tables or one.
type purpose struct {
	mode  sqlitefile.Mode
	edit  sqlitefile.Edit
	table string
}

// openDatabase reaches the database of an instance: by its file, or by a helper inside of the instance.
func openDatabase(ctx context.Context, rt target.Runtime, t target.Target, d target.Database, p purpose) (database, error) {
	if !d.Inside {
		return fileDatabase{path: d.Path, purpose: p}, nil
	}
	hoster, err := able[target.Hoster](rt, target.CanHost)
	if err != nil {
		return nil, err
	}
	i := &insideDatabase{hoster: hoster, on: t, config: agent.SQLiteConfig{Path: d.Path, Mode: p.mode, Edit: p.edit, Table: p.table}}
	return i, i.enter(ctx)
}

// mayBeHit is an error unless all who have the file of a database may be hit: it may lie where others have it as well.
func mayBeHit(ctx context.Context, rt target.Runtime, t target.Target, db database) error {
	dbs, err := able[target.Databaser](rt, target.CanDatabase)
	if err != nil {
		return err
	}
	at, err := db.place(ctx)
	if err != nil {
		return err
	}
	return dbs.MayHitDatabase(ctx, t, at)
}

// fileDatabase is one whose file this process can reach.
type fileDatabase struct {
	path string
	purpose
}

func (d fileDatabase) place(context.Context) (string, error) { return d.path, nil }

func (d fileDatabase) lockable(ctx context.Context) error {
	return sqlitefile.CheckLockable(ctx, d.path, d.mode)
}
func (d fileDatabase) editable(ctx context.Context) error {
	return d.purpose.edit.Check(ctx, d.path, d.table)
}
func (d fileDatabase) locked(ctx context.Context) (bool, error) {
	return sqlitefile.Locked(ctx, d.path, d.mode)
}

func (d fileDatabase) try(ctx context.Context) (agent.Outcome, string, error) {
	return cameOf(d.attempt(ctx))
}

// cameOf tells what came of an attempt that could be made.
func cameOf(err error) (agent.Outcome, string, error) {
	if err == nil {
		return agent.Succeeded, "", nil
	}
	return agent.OutcomeOf(err), err.Error(), nil
}

func (d fileDatabase) attempt(ctx context.Context) error {
	if d.purpose.edit != "" {
		return d.purpose.edit.Try(ctx, d.path, d.table)
	}
	return sqlitefile.TryWrite(ctx, d.path)
}

func (d fileDatabase) edit(ctx context.Context) error {
	return d.purpose.edit.Make(ctx, d.path, d.table)
}

func (d fileDatabase) undo(ctx context.Context) error {
	return d.purpose.edit.Undo(ctx, d.path, d.table)
}

func (d fileDatabase) undone(ctx context.Context) (agent.Outcome, string, error) {
	return cameOf(d.purpose.edit.Undone(ctx, d.path, d.table))
}

func (d fileDatabase) close(context.Context) error { return nil }
func (d fileDatabase) id() string                  { return "" }

// insideDatabase is one that only a helper inside of the instance can reach. An instance that is started anew has lost its helper; another one is started when it is
// asked next.
type insideDatabase struct {
	hoster target.Hoster
	on     target.Target
	config agent.SQLiteConfig
	helper target.Helper
}

func (d *insideDatabase) enter(ctx context.Context) error {
	h, err := d.hoster.Host(ctx, d.on, agent.SQLiteJob, d.config)
	if err != nil {
		return fmt.Errorf("reach its database: %w", err)
	}
	d.helper = h
	return nil
}

// ask sends a command to the helper.
func (d *insideDatabase) ask(ctx context.Context, command string) (agent.SQLiteStatus, error) {
	if d.helper == nil {
		if err := d.enter(ctx); err != nil {
			return agent.SQLiteStatus{}, err
		}
	}
	now, err := answerOf[agent.SQLiteStatus](ctx, d.helper, command)
	if !errors.Is(err, agent.ErrEnded) {
		return now, err
	}
	ended := d.close(ctx)
	if err := d.enter(ctx); err != nil {
		return agent.SQLiteStatus{}, errors.Join(err, ended)
	}
	return answerOf[agent.SQLiteStatus](ctx, d.helper, command)
}

func (d *insideDatabase) place(ctx context.Context) (string, error) {
	now, err := d.ask(ctx, agent.Status)
	if err == nil && now.At == "" {
		err = problem(now, "where its database is cannot be seen: "+now.Text)
	}
	return now.At, err
}

func (d *insideDatabase) lockable(ctx context.Context) error {
	now, err := d.ask(ctx, agent.Status)
	return errors.Join(err, problem(now, now.Lockable))
}

func (d *insideDatabase) editable(ctx context.Context) error {
	now, err := d.ask(ctx, agent.Status)
	return errors.Join(err, problem(now, now.Editable))
}

// problem is what a helper says that stands in the way.
func problem(now agent.SQLiteStatus, text string) error {
	switch {
	case text == "":
		return nil
	case now.Met == agent.Gone:
		return fmt.Errorf("%s: %w", text, target.ErrGone)
	}
	return errors.New(text)
}

func (d *insideDatabase) locked(ctx context.Context) (bool, error) {
	now, err := d.ask(ctx, agent.Status)
	if err == nil && now.Met == agent.Gone {
		err = fmt.Errorf("%s: %w", now.Text, target.ErrGone)
	}
	return now.Locked, err
}

func (d *insideDatabase) try(ctx context.Context) (agent.Outcome, string, error) {
	now, err := d.ask(ctx, agent.Status)
	return now.Met, now.Text, err
}

func (d *insideDatabase) edit(ctx context.Context) error {
	_, err := d.ask(ctx, agent.Inject)
	return err
}

// undo ends its own helper, which takes back what it has edited, and has another one do it: the helper of before may have been lost.
func (d *insideDatabase) undo(ctx context.Context) error {
	d.config.Undo = true
	if err := d.close(ctx); err != nil {
		return err
	}
	_, err := d.ask(ctx, agent.Inject)
	return err
}

// undone asks a helper that is there for the undo, as undo has left one.
func (d *insideDatabase) undone(ctx context.Context) (agent.Outcome, string, error) {
	return d.try(ctx)
}

func (d *insideDatabase) close(ctx context.Context) error {
	if d.helper == nil {
		return nil
	}
	h := d.helper
	d.helper = nil
	if err := h.Close(ctx); err != nil && !errors.Is(err, agent.ErrEnded) {
		return err
	}
	return nil
}

func (d *insideDatabase) id() string {
	if d.helper == nil {
		return ""
	}
	return d.helper.ID()
}

// databaseUndo is enough to reach a database from a fresh process.
type databaseUndo struct {
	Path   string `json:"path,omitempty"`
	Inside bool   `json:"inside,omitempty"` // of the instance: a helper must reach it
	Looker string `json:"looker,omitempty"` // that helper, by its ID
	Table  string `json:"table,omitempty"`  // whose edit is to be taken back; empty: of all
}

// reopen reaches the database of an undo, when the helper that did so before is no longer at work.
func (u databaseUndo) reopen(ctx context.Context, rt target.Runtime, ref target.Ref, p purpose) (database, error) {
	t := target.Target{Ref: ref}
	if u.Inside && u.Looker != "" {
		if err := endHelper(ctx, rt, helperUndo{Helper: u.Looker}, ref); err != nil {
			return nil, err
		}
	}
	return openDatabase(ctx, rt, t, target.Database{Path: u.Path, Inside: u.Inside}, p)
}
