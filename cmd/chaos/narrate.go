package main

import (
	"fmt"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
	"chaosgate/pkg/verdict"
)

// remark is an event in words. State colours it; it is empty if nothing good or bad has happened.
type remark struct {
	text  string
	state string
}

// narrator puts events into words. It keeps the events of each running experiment, so that it can say what the experiment came to by asking the
// function that judges the whole run.
type narrator struct {
	first  journal.Event
	plans  map[string]plan.Plan
	events map[string][]journal.Event
}

func newNarrator() *narrator {
	return &narrator{plans: map[string]plan.Plan{}, events: map[string][]journal.Event{}}
}

// see takes notice of an event. It answers what it has to say about it, if anything.
func (n *narrator) see(e journal.Event) (remark, bool) {
	switch {
	case e.Type == journal.RunStarted:
		n.first = e
	case e.Type == journal.Planned:
		n.plans[e.Experiment], _ = journal.Decode[plan.Plan](e)
	}
	if e.Experiment != "" {
		n.events[e.Experiment] = append(n.events[e.Experiment], e)
	}
	tell, ok := tellings()[e.Type]
	if !ok {
		return remark{}, false
	}
	r := tell(n, e)
	r.text = single(r.text)
	return r, r.text != ""
}

// tellings says which events are worth a remark, and which.
func tellings() map[journal.Type]func(*narrator, journal.Event) remark {
	return map[journal.Type]func(*narrator, journal.Event) remark{
		journal.ExperimentStarted: func(*narrator, journal.Event) remark { return remark{text: textEnvironmentStarts} },
		journal.EnvironmentUp:     telling(tellUp),
		journal.EnvironmentDown:   telling(tellDown),
		journal.PhaseStarted:      telling(tellPhase),
		journal.InstanceEvent:     telling(tellInstance),
		journal.CheckEnded:        telling(tellCheck),
		journal.FaultActive:       telling(tellActive),
		journal.FaultChecked:      telling(tellChecked),
		journal.FaultReverted:     telling(tellReverted),
		journal.StepEnded:         telling(tellStep),
		journal.Aborted:           telling(tellAborted),
		journal.FindingNoted:      telling(tellFinding),
		journal.Recovered:         telling(tellRecovered),
		journal.UndoDone:          telling(tellUndo),
		journal.ExperimentEnded:   telling(tellEnd),
	}
}

func telling[T any](tell func(*narrator, journal.Event, T) remark) func(*narrator, journal.Event) remark {
	return func(n *narrator, e journal.Event) remark {
		data, err := journal.Decode[T](e)
		if err != nil {
			return remark{text: err.Error(), state: verdict.Error.String()}
		}
		return tell(n, e, data)
	}
}

func tellUp(_ *narrator, _ journal.Event, i journal.EnvironmentInfo) remark {
	return remark{text: fmt.Sprintf(textEnvironmentUp, short(time.Duration(i.Took)))}
}

func tellDown(_ *narrator, _ journal.Event, o journal.Outcome) remark {
	if o.OK {
		return remark{}
	}
	return remark{text: fmt.Sprintf(textEnvironmentNotDown, o.Error), state: verdict.Dirty.String()}
}

func tellPhase(n *narrator, e journal.Event, p journal.Phase) remark {
	known := n.plans[e.Experiment]
	switch p.Name {
	case journal.Steady:
		return remark{text: fmt.Sprintf(textSteady, short(time.Duration(known.SteadyFor)))}
	case journal.Recovery:
		return remark{text: fmt.Sprintf(textRecovery, short(time.Duration(known.Recovery.Within)))}
	default:
		return remark{}
	}
}

func tellInstance(_ *narrator, _ journal.Event, e target.Event) remark {
	switch {
	case e.Type == target.Exited && !e.Expected:
		return remark{text: fmt.Sprintf(textExited, e.Instance, e.Detail), state: verdict.Inconclusive.String()}
	case e.Type == target.Ready && e.Restarts > 0:
		return remark{text: fmt.Sprintf(textRestarted, e.Instance, short(time.Duration(e.Took)))}
	default:
		return remark{}
	}
}

func tellCheck(_ *narrator, e journal.Event, c journal.CheckResult) remark {
	return remark{text: fmt.Sprintf(textCheck, e.Step, c.State, c.Phase, c.Reason), state: c.State}
}

func tellActive(_ *narrator, e journal.Event, effect fault.Effect) remark {
	if !effect.Proven {
		return remark{text: fmt.Sprintf(textNoEffect, e.Step, effect.Summary), state: verdict.Inconclusive.String()}
	}
	return remark{text: fmt.Sprintf(textActive, e.Step, effect.Summary)}
}

func tellChecked(_ *narrator, e journal.Event, effect fault.Effect) remark {
	if effect.Proven {
		return remark{}
	}
	return remark{text: fmt.Sprintf(textEffectLost, e.Step, effect.Summary), state: verdict.Inconclusive.String()}
}

func tellReverted(_ *narrator, e journal.Event, effect fault.Effect) remark {
	if !effect.Proven {
		return remark{text: fmt.Sprintf(textNotReverted, e.Step, effect.Summary), state: verdict.Dirty.String()}
	}
	return remark{text: fmt.Sprintf(textReverted, e.Step, effect.Summary)}
}

func tellStep(_ *narrator, e journal.Event, r journal.StepResult) remark {
	switch {
	case r.Status != journal.Done:
		return remark{text: fmt.Sprintf(textStepNotDone, e.Step, r.Status, r.Error+r.Reason), state: verdict.Error.String()}
	case r.State == "":
		return remark{}
	default:
		return remark{text: fmt.Sprintf(textStep, e.Step, r.State, r.Reason), state: r.State}
	}
}

func tellAborted(_ *narrator, _ journal.Event, a journal.AbortInfo) remark {
	return remark{text: fmt.Sprintf(textAborted, a.Reason), state: verdict.Error.String()}
}

func tellFinding(_ *narrator, _ journal.Event, f journal.Finding) remark {
	return remark{text: fmt.Sprintf(textFinding, f.Message), state: verdict.Inconclusive.String()}
}

func tellRecovered(_ *narrator, _ journal.Event, r journal.RecoveryResult) remark {
	if !r.Held {
		return remark{text: fmt.Sprintf(textNotRecovered, r.Reason), state: verdict.Fail.String()}
	}
	return remark{text: fmt.Sprintf(textRecovered, short(time.Duration(r.Took)))}
}

func tellUndo(_ *narrator, _ journal.Event, r journal.UndoResult) remark {
	if r.Verified {
		return remark{}
	}
	return remark{text: fmt.Sprintf(textNotUndone, r.ID, r.Error), state: verdict.Dirty.String()}
}

// tellEnd says what the experiment came to, alone: the same events judged by the same function as in the end.
func tellEnd(n *narrator, e journal.Event, r journal.ExperimentResult) remark {
	defer delete(n.events, e.Experiment)
	v, err := verdict.Decide(append([]journal.Event{n.first}, n.events[e.Experiment]...))
	if err != nil || len(v.Experiments) != 1 {
		return remark{text: textEnded, state: verdict.Error.String()}
	}
	x := v.Experiments[0]
	text := fmt.Sprintf(textEndedAs, x.State, short(time.Duration(r.Wall)))
	if len(x.Reasons) > 0 {
		text += ": " + x.Reasons[0].Text
	}
	return remark{text: text, state: x.State.String()}
}

// short writes a duration with as many digits as a person wants to read.
func short(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	default:
		return d.Round(100 * time.Microsecond).String()
	}
}
