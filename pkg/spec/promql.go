package spec

import (
	"errors"
	"strings"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/metrics"
)

// placeholder is a duration as long as the variable it stands for, so that positions in an expression stay right: "$window" has seven letters,
// "$interval" nine.
func placeholder(query string) string {
	return strings.NewReplacer(metrics.WindowVariable, "000005s", metrics.IntervalVariable, "00000005s").Replace(query)
}

func (c *checker) promql(pointer string, p *Promql) {
	if _, n := c.e.Doc.find(pointer); n != nil && c.e.Doc.Has(pointer+"/query") {
		if p.NoData == "zero" && p.Presence == "" {
			c.key(pointer+"/noData", "looking", "add presence: with a selector that always has data", "noData: zero would take a typo for zero")
		}
		if p.Presence != "" {
			c.selector(pointer+"/presence", p.Presence)
		}
		pointer += "/query"
	}
	if matrixUse.MatchString(p.Query) {
		return // checked when it is expanded
	}
	c.expression(pointer, p.Query, func() error { _, err := metrics.Parse(placeholder(p.Query)); return err })
	if err := metrics.Shifted(placeholder(p.Query)); err != nil {
		c.at(c.e.Doc.within(pointer, err), "shifted", hintShifted, "%v", err)
	}
}

const hintShifted = "leave it out; baseline: before compares with the steady state"

// expression reports a PromQL error at its place inside the scalar.
func (c *checker) expression(pointer, text string, parse func() error) {
	if err := parse(); err != nil {
		c.at(c.e.Doc.within(pointer, err), "promql", hintFor(text), textNotPromQL, err)
	}
}

const textNotPromQL = "not PromQL: %v"

// within is the place of a PromQL error inside of the scalar, or the whole of it.
func (d *Document) within(pointer string, err error) diag.Span {
	var where *metrics.ParseError
	if errors.As(err, &where) {
		return d.Inside(pointer, where.Start, where.End-where.Start)
	}
	return d.Value(pointer)
}

func hintFor(text string) string {
	if strings.Contains(text, "${") {
		return "only $window and $interval are filled in"
	}
	return ""
}

// aHistogram answers what is wrong with a selector that names the buckets of a histogram instead of itself, and the mend; nothing if it does not, or is no selector.
func aHistogram(text string) (problem, hint string) {
	all, err := metrics.Selectors(text)
	if err != nil || len(all) != 1 {
		return "", ""
	}
	name, are := strings.CutSuffix(all[0].Name, "_bucket")
	if !are || name == "" {
		return "", ""
	}
	return all[0].Name + " are the buckets of a histogram, expected the histogram's own name", "write " + name
}

func (c *checker) histogram(pointer, text string) {
	c.selector(pointer, text)
	if problem, hint := aHistogram(text); problem != "" && !matrixUse.MatchString(text) {
		c.value(pointer, "value", hint, "%s", problem)
	}
}

func (c *checker) selector(pointer, text string) {
	if matrixUse.MatchString(text) {
		return
	}
	c.expression(pointer, text, func() error { return metrics.PlainSelector(text) })
}
