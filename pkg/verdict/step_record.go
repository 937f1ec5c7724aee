package verdict

import (
	"slices"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/target"
)

// stepRecord is what the journal holds about one step, fault or probe.
type stepRecord struct {
	result   *journal.StepResult
	info     *journal.FaultInfo
	active   *fault.Effect
	checked  *fault.Effect
	reverted *fault.Effect
	from, to target.Duration // of the active phase
	started  target.Duration // the last attempt
	ended    target.Duration
	pending  int // undos that are not verified
	recorded []string
	struck   time.Time // when it was begun, of the first attempt; zero if it never was
	over     time.Time // when its last revert was read back; zero if that is not on record
	unarmed  bool      // it was active before the journal shows that all its undos were on disk
	undoneBy string    // who verified the last one
}

func (s *stepRecord) add(e journal.Event) error {
	switch e.Type {
	case journal.StepStarted:
		s.begin(e)
	case journal.StepEnded:
		s.ended = target.Duration(e.Mono)
		return once(e, &s.result)
	case journal.FaultArmed:
		return journal.DecodeNew(e, &s.info)
	case journal.FaultActive:
		s.from = target.Duration(e.Mono)
		s.checked, s.reverted = nil, nil
		s.unarmed = s.unarmed || !s.armed()
		return journal.DecodeNew(e, &s.active)
	case journal.FaultChecked:
		return once(e, &s.checked)
	case journal.FaultEnding:
		s.to = target.Duration(e.Mono)
	case journal.FaultReverted:
		return s.addReverted(e)
	case journal.UndoRecorded:
		return s.addUndo(e)
	case journal.UndoDone:
		return s.addUndone(e)
	}
	return nil
}

func (s *stepRecord) begin(e journal.Event) {
	s.started, s.over = target.Duration(e.Mono), time.Time{}
	if s.struck.IsZero() {
		s.struck = e.Time
	}
}

// took is how long the last attempt took, 0 if that is not known.
func (s *stepRecord) took() time.Duration { return max(0, time.Duration(s.ended-s.started)) }

// addReverted keeps the last readback of a revert since the fault was active, but one that was not verified is not made good by a later one: every attempt that was
// armed is reverted, and the fault's own readback is not tried again once it is on record.
func (s *stepRecord) addReverted(e journal.Event) error {
	before := s.reverted
	s.over = e.Time
	err := journal.DecodeNew(e, &s.reverted)
	if before != nil && !before.Proven {
		s.reverted = before
	}
	return err
}

// armed says whether every undo that arming has named is on record.
func (s *stepRecord) armed() bool {
	if s.info == nil {
		return false
	}
	return !slices.ContainsFunc(s.info.Undos, func(id string) bool { return !slices.Contains(s.recorded, id) })
}

func (s *stepRecord) addUndo(e journal.Event) error {
	undo, err := journal.Decode[target.Undo](e)
	s.pending++
	s.recorded = append(s.recorded, undo.ID)
	return err
}

func (s *stepRecord) addUndone(e journal.Event) error {
	done, err := journal.Decode[journal.UndoResult](e)
	if done.Verified {
		s.pending--
		s.undoneBy = done.By
	}
	return err
}

// revert says whether the fault is verified to be gone: by its own readback, or by whoever rolled back after a run that died.
func (s *stepRecord) revert() (bool, string) {
	if s.reverted == nil && s.pending == 0 && s.undoneBy != "" && s.undoneBy != "run" {
		return true, "undone by the " + s.undoneBy
	}
	return proven(s.reverted)
}
