package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"chaosgate/pkg/agent"
)

// What may be open in the directory from before.
const (
	openNone = "none"
	openAny  = "any"
)

// readonlyUndo is enough to take off what is mounted, from a fresh process.
type readonlyUndo struct {
	agent.ReadOnlyMark
	Started time.Time `json:"started"` // of the instance: one that was started again has lost what was mounted
	Writer  string    `json:"writer"`  // the helper that tries to write, by its ID
}

// closeLimit is how long what was open for writing may take to be closed: a service that is at work has some file open at any moment, but not the same.
const closeLimit = 2 * time.Second

// whole says whether nobody can go on writing in the directory, or whether that is no matter.
func (d *diskReadonly) whole() bool {
	return d.open == openAny || d.seen.Writing.Count+d.seen.Working.Count+d.seen.Hidden.Count == 0
}

// readOnly is the effect while a write meets EROFS: who does not meet it is told.
func (d *diskReadonly) readOnly(ctx context.Context) (Effect, error) {
	if _, err := d.mounted(ctx); err != nil && !errors.Is(err, agent.ErrEnded) { // what is mounted outlives who has mounted it
		return Effect{}, err
	}
	e := Effect{Proven: d.whole(), Summary: fmt.Sprintf("%s: %s is read-only: a write of its own user meets EROFS", d.Instance, d.path)}
	writing, working, hidden := d.seen.Writing, d.seen.Working, d.seen.Hidden
	e.Readings = map[string]float64{"files_open_before": float64(writing.Count), "processes_there_before": float64(working.Count)}
	if writing.Count > 0 {
		e.Summary += fmt.Sprintf("; open there for writing from before, and not met, %s", namely(writing, "file"))
	}
	if working.Count > 0 {
		e.Summary += fmt.Sprintf("; with their working directory there from before, and not met by what they open by a relative name, %s", namely(working, "process"))
	}
	if hidden.Count > 0 {
		e.Summary += fmt.Sprintf("; not to be seen into %s", namely(hidden, "process"))
	}
	if !e.Proven {
		e.Summary += ". So the service may not meet it: if it opens or makes other files there by their names, say `open: any`"
	}
	return e, nil
}

// namely counts uses and names some: "2 files (/data/a, /data/b)".
func namely(u agent.Uses, what string) string {
	names := strings.Join(u.Names, ", ")
	if u.Count > len(u.Names) {
		names += ", ..."
	}
	if what == "process" && u.Count != 1 {
		what = "processe"
	}
	return fmt.Sprintf("%s (%s)", count(u.Count, what), names)
}
