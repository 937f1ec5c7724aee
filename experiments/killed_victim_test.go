package experiments

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/proc"
)

const (
	// killedMark is a variable that the runner, its guard and its helpers inherit; services carry the mark of their environment.
	killedMark = "CHAOS_TEST_KILLED"
	// patience is how long something may take that takes seconds at most on a machine that is not busy.
	patience = time.Minute
)

// victim is a run that is to be killed. Everything that it leaves on disk is below its own folder, but for cgroups and the copies of its programs.
type victim struct {
	t       *testing.T
	order   order
	program string
	dir     string
	mark    string
	cmd     *exec.Cmd
	said    bytes.Buffer
	ended   chan struct{}
	tail    tail
	seen    seen

	missed bool          // the run was over before its moment had come
	when   string        // the moment, in words
	hitAt  time.Time     // when it was hit
	overAt time.Time     // when nothing had to be left any more, but for a patience
	took   time.Duration // from then on until nothing was left
}

func newVictim(t *testing.T, program string, o order) (*victim, error) {
	dir, err := os.MkdirTemp("", "killed-")
	if err != nil {
		return nil, err
	}
	v := &victim{t: t, order: o, program: program, dir: dir, mark: killedMark + "=" + dir, ended: make(chan struct{}), seen: newSeen()}
	for _, folder := range []string{v.tmp(), v.reports()} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (v *victim) tmp() string     { return filepath.Join(v.dir, "tmp") }
func (v *victim) reports() string { return filepath.Join(v.dir, "reports") }

// forget removes what a clean victim has left: its reports.
func (v *victim) forget() { _ = os.RemoveAll(v.dir) }

func (v *victim) command(args ...string) *exec.Cmd {
	cmd := exec.Command(v.program, args...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), v.mark, "TMPDIR="+v.tmp())
	return cmd
}

// live starts the run, hits it when its moment has come, waits for its end and does what has to be done about it.
func (v *victim) live() error {
	r := v.order.rand
	v.cmd = v.command("run", v.order.experiment, "--reports", v.reports(), "--seed", fmt.Sprint(r.IntN(1000)))
	v.cmd.Stdout, v.cmd.Stderr = &v.said, &v.said
	if err := v.cmd.Start(); err != nil {
		return err
	}
	go func() { defer close(v.ended); _ = v.cmd.Wait() }()
	defer func() { _ = v.cmd.Process.Kill() }()
	defer v.tail.close()
	if !v.await(v.moment()) {
		v.missed = true
		<-v.ended
		return nil
	}
	v.hitAt = time.Now()
	if err := v.order.kind.hit(v); err != nil {
		v.missed = errors.Is(err, errMissed)
		if v.missed {
			<-v.ended
			return nil
		}
		return err
	}
	if err := v.end(); err != nil {
		return err
	}
	if v.order.kind.then == nil {
		return nil
	}
	err := v.order.kind.then(v)
	v.overAt = time.Now()
	return err
}

// end waits until the run has ended, however.
func (v *victim) end() error {
	select {
	case <-v.ended:
	case <-time.After(patience):
		return fmt.Errorf("the run has not ended within %v", patience)
	}
	v.overAt = v.hitAt
	if v.order.kind.ends == nil { // it was to go on, and has
		v.overAt = time.Now()
	}
	return nil
}

// errMissed means that there was nothing to hit any more, or not yet.
var errMissed = errors.New("there is nothing to hit")

// dangerous are the events right after which something has just been begun, or is half undone: those of an environment, and within them those of a fault.
var dangerous = []struct {
	kind journal.Type
	nth  int
}{
	{journal.RunStarted, 1}, {journal.UndoRecorded, 1}, {journal.EnvironmentUp, 1}, {journal.UndoRecorded, 2}, {journal.FaultArmed, 1}, {journal.FaultActive, 1},
	{journal.FaultEnding, 1}, {journal.FaultChecked, 1}, {journal.FaultReverted, 1}, {journal.UndoDone, 1}, {journal.EnvironmentDown, 1}, {journal.UndoDone, 2},
}

// moment draws when the run is to be hit: at a time of its life, each as likely as any other, or soon after an event.
func (v *victim) moment() (come func() bool) {
	r := v.order.rand
	began := time.Now()
	at := time.Duration(r.Float64() * float64(v.order.life))
	soon := time.Duration(r.Float64() * r.Float64() * float64(20*time.Millisecond))
	after := dangerous[r.IntN(len(dangerous))]
	if r.IntN(2) == 0 {
		v.when = fmt.Sprintf("%v after its start", at.Round(time.Millisecond))
		return func() bool { return time.Since(began) >= at }
	}
	v.when = fmt.Sprintf("%v after %s (%d)", soon.Round(100*time.Microsecond), after.kind, after.nth)
	var due time.Time
	return func() bool {
		if due.IsZero() && v.tail.counts[after.kind] >= after.nth {
			due = time.Now().Add(soon)
		}
		return !due.IsZero() && !time.Now().Before(due)
	}
}

// await waits until the moment has come, and meanwhile looks at what belongs to the run, not at the moment itself, which would pass; false if the run ended first.
func (v *victim) await(come func() bool) bool {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	var looked time.Time
	for !come() {
		if time.Since(looked) > 500*time.Millisecond {
			v.seen.look(v.marks())
			looked = time.Now()
		}
		select {
		case <-v.ended:
			return false
		case <-ticker.C:
			v.tail.read(v.reports())
		}
	}
	return true
}

// marks are the marks of all that the run has started so far.
func (v *victim) marks() []string {
	marks := []string{v.mark}
	if run := v.run(); run != "" {
		name := strings.TrimSuffix(filepath.Base(v.order.experiment), ".yaml")
		marks = append(marks, proc.Marker(run+"/"+name))
	}
	return marks
}

// run is the run's id; "" before it has one.
func (v *victim) run() string {
	if path := journalIn(v.reports()); path != "" {
		return filepath.Base(filepath.Dir(path))
	}
	return ""
}

func journalIn(reports string) string {
	found, _ := filepath.Glob(filepath.Join(reports, "*", "journal.jsonl"))
	if len(found) == 0 {
		return ""
	}
	return found[0]
}

// tail counts the events of a growing journal, by what their lines begin with.
type tail struct {
	file   *os.File
	rest   []byte
	counts map[journal.Type]int
}

func (l *tail) close() {
	if l.file != nil {
		l.file.Close()
	}
}

func (l *tail) read(reports string) {
	if l.file == nil {
		path := journalIn(reports)
		if path == "" {
			return
		}
		l.file, _ = os.Open(path) // not yet: next time
		l.counts = map[journal.Type]int{}
		return
	}
	more, _ := io.ReadAll(l.file)
	l.rest = append(l.rest, more...)
	for {
		line, rest, whole := bytes.Cut(l.rest, []byte{'\n'})
		if !whole {
			return
		}
		l.rest = rest
		if _, kind, ok := bytes.Cut(line, []byte(`"type":"`)); ok {
			kind, _, _ = bytes.Cut(kind, []byte{'"'})
			l.counts[journal.Type(kind)]++
		}
	}
}
