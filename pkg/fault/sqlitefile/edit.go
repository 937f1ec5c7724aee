package sqlitefile

import (
	"context"
	"fmt"
)

// Edit is a change to a database that every process meets. That it was made stands in the file itself, so that any process can take it back.
type Edit string

// The edits.
const (
	EditReadOnly Edit = "read-only" // nobody can write
	EditCorrupt  Edit = "corrupt"   // tables are damaged
)

// editing is what makes an edit one. Table is the one that is meant, and empty for all; it means nothing to some.
type editing struct {
	check func(ctx context.Context, path, table string) error // says why it cannot be made
	make  func(ctx context.Context, path, table string) error
	try   func(ctx context.Context, path, table string) error // what a service meets that needs what it takes away
	undo  func(ctx context.Context, path, table string) error // idempotent
	// undone says what there is of it still, or how a service would notice; it changes nothing and waits for no lock.
	undone func(ctx context.Context, path, table string) error
}

// edits is all there are: a new one is a file and a row.
var edits = map[Edit]editing{
	EditReadOnly: {check: ofFile(CheckMarkable), make: ofFile(MarkReadOnly), try: ofFile(TryWrite), undo: ofFile(ClearReadOnly), undone: ofFile(TryWrite)},
	EditCorrupt:  {check: CheckCorruptible, make: Corrupt, try: TryTables, undo: Repair, undone: CheckRepaired},
}

func ofFile(f func(ctx context.Context, path string) error) func(ctx context.Context, path, table string) error {
	return func(ctx context.Context, path, _ string) error { return f(ctx, path) }
}

func (e Edit) known() (editing, error) {
	k, ok := edits[e]
	if !ok {
		return k, fmt.Errorf("edit is %q, expected %s or %s", string(e), EditReadOnly, EditCorrupt)
	}
	return k, nil
}

// Known is an error for what is no edit.
func (e Edit) Known() error {
	_, err := e.known()
	return err
}

// Check says why the edit cannot be made.
func (e Edit) Check(ctx context.Context, path, table string) error {
	k, err := e.known()
	if err != nil {
		return err
	}
	return k.check(ctx, path, table)
}

// Make makes the edit as soon as the database is free for it, at the latest when ctx ends; after an error nothing has changed.
func (e Edit) Make(ctx context.Context, path, table string) error {
	k, err := e.known()
	if err != nil {
		return err
	}
	return k.make(ctx, path, table)
}

// Try says what a service meets now that needs what the edit takes away. It waits for no lock.
func (e Edit) Try(ctx context.Context, path, table string) error {
	k, err := e.known()
	if err != nil {
		return err
	}
	return k.try(ctx, path, table)
}

// Undo takes the edit of a table back, or with table empty of all of them, whoever made it. It is idempotent, and safe if it was never made.
func (e Edit) Undo(ctx context.Context, path, table string) error {
	k, err := e.known()
	if err != nil {
		return err
	}
	return k.undo(ctx, path, table)
}

// Undone says why the edit is not to be taken for undone. A file that has been begun anew since may lack what was edited, and has no edit then. It waits for no lock.
func (e Edit) Undone(ctx context.Context, path, table string) error {
	k, err := e.known()
	if err != nil {
		return err
	}
	return k.undone(ctx, path, table)
}
