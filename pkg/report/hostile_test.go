package report

import (
	"strings"
	"testing"
	"unicode/utf8"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

// evil is text that would be markup, a command or a line of its own in one of the formats.
const evil = `</title></script><script>document.title='hacked'</script><img src=x onerror="document.title='hacked'">` +
	"' onload='document.title=1' ]]> --> ``` | **b** [l](javascript:alert(1)) \\| <details> %0A::error::x ${x} {{.}}\r\n## heading\r\n::error::y\u2028z\x00\x1b[2J\u202e\u2066rtl 名前 🚀 "

// hostile is a real journal in which every text that anybody outside of this program chooses is evil.
func hostile(t *testing.T, name string) []journal.Event {
	t.Helper()
	long := evil + strings.Repeat("long", 500)
	name2 := func(text string) string { return text + evil }
	events := changed(t, read(t, name), journal.RunStarted, func(_ *journal.Event, r *journal.RunInfo) bool {
		r.RunID, r.Commit, r.Environment, r.Target, r.Version, r.Weakened, r.Host = evil, evil, evil, evil, evil, evil, evil
		return true
	})
	events = changed(t, events, journal.Planned, func(_ *journal.Event, p *plan.Plan) bool {
		p.Name, p.Title, p.Description, p.Owner, p.File, p.Tags = name2(p.Name), long, long, evil, evil, []string{evil}
		for i := range p.Steps {
			s := &p.Steps[i]
			s.ID, s.During = name2(s.ID), during(s.During)
			for n := range s.Needs {
				s.Needs[n] = name2(s.Needs[n])
			}
			if s.Fault != nil {
				s.Fault.Kind, s.Fault.To, s.Fault.Params, s.Fault.Candidates = name2(s.Fault.Kind), evil, fault.Params{evil: evil}, []string{evil}
			}
			if s.Check != nil {
				spoilCheck(s.Check)
			}
		}
		for i := range p.Steady {
			spoilCheck(&p.Steady[i])
		}
		for i := range p.Abort {
			spoilCheck(&p.Abort[i])
		}
		return true
	})
	events = changed(t, events, journal.Looked, func(_ *journal.Event, o *journal.Observation) bool {
		o.Query, o.Text = o.Query+evil, map[string]string{evil: long}
		for i := range o.Series {
			o.Series[i].Labels = map[string]string{"label": evil}
		}
		return true
	})
	events = changed(t, events, journal.SeriesKept, func(_ *journal.Event, s *journal.SeriesData) bool {
		s.Check, s.Title, s.Query = name2(s.Check), evil, s.Query+evil
		if len(s.Series) > 0 {
			s.Series = append(s.Series, s.Series[0])
			s.Series[0].Labels = map[string]string{"label": evil}
		}
		return true
	})
	events = changed(t, events, journal.InstanceEvent, func(_ *journal.Event, e *target.Event) bool {
		e.Service, e.Instance, e.Detail = evil, evil, long
		return true
	})
	for _, typ := range []journal.Type{journal.FaultActive, journal.FaultChecked, journal.FaultReverted} {
		events = changed(t, events, typ, func(_ *journal.Event, e *fault.Effect) bool {
			e.Summary, e.Readings = long, map[string]float64{evil: 1}
			return true
		})
	}
	events = changed(t, events, journal.UndoRecorded, func(_ *journal.Event, u *target.Undo) bool {
		u.Manual = evil
		return true
	})
	for i := range events {
		if events[i].Experiment != "" {
			events[i].Experiment = name2(events[i].Experiment)
		}
		if events[i].Step != "" {
			events[i].Step = name2(events[i].Step)
		}
	}
	finding := journal.Event{Type: journal.FindingNoted, Experiment: events[1].Experiment, Data: []byte(`{"kind":"<b>","subject":"<b>","message":"<script>document.title=1</script>","closes":"ERROR"}`)}
	at := len(events) / 2
	return append(append(append([]journal.Event{}, events[:at]...), finding), events[at:]...)
}

func during(id string) string {
	if id == "" {
		return ""
	}
	return id + evil
}

func spoilCheck(c *plan.Check) {
	c.ID += evil
	for i := range c.Expect {
		c.Expect[i].Threshold, c.Expect[i].Override, c.Expect[i].Written = evil, evil, evil
	}
}

func TestHostileTextIsOnlyText(t *testing.T) {
	for _, name := range recorded {
		m := modelOf(t, hostile(t, name))
		if m.Run.RunID == "" || len(m.Experiments) != 1 || len(m.Experiments[0].Looks) == 0 {
			t.Fatal("the journal is not read as it should be")
		}
		for _, f := range Formats() {
			t.Run(name+" "+f.Name, func(t *testing.T) {
				text := written(t, f.Name, m)
				if !utf8.ValidString(text) {
					t.Error("not UTF-8")
				}
				if f.Name != "json" { // JSON escapes them
					wantNone(t, text, "\x00", "\x1b", "\u202e", "\u2066")
				}
				harmless[f.Name](t, m, text)
			})
		}
	}
}

// harmless says for each format what hostile text must not have become.
var harmless = map[string]func(*testing.T, Model, string){
	"json": func(t *testing.T, _ Model, text string) { reportSchema(t)(t, text) },
	"html": func(t *testing.T, _ Model, text string) {
		wantNone(t, text, "<script", "<img", "</title></script>", "<details> %0A", `onerror="`, "' onload='", `href="javascript`)
		wantAll(t, text, "&lt;script&gt;document.title=")
		if n := strings.Count(text, "<title>Gate"); n != 1 {
			t.Errorf("%d titles", n)
		}
	},
	"junit": func(t *testing.T, m Model, text string) {
		all := parseJUnit(t, text)
		if len(all.Suites) == 0 || !strings.Contains(all.Suites[0].Cases[0].Name, "<script>") {
			t.Error("the text is not there as text")
		}
	},
	"summary": func(t *testing.T, m Model, text string) {
		wantNone(t, text, "<script", "<img", "\n## heading", "\n::error")
		prose, diagram, _ := strings.Cut(text, "```mermaid\n")
		diagram, after, _ := strings.Cut(diagram, "```\n")
		wantNone(t, prose+after, "](", "**b**")
		for _, line := range strings.Split(strings.TrimSuffix(diagram, "\n"), "\n")[1:] {
			if n := strings.Count(line, `"`); n != 2 && n != 0 {
				t.Errorf("%d quotes in a line of the diagram: %s", n, line)
			}
		}
		rows := 0
		for _, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(line, "|") {
				rows++
				if n := strings.Count(line, "|"); n != 6 {
					t.Errorf("%d bars in a row of 5 cells: %s", n, line)
				}
			}
		}
		if rows != 3 {
			t.Errorf("%d rows, want 3: a header, a rule, an experiment", rows)
		}
		if n := strings.Count(text, "```"); n != 2 {
			t.Errorf("%d fences, want 2", n)
		}
	},
	"github": func(t *testing.T, m Model, _ string) { annotations(t, m) },
	"text": func(t *testing.T, m Model, text string) {
		if n, want := strings.Count(text, "\n"), len(m.Experiments)+len(m.Verdict.Reasons)+1; n != want {
			t.Errorf("%d lines, want %d: no text may break a line", n, want)
		}
	},
}
