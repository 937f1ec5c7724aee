package verdict

import (
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
	from, to target.Duration
	pending  int    // undos that are not verified
	undoneBy string // who verified the last one
}

func (s *stepRecord) add(e journal.Event) error {
	switch e.Type {
	case journal.StepEnded:
		return journal.DecodeNew(e, &s.result)
	case journal.FaultArmed:
		return journal.DecodeNew(e, &s.info)
	case journal.FaultActive:
		s.from = target.Duration(e.Mono)
		s.checked, s.reverted = nil, nil
		return journal.DecodeNew(e, &s.active)
	case journal.FaultChecked:
		return journal.DecodeNew(e, &s.checked)
	case journal.FaultEnding:
		s.to = target.Duration(e.Mono)
	case journal.FaultReverted:
		return journal.DecodeNew(e, &s.reverted)
	case journal.UndoRecorded:
		s.pending++
	case journal.UndoDone:
		return s.addUndo(e)
	}
	return nil
}

func (s *stepRecord) addUndo(e journal.Event) error {
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
