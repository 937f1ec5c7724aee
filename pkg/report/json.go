package report

import (
	"encoding/json"
	"io"
	"math"
	"strconv"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/propagation"
	"chaosgate/pkg/quantity"
	"chaosgate/pkg/target"
	"chaosgate/pkg/verdict"
)

// FormatVersion is that of report.json.
const FormatVersion = "1"

// The JSON report; schema/report.schema.json describes it.
type (
	jsonReport struct {
		FormatVersion string           `json:"format_version"`
		RunID         string           `json:"run_id"`
		Commit        string           `json:"commit"`
		Dirty         bool             `json:"dirty_checkout"`
		Seed          string           `json:"seed"` // text: it has 64 bits
		Started       time.Time        `json:"started"`
		Ended         time.Time        `json:"ended"`
		Environment   string           `json:"environment"`
		Target        string           `json:"target"`
		Weakened      string           `json:"weakened,omitempty"`
		Version       string           `json:"version"`
		Complete      bool             `json:"complete"`
		DryRun        bool             `json:"dry_run"`
		Interrupted   string           `json:"interrupted,omitempty"`
		Scenarios     []scenario       `json:"scenarios"`
		State         verdict.State    `json:"state"`
		Overall       string           `json:"overall"`
		Gate          verdict.Gate     `json:"deployment_gate"`
		ExitCode      int              `json:"exit_code"`
		Reasons       []verdict.Reason `json:"reasons"`
	}
	scenario struct {
		Name         string               `json:"name"`
		Status       string               `json:"status"`
		State        verdict.State        `json:"state"`
		Title        string               `json:"title,omitempty"`
		Owner        string               `json:"owner,omitempty"`
		Tags         []string             `json:"tags"`
		File         string               `json:"file"`
		Recovery     *float64             `json:"recovery_time_seconds,omitempty"`
		RecoveryMax  *float64             `json:"threshold_seconds,omitempty"`
		P99          *float64             `json:"p99_latency_ms,omitempty"`
		P99Max       *float64             `json:"threshold_ms,omitempty"`
		Change       *float64             `json:"degradation_percent,omitempty"`
		ChangeMax    *float64             `json:"threshold_percent,omitempty"`
		Wall         float64              `json:"wall_seconds"`
		CriticalPath float64              `json:"critical_path_seconds"`
		Measured     *jsonRecovery        `json:"recovery,omitempty"`
		Reasons      []verdict.Reason     `json:"reasons"`
		Checks       []jsonCheck          `json:"checks"`
		Faults       []jsonFault          `json:"faults"`
		Propagation  []propagation.Spread `json:"propagation"`
		Phases       []jsonSpan           `json:"phases"`
		Steps        []jsonStep           `json:"steps"`
		Coverage     []Coverage           `json:"coverage"`
		Findings     []journal.Finding    `json:"findings"`
		Instances    []jsonInstance       `json:"instance_events"`
		Undos        []jsonUndo           `json:"undos"`
	}
	jsonCheck struct {
		verdict.Check
		Expect   []plan.Expect `json:"expect"`
		Evidence []jsonLook    `json:"evidence"`
	}
	jsonLook struct {
		At      float64 `json:"at_seconds"`
		Attempt int     `json:"attempt"`
		journal.Observation
	}
	jsonRecovery struct {
		State    verdict.State      `json:"state"`
		Reason   string             `json:"reason"`
		Evidence []jsonRecoveryLook `json:"evidence"`
	}
	jsonRecoveryLook struct {
		Check string        `json:"check"`
		State verdict.State `json:"state"`
		jsonLook
	}
	jsonFault struct {
		verdict.Fault
		Params   fault.Params   `json:"params"`
		Evidence []fault.Effect `json:"evidence"` // after injection, before the revert, after the revert
	}
	jsonSpan struct {
		Name string  `json:"name"`
		From float64 `json:"from_seconds"`
		To   float64 `json:"to_seconds"`
	}
	jsonStep struct {
		jsonSpan
		Kind   string   `json:"kind"`
		State  string   `json:"state"`
		During string   `json:"during,omitempty"`
		Needs  []string `json:"needs"`
	}
	jsonInstance struct {
		At float64 `json:"at_seconds"`
		target.Event
	}
	jsonUndo struct {
		ID       string `json:"id"`
		Kind     string `json:"kind"`
		Step     string `json:"step,omitempty"`
		Verified bool   `json:"verified"`
		By       string `json:"by,omitempty"`
		Error    string `json:"error,omitempty"`
	}
)

