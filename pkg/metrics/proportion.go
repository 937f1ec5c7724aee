package metrics

import (
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// Proportion recognises an expression whose top level divides how much some counters rose by how much others did, the first being a part of the second, and answers
// the queries for both numbers of events: such a ratio is worth as much as the events it is made of. Either the counters have one name, or they are a bucket and the
// count of one histogram, or both count events (they end in _total or _count and not in a unit). Anything else, such as a mean, is no proportion.
func Proportion(query string) (part, total string, ok bool) {
	expr, err := Parse(query)
	if err != nil {
		return "", "", false
	}
	division, ok := bare(expr).(*parser.BinaryExpr)
	if !ok || division.Op != parser.DIV {
		return "", "", false
	}
	part, of, ok := risen(division.LHS)
	if !ok {
		return "", "", false
	}
	total, whole, ok := risen(division.RHS)
	return part, total, ok && partOf(of, whole)
}

// bare takes parentheses off.
func bare(expr parser.Expr) parser.Expr {
	for {
		p, ok := expr.(*parser.ParenExpr)
		if !ok {
			return expr
		}
		expr = p.Expr
	}
}

// risen recognises sum(rate(counter[range])) and sum(increase(...)), and answers the latter and the counter's name.
func risen(expr parser.Expr) (query, name string, ok bool) {
	sum, ok := bare(expr).(*parser.AggregateExpr)
	if !ok || sum.Op != parser.SUM || sum.Without || len(sum.Grouping) > 0 {
		return "", "", false
	}
	call, ok := bare(sum.Expr).(*parser.Call)
	if !ok || call.Func.Name != "rate" && call.Func.Name != "increase" {
		return "", "", false
	}
	window, ok := bare(call.Args[0]).(*parser.MatrixSelector)
	if !ok {
		return "", "", false
	}
	selector, ok := window.VectorSelector.(*parser.VectorSelector)
	if !ok {
		return "", "", false
	}
	return "sum(increase(" + window.String() + "))", selectorOf(selector).Name, true
}

// units are the endings of counters that do not count events.
var units = []string{"_seconds", "_bytes", "_joules", "_meters", "_ratio", "_celsius", "_volts", "_amperes", "_grams"}

func partOf(part, whole string) bool {
	if histogram, ok := strings.CutSuffix(part, "_bucket"); ok {
		return whole == histogram+"_count" || whole == part
	}
	return part != "" && (part == whole || counts(part) && counts(whole))
}

// counts says whether a counter of this name counts events. The _count of a histogram does, whatever that measures.
func counts(name string) bool {
	if strings.HasSuffix(name, "_count") {
		return true
	}
	stem, ok := strings.CutSuffix(name, "_total")
	return ok && !slices.ContainsFunc(units, func(u string) bool { return strings.HasSuffix(stem, u) })
}
