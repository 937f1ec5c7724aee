package verdict

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"

	"chaosgate/pkg/internal/testkit"
	"chaosgate/pkg/journal"
)

// recordedRuns are journals of real runs that opened the gate: one with a fault that lasts, one with a fault that happens once.
var recordedRuns = []string{"testdata/latency.jsonl", "../report/testdata/passed.jsonl"}

// FuzzDecide spoils the journal of a run that opened the gate. Whatever is done to it, judging it does not panic, and if the gate still opens, then everything that
// opens it is there: it is looked up once more in the bare JSON, by other means than the verdict's own.
func FuzzDecide(f *testing.F) {
	var texts [][]byte
	for _, path := range recordedRuns {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		texts = append(texts, text)
	}
	for i := range texts {
		for line := i; line < 100; line += 3 {
			f.Add(byte(i), []byte{0, byte(line), 0})                // dropped
			f.Add(byte(i), []byte{3, byte(line), byte(line)})       // doubled
			f.Add(byte(i), []byte{4, byte(line), byte(line + 3)})   // moved
			f.Add(byte(i), []byte{5, byte(line), 0})                // the last one
			f.Add(byte(i), []byte{22, byte(line), byte(line % 13)}) // a value changed
		}
	}
	f.Fuzz(func(t *testing.T, which byte, program []byte) {
		text := testkit.Spoil(t, texts[int(which)%len(texts)], program)
		events, err := journal.Read(bytes.NewReader(text))
		if err != nil {
			return
		}
		v, err := Decide(events)
		if err != nil {
			if v.Gate == Open {
				t.Errorf("the gate is open and there is an error: %v", err)
			}
			return
		}
		if open, exit := v.Gate == Open, v.ExitCode(); open != (exit == ExitOpen) || open != (v.State == Pass) || open != (len(v.Reasons) == 0) {
			t.Errorf("gate %s with exit code %d, state %v and the reasons %v", v.Gate, exit, v.State, v.Reasons)
		}
		if v.Gate == Open {
			for _, missing := range recheck(t, text) {
				t.Errorf("the gate is open, and %s", missing)
			}
		}
	})
}

// TestARecordedRunOpens keeps the fuzzing from passing because nothing ever opens.
func TestARecordedRunOpens(t *testing.T) {
	for _, path := range recordedRuns {
		text, err := os.ReadFile(path)
		testkit.Must(t, err)
		events, err := journal.Read(bytes.NewReader(text))
		testkit.Must(t, err)
		if v := decide(t, events); v.Gate != Open {
			t.Errorf("%s: gate %s: %v", path, v.Gate, v.Reasons)
		}
		if missing := recheck(t, text); len(missing) > 0 {
			t.Errorf("%s: %v", path, missing)
		}
	}
}

// A count that is not a number is not in the journal: neither the verdict nor the audit may take it for none.
func TestTheGateStaysClosedWithoutACount(t *testing.T) {
	for _, count := range []string{EventsPart, EventsTotal} {
		found := false
		for _, path := range recordedRuns {
			text, err := os.ReadFile(path)
			testkit.Must(t, err)
			without := regexp.MustCompile(`,?"`+count+`":[0-9.e+-]+,?`).ReplaceAllFunc(text, func(b []byte) []byte {
				return bytes.Repeat([]byte(","), bytes.Count(b, []byte(","))/2)
			})
			if bytes.Equal(text, without) {
				continue
			}
			found = true
			events, err := journal.Read(bytes.NewReader(without))
			testkit.Must(t, err)
			if v := decide(t, events); v.Gate == Open {
				t.Errorf("%s: the gate is open without any %s", path, count)
			}
			if len(recheck(t, without)) == 0 {
				t.Errorf("%s: the audit does not miss the %s", path, count)
			}
		}
		if !found {
			t.Errorf("no recorded run has a %s", count)
		}
	}
}

// bare is an event as it stands in the file.
type bare struct {
	Type       string
	Experiment string
	Step       string
	Data       map[string]any
}