// WriteJSON writes everything, for programs. Lists are never null, numbers are finite.
func WriteJSON(w io.Writer, m Model) error {
	r := jsonReport{
		FormatVersion: FormatVersion, RunID: m.Run.RunID, Commit: m.Run.Commit, Dirty: m.Run.Dirty, Seed: strconv.FormatUint(m.Run.Seed, 10),
		Started: m.Started, Ended: m.Ended, Environment: m.Run.Environment, Target: m.Run.Target, Weakened: m.Run.Weakened, Version: m.Run.Version,
		Complete: m.Verdict.Complete, DryRun: m.Verdict.DryRun, Interrupted: m.Verdict.Interrupted, Scenarios: []scenario{},
		State: m.Verdict.State, Overall: passOrFail(m.Verdict.Gate == verdict.Open), Gate: m.Verdict.Gate, ExitCode: m.Verdict.ExitCode(),
		Reasons: list(m.Verdict.Reasons),
	}
	for _, x := range m.Experiments {
		r.Scenarios = append(r.Scenarios, newScenario(x))
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

func passOrFail(ok bool) string {
	if ok {
		return "PASS"
	}
	return "FAIL"
}

func list[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

func newScenario(x Experiment) scenario {
	s := scenario{
		Name: x.Verdict.Name, Status: passOrFail(x.State == verdict.Pass), State: x.State, Title: x.Plan.Title, Owner: x.Plan.Owner,
		Tags: list(x.Plan.Tags), File: x.Plan.File, Wall: seconds(x.Wall), CriticalPath: seconds(time.Duration(x.Plan.Expected)),
		Reasons: list(x.Reasons), Checks: []jsonCheck{}, Faults: []jsonFault{}, Phases: []jsonSpan{}, Steps: []jsonStep{},
		Propagation: list(x.Spreads), Coverage: list(x.Coverage), Findings: list(x.Findings), Instances: []jsonInstance{}, Undos: []jsonUndo{},
	}
	s.figures(x)
	for _, c := range x.Verdict.Checks {
		s.Checks = append(s.Checks, newCheck(x, c))
	}
	for _, f := range x.Verdict.Faults {
		s.Faults = append(s.Faults, newFault(x, f))
	}
	for _, p := range x.Phases {
		s.Phases = append(s.Phases, newSpan(p))
	}
	for _, b := range x.Bars {
		s.Steps = append(s.Steps, jsonStep{newSpan(b.Span), b.Kind, b.State, b.During, list(b.Needs)})
	}
	for _, i := range x.Instances {
		s.Instances = append(s.Instances, jsonInstance{seconds(i.At), i.Event})
	}
	for _, u := range x.Undos {
		s.Undos = append(s.Undos, jsonUndo{u.ID, u.Kind, u.Step, u.Verified, u.By, u.Error})
	}
	return s
}

// seconds rounds to milliseconds: more is noise.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

func newSpan(s Span) jsonSpan { return jsonSpan{s.Name, seconds(s.From), seconds(s.To)} }

// figures fills in the headline numbers, where they apply.
func (s *scenario) figures(x Experiment) {
	if r := x.Verdict.Recovery; r != nil {
		s.RecoveryMax = number(time.Duration(r.Within).Seconds())
		if r.State == verdict.Pass {
			s.Recovery = number(time.Duration(r.Took).Seconds())
		}
	}
	var p99, change *verdict.Value
	for _, c := range x.Verdict.Checks {
		p, ok := x.check(c.ID, c.Role)
		if !ok || c.Role != "step" || c.Value == nil {
			continue
		}
		switch q := p.Probe.Quantile; {
		case c.Value.Baseline != nil:
			change = worse(change, c.Value)
		case q != nil && q.Q == 0.99 && c.Value.Op == string(plan.Max) && c.Value.Unit == string(quantity.Time):
			p99 = worse(p99, c.Value)
		}
	}
	if p99 != nil {
		s.P99, s.P99Max = number(p99.Measured*1000), number(p99.Limit*1000)
	}
	if change != nil {
		s.Change, s.ChangeMax = number(change.Measured*100), number(change.Limit*100)
	}
	if x.Verdict.Recovery != nil {
		s.Measured = newRecovery(x)
	}
}

// worse answers the value that is nearer to its limit, or further beyond it: of several checks the headline is the one that decides.
func worse(a, b *verdict.Value) *verdict.Value {
	if a == nil || b.Measured-b.Limit > a.Measured-a.Limit {
		return b
	}
	return a
}

func newRecovery(x Experiment) *jsonRecovery {
	r := &jsonRecovery{State: x.Verdict.Recovery.State, Reason: x.Verdict.Recovery.Reason, Evidence: []jsonRecoveryLook{}}
	for _, l := range x.recoveryLooks() {
		r.Evidence = append(r.Evidence, jsonRecoveryLook{l.Check, l.State, newLook(l.Look)})
	}
	return r
}

// number answers a finite number rounded to three digits, nil for any other.
func number(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	v = math.Round(v*1000) / 1000
	return &v
}

func newCheck(x Experiment, c verdict.Check) jsonCheck {
	p, _ := x.check(c.ID, c.Role)
	j := jsonCheck{Check: c, Expect: list(p.Expect), Evidence: []jsonLook{}}
	for _, l := range x.looksOf(c) {
		j.Evidence = append(j.Evidence, newLook(l))
	}
	return j
}

func newLook(l Look) jsonLook { return jsonLook{seconds(l.At), l.Attempt, l.Observation} }

func newFault(x Experiment, f verdict.Fault) jsonFault {
	j := jsonFault{Fault: f, Params: fault.Params{}, Evidence: []fault.Effect{}}
	for _, s := range x.Plan.Steps {
		if s.ID == f.ID && s.Fault != nil && s.Fault.Params != nil {
			j.Params = s.Fault.Params
		}
	}
	e := x.Faults[f.ID]
	for _, effect := range []*fault.Effect{e.Active, e.Checked, e.Reverted} {
		if effect != nil {
			j.Evidence = append(j.Evidence, *effect)
		}
	}
	return j
}
