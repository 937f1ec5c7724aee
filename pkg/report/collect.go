package report

import (
	"cmp"
	"slices"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/propagation"
	"chaosgate/pkg/verdict"
)

// collector sorts the events of one experiment.
type collector struct {
	x    *Experiment
	zero time.Duration
	last time.Duration
	bars map[string]*Bar
	open map[string]time.Duration // phases and faults that have begun
}

func newExperiment(events []journal.Event, v verdict.Experiment) (Experiment, error) {
	x := Experiment{Verdict: v, Looks: map[string][]Look{}, Faults: map[string]FaultEvidence{}}
	c := collector{x: &x, bars: map[string]*Bar{}, open: map[string]time.Duration{}}
	for _, e := range events {
		if err := c.add(e); err != nil {
			return x, err
		}
	}
	c.finish()
	return x, nil
}

func (c *collector) add(e journal.Event) error {
	at := e.Mono - c.zero
	if e.Type != journal.UndoDone {
		c.last = max(c.last, at)
	}
	x := c.x
	switch e.Type {
	case journal.Planned:
		return into(e, &x.Plan)
	case journal.ExperimentStarted:
		c.zero, c.last, x.began = e.Mono, 0, e.Time
	case journal.EnvironmentUp:
		var info journal.EnvironmentInfo
		err := into(e, &info)
		x.EnvTook = time.Duration(info.Took)
		return err
	case journal.Measuring:
		var info journal.MeasuringInfo
		err := into(e, &info)
		x.Metrics = info.Source
		return err
	case journal.PhaseStarted, journal.PhaseEnded:
		return c.phase(e, at)
	case journal.InstanceEvent:
		i := InstanceEvent{At: at}
		err := into(e, &i.Event)
		x.Instances = append(x.Instances, i)
		return err
	case journal.Aborted:
		return journal.DecodeAppend(e, &x.Aborts)
	case journal.FindingNoted:
		return journal.DecodeAppend(e, &x.Findings)
	case journal.SeriesKept:
		return journal.DecodeAppend(e, &x.Charts)
	case journal.SignalsKept:
		var v journal.Signals
		err := into(e, &v)
		x.Spreads = append(x.Spreads, propagation.Follow(x.Plan, e.Step, v))
		return err
	case journal.CoverageKept:
		v := Coverage{Step: e.Step}
		err := into(e, &v.Coverage)
		v.Targets = list(v.Targets)
		x.Coverage = append(x.Coverage, v)
		return err
	case journal.UndoRecorded, journal.UndoDone:
		return c.undo(e)
	case journal.Looked:
		l := Look{At: at, Attempt: e.Attempt}
		err := into(e, &l.Observation)
		x.Looks[e.Step] = append(x.Looks[e.Step], l)
		return err
	}
	return c.step(e, at)
}

func (c *collector) phase(e journal.Event, at time.Duration) error {
	p, err := journal.Decode[journal.Phase](e)
	if err != nil {
		return err
	}
	name := string(p.Name)
	if e.Type == journal.PhaseStarted {
		c.open[name] = at
		return nil
	}
	c.x.Phases = append(c.x.Phases, Span{name, c.open[name], at})
	delete(c.open, name)
	return nil
}

func (c *collector) undo(e journal.Event) error {
	if e.Type == journal.UndoRecorded {
		u := Undo{Step: e.Step}
		err := into(e, &u.Undo)
		c.x.Undos = append(c.x.Undos, u)
		return err
	}
	r, err := journal.Decode[journal.UndoResult](e)
	for i := range c.x.Undos {
		if u := &c.x.Undos[i]; u.ID == r.ID {
			u.Verified, u.By, u.Error = r.Verified, r.By, r.Error
		}
	}
	return err
}

// step follows a step from its start to its end, and a fault through its active phase.
func (c *collector) step(e journal.Event, at time.Duration) error {
	if e.Step == "" {
		return nil
	}
	b := c.bars[e.Step]
	if b == nil {
		b = &Bar{Span: Span{Name: e.Step, From: at, To: at}}
		c.bars[e.Step] = b
	}
	evidence := c.x.Faults[e.Step]
	var err error
	switch e.Type {
	case journal.StepStarted:
		if !b.Started {
			b.From = at
		}
		b.Started, b.Attempts = true, e.Attempt
	case journal.StepEnded:
		var r journal.StepResult
		err = into(e, &r)
		b.To, b.State = at, stateOf(r)
	case journal.FaultActive:
		c.open["fault "+e.Step] = at
		evidence = FaultEvidence{} // what an earlier attempt read back shows nothing of this one
		err = journal.DecodeNew(e, &evidence.Active)
	case journal.FaultChecked:
		err = journal.DecodeNew(e, &evidence.Checked)
	case journal.FaultReverted:
		err = journal.DecodeNew(e, &evidence.Reverted)
		c.closeBand(e.Step, at)
	case journal.FaultEnding:
		c.closeBand(e.Step, at)
	}
	if evidence != (FaultEvidence{}) {
		c.x.Faults[e.Step] = evidence
	}
	return err
}

func (c *collector) closeBand(step string, at time.Duration) {
	if from, ok := c.open["fault "+step]; ok {
		c.x.Bands = append(c.x.Bands, Span{step, from, at})
		delete(c.open, "fault "+step)
	}
}

func stateOf(r journal.StepResult) string {
	switch {
	case r.Status == journal.Skipped:
		return "SKIPPED"
	case r.Status == journal.Cancelled:
		return "CANCELLED"
	case r.Status != journal.Done:
		return "ERROR"
	case r.State != "":
		return r.State
	}
	return "DONE"
}

// finish closes what a run that died left open, and puts the bars in the order of the plan.
func (c *collector) finish() {
	x := c.x
	x.Took, x.Wall = c.last, time.Duration(x.Verdict.Wall)
	if x.Wall == 0 {
		x.Wall = max(0, c.last-x.EnvTook)
	}
	for _, phase := range []journal.PhaseName{journal.Steady, journal.Method, journal.Recovery} {
		if from, ok := c.open[string(phase)]; ok {
			x.Phases = append(x.Phases, Span{string(phase), from, c.last})
		}
	}
	for _, s := range x.Plan.Steps {
		c.closeBand(s.ID, c.last)
		b := c.bars[s.ID]
		if b == nil {
			b = &Bar{Span: Span{Name: s.ID}}
		}
		if b.State == "" {
			b.To, b.State = c.last, "UNFINISHED"
			if !b.Started {
				b.To, b.State = b.From, "NOT RUN"
			}
		}
		b.Kind, b.During, b.Needs = kindOf(s), s.During, s.Needs
		x.Bars = append(x.Bars, *b)
	}
	slices.SortStableFunc(x.Phases, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
}

func into[T any](e journal.Event, to *T) error {
	v, err := journal.Decode[T](e)
	*to = v
	return err
}