// audit looks up in a journal what has to be there for an open gate.
type audit struct {
	events  []bare
	missing []string
}

func recheck(t *testing.T, text []byte) []string {
	a := &audit{}
	for line := range bytes.Lines(text) {
		var e bare
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		a.events = append(a.events, e)
	}
	a.run()
	for _, i := range a.all("experiment.planned", "", "") {
		a.experiment(a.events[i].Data)
	}
	return a.missing
}

func (a *audit) miss(format string, args ...any) {
	a.missing = append(a.missing, fmt.Sprintf(format, args...))
}

// all answers where the events of a type stand; of an experiment and a step unless those are empty.
func (a *audit) all(typ, experiment, step string) []int {
	var found []int
	for i, e := range a.events {
		if e.Type == typ && (experiment == "" || e.Experiment == experiment) && (step == "" || e.Step == step) {
			found = append(found, i)
		}
	}
	return found
}

// good answers where the last event of a type stands, if all of them say yes under a key.
func (a *audit) good(typ, experiment, step, key string) int {
	found := a.all(typ, experiment, step)
	for _, i := range found {
		if a.events[i].Data[key] != true {
			a.miss("%s of %s %s does not say %s", typ, experiment, step, key)
		}
	}
	if len(found) == 0 {
		a.miss("there is no %s of %s %s", typ, experiment, step)
		return -1
	}
	return found[len(found)-1]
}

func (a *audit) run() {
	info := a.events[0].Data
	if info["dry_run"] == true || info["control"] != nil && info["control"] != "" {
		a.miss("it was a dry run or a control")
	}
	a.good("run.ended", "", "", "ok")
	if len(a.all("aborted", "", "")) > 0 {
		a.miss("it was aborted")
	}
	for _, i := range a.all("finding", "", "") {
		if c := a.events[i].Data["closes"]; c != nil && c != "" {
			a.miss("a finding closes it: %v", c)
		}
	}
	for _, i := range a.all("undo.recorded", "", "") {
		id := a.events[i].Data["id"]
		if !slices.ContainsFunc(a.all("undo.done", "", ""), func(j int) bool {
			return j > i && a.events[j].Data["id"] == id && a.events[j].Data["verified"] == true
		}) {
			a.miss("the undo %v is not done", id)
		}
	}
}

func (a *audit) experiment(p map[string]any) {
	name, _ := p["name"].(string)
	if len(a.all("experiment.started", name, "")) == 0 {
		a.miss("%s was not started", name)
	}
	a.good("experiment.ended", name, "", "ok")
	a.good("environment.down", name, "", "ok")
	injected := len(a.events)
	var faults []string
	for _, s := range list(p["steps"]) {
		id, _ := s["id"].(string)
		if f, ok := s["fault"].(map[string]any); ok {
			injected = min(injected, a.fault(name, id, f))
			faults = append(faults, id)
		}
		if c, ok := s["check"].(map[string]any); ok && c["required"] == true && s["when"] != "fail" {
			a.ended(name, id)
			a.looked(name, c, "steps", 0, len(a.events))
		}
	}
	a.coverage(name, faults)
	for _, c := range list(p["steady"]) {
		if c["required"] == true {
			a.looked(name, c, "steady-state", 0, injected)
			a.looked(name, c, "recovery", 0, len(a.events))
		}
	}
}

