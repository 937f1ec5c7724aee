package journal

import (
	"path/filepath"
	"strings"
	"testing"

	"chaosgate/pkg/internal/testkit"
	"chaosgate/pkg/mask"
	"chaosgate/pkg/target"
)

// Secrets are in no event. An undo with one is refused, and the change that it would take back is not made.
func TestSecretsAreNotRecorded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.jsonl")
	var seen []Event
	w, err := Create(path, func(e Event) { seen = append(seen, e) })
	testkit.Must(t, err)
	secrets := &mask.Set{}
	secrets.Add(`s3"cret`)
	w.Hide(secrets)
	testkit.Must(t, w.Append(Entry{Type: RunStarted, Data: RunInfo{FormatVersion: FormatVersion}}))
	testkit.Must(t, w.Append(Entry{Type: FindingNoted, Data: Finding{Message: `it said s3"cret`}}))
	testkit.WantError(t, w.RecordUndo("x", "", target.Undo{ID: "1", Manual: `rm s3"cret`}), "has a secret in it")
	testkit.Must(t, w.RecordUndo("x", "", target.Undo{ID: "2", Manual: "rm file"}))
	testkit.Must(t, w.Close())
	events, err := ReadFile(path)
	testkit.Must(t, err)
	if len(events) != 3 || len(seen) != 3 || events[2].Seq != 3 {
		t.Fatalf("got %v", events)
	}
	for _, e := range append(events, seen...) {
		if strings.Contains(string(e.Data), "cret") {
			t.Errorf("got %s", e.Data)
		}
	}
}
