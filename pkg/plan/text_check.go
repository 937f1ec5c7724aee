package plan

import (
	"fmt"
	"strings"
	"time"

	"chaosgate/pkg/metrics"
	"chaosgate/pkg/quantity"
)

// writeCheck writes a check in one line, and below it the PromQL that it becomes or what it sends, unless that stands at the check that it reuses.
func (p *Plan) writeCheck(w *writer, indent int, c Check, around ...string) {
	before, after := "", ""
	if len(around) == 2 {
		before, after = around[0], around[1]
	}
	optional := ""
	if !c.Required {
		optional = " [shown only]"
	}
	name := c.ID
	if c.Reuses != "" {
		name += " (again: " + c.Reuses + ")"
	}
	w.line(indent, "%s%s: %s, %s%s%s%s%s", before, name, c.subject(), c.expected(), c.looks(), c.apart(), optional, after)
	if c.Probe.Metric() {
		w.line(indent+1, "%s", c.query(time.Duration(p.Interval)))
	}
	if c.Reuses == "" {
		w.below(indent, sent(c.Probe.HTTP, c.Probe.Exec))
	}
}

// apart is what holds for the check instead of what holds for all.
func (c Check) apart() string {
	text := ""
	if q := c.Probe.Promql; q != nil {
		switch q.NoData {
		case "fail":
			text = ", no data fails"
		case "zero":
			text = ", no data is 0 while there is some of " + q.Presence
		}
	}
	if c.Timeout > 0 {
		text += ", a look may take " + dur(c.Timeout)
	}
	return text
}

func (c Check) subject() string {
	switch x := c.Probe; {
	case x.Ratio != nil, x.Promql != nil && x.Promql.Proportion:
		return "ratio of events"
	case x.Quantile != nil:
		return fmt.Sprintf("%g-quantile", x.Quantile.Q)
	case x.HTTP != nil:
		return fmt.Sprintf("%s %s%s", x.HTTP.Method, x.HTTP.Service, x.HTTP.Path)
	case x.TCP != nil:
		return "connection to " + x.TCP.Service
	case x.Exec != nil:
		return fmt.Sprintf("command %q", x.Exec.Command)
	case x.State != nil:
		return "state of " + x.State.Service
	case x.Promql != nil && x.Promql.Each != "":
		return x.Promql.Each + " series"
	}
	return "value"
}

var operators = map[Op]string{Min: ">=", Max: "<=", Equals: "=", Between: "between", MaxIncrease: "rises by at most", MaxDecrease: "falls by at most", Class: "is", Contains: "", Matches: "", JSONEquals: ""}

func (c Check) expected() string {
	var parts []string
	for _, e := range c.Expect {
		subject := strings.ReplaceAll(strings.TrimSuffix(e.On, "_seconds"), "_", " ") + " "
		if e.On == "value" {
			subject = ""
		}
		parts = append(parts, strings.TrimSpace(subject+operators[e.Op]+" "+e.words()))
	}
	return "expect " + strings.Join(parts, " and ")
}

// words is a limit with where it comes from.
func (e Expect) words() string {
	text := e.Written
	if e.Threshold == "" {
		return text
	}
	text = quantity.Format(e.Limit, e.Unit)
	if e.Op == Between {
		text += " to " + quantity.Format(e.High, e.Unit)
	}
	text += " ($" + e.Threshold
	if e.Override != "" {
		text += ", set by environment " + e.Override
	}
	return text + ")"
}

// looks says when the check looks.
func (c Check) looks() string {
	window := ""
	if c.Probe.Metric() {
		window = ", over the whole phase"
		if c.Window > 0 {
			window = ", window " + dur(c.Window)
		}
	}
	switch c.Mode {
	case Continuous:
		hold := ", all looks must hold"
		switch {
		case c.Hold.MinRatio > 0:
			hold = fmt.Sprintf(", %g%% of looks must hold", c.Hold.MinRatio*100)
		case c.Hold.MaxBreach > 0:
			hold = ", no breach over " + dur(c.Hold.MaxBreach)
		}
		if c.For > 0 {
			return window + ", every " + dur(c.Every) + " for " + dur(c.For) + hold
		}
		return window + ", every " + dur(c.Every) + hold
	case Eventually:
		text := window + ", within " + dur(c.Within)
		if c.For > 0 {
			text += " and then for " + dur(c.For)
		}
		return text + ", every " + dur(c.Every)
	}
	if c.Baseline {
		window += ", against the steady state in samples of " + dur(c.Sample)
	}
	return window
}

// query is the PromQL as it will be asked; $window stays where the phase decides it.
func (c Check) query(interval time.Duration) string {
	const open = 24 * time.Hour
	w := time.Duration(c.Window)
	if w == 0 {
		w = open
	}
	text := ""
	switch x := c.Probe; {
	case x.Ratio != nil:
		r, _ := metrics.Ratio(x.Ratio.Part, x.Ratio.Total, w)
		text = r.Value
	case x.Quantile != nil:
		r, _ := metrics.Quantile(x.Quantile.Q, x.Quantile.Of, w)
		text = r.Value
	case x.Promql != nil && c.Window == 0:
		return strings.Join(strings.Fields(x.Promql.Query), " ")
	default:
		text = metrics.Render(x.Promql.Query, w, interval)
	}
	if c.Window == 0 {
		text = strings.ReplaceAll(text, millis(Duration(open)), metrics.WindowVariable)
	}
	return strings.Join(strings.Fields(text), " ")
}