func list(v any) []map[string]any {
	var all []map[string]any
	items, _ := v.([]any)
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

func (a *audit) ended(name, id string) {
	found := a.all("step.ended", name, id)
	for _, i := range found {
		if a.events[i].Data["status"] != "done" {
			a.miss("step %s ended as %v", id, a.events[i].Data["status"])
		}
	}
	if len(found) == 0 {
		a.miss("step %s never ended", id)
	}
}

// fault answers where it became active.
func (a *audit) fault(name, id string, f map[string]any) int {
	a.ended(name, id)
	active := a.good("fault.active", name, id, "proven")
	if reverted := a.good("fault.reverted", name, id, "proven"); reverted < active {
		a.miss("fault %s is not reverted", id)
	}
	if f["duration"] != "0s" && f["duration"] != nil {
		if checked := a.good("fault.checked", name, id, "proven"); checked < active {
			a.miss("fault %s was not read back at its end", id)
		}
	}
	a.armed(name, id, active)
	return max(0, active)
}

// armed wants the undos of a fault on disk before it was active.
func (a *audit) armed(name, id string, active int) {
	armed := a.all("fault.armed", name, id)
	if len(armed) == 0 || armed[0] > active {
		a.miss("fault %s was not armed before it was active", id)
		return
	}
	undos, _ := a.events[armed[len(armed)-1]].Data["undos"].([]any)
	for _, undo := range undos {
		if !slices.ContainsFunc(a.all("undo.recorded", name, id), func(i int) bool { return i < active && a.events[i].Data["id"] == undo }) {
			a.miss("fault %s was active before its undo %v was on disk", id, undo)
		}
	}
}

// coverage wants enough scrapes of everybody in the steady state, and of those that no fault was armed for in the phases and in the active phases of faults.
func (a *audit) coverage(name string, faults []string) {
	steady := 0
	for _, i := range a.all("coverage", name, "") {
		c, step := a.events[i].Data, a.events[i].Step
		if c["error"] != nil && c["error"] != "" {
			a.miss("how well %s was scraped is not known", name)
		}
		calm := c["phase"] == "steady-state"
		if calm {
			steady++
		}
		if step != "" && !slices.Contains(faults, step) {
			continue
		}
		for _, t := range list(c["targets"]) {
			expected, _ := t["expected"].(float64)
			if got, _ := t["got"].(float64); expected >= 4 && got < 0.9*expected && (calm || !a.hit(name, t["service"])) {
				a.miss("%v was scraped %v of %v times", t["instance"], got, expected)
			}
		}
	}
	if steady == 0 {
		a.miss("how well %s was scraped in its steady state was not recorded", name)
	}
}

// hit says whether a fault was armed for an instance of a service: those of the recorded runs have one each.
func (a *audit) hit(name string, service any) bool {
	return slices.ContainsFunc(a.all("fault.armed", name, ""), func(i int) bool {
		return slices.ContainsFunc(list(a.events[i].Data["targets"]), func(t map[string]any) bool { return t["service"] == service })
	})
}

// looked wants a look between two events that shows what its check expects.
func (a *audit) looked(name string, check map[string]any, phase string, from, to int) {
	id, _ := check["id"].(string)
	for _, i := range a.all("check.looked", name, id) {
		if o := a.events[i].Data; i >= from && i < to && o["phase"] == phase && shows(check, o) {
			return
		}
	}
	a.miss("no look of %s in the %s shows what is expected", id, phase)
}

// shows says whether a look has evidence, and a value within the limits of the kinds that the recorded runs have.
func shows(check, o map[string]any) bool {
	for _, spoilt := range []string{"error", "missing"} {
		if o[spoilt] != nil && o[spoilt] != "" {
			return false
		}
	}
	if w, _ := o["warnings"].([]any); len(w) > 0 {
		return false
	}
	value, ok := seenValue(o)
	if !ok {
		return false
	}
	for _, e := range list(check["expect"]) {
		limit, _ := e["limit"].(float64)
		if e["op"] == "max" && value > limit || e["op"] == "min" && value < limit {
			return false
		}
	}
	return true
}

// seenValue is the ratio, the value of the only series, or 0 for a look that has numbers instead.
func seenValue(o map[string]any) (float64, bool) {
	events, _ := o["events"].(map[string]any)
	part, parted := events["part"].(float64)
	total, totalled := events["total"].(float64)
	if parted || totalled {
		return part / total, parted && totalled && total >= 1
	}
	series := list(o["series"])
	if len(series) == 0 {
		_, ok := o["numbers"].(map[string]any)
		return 0, ok
	}
	points := list(series[0]["points"])
	if len(points) == 0 {
		return 0, false
	}
	text, _ := points[0]["v"].(float64)
	return text, true
}
