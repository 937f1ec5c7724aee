package metrics

import (
	"fmt"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

// The engine takes memory for every step of a subquery before it looks at the time or at its limit of samples, so years of milliseconds would end this program.
const (
	maxSteps = 50_000
	// leastStep stands for the step of a subquery that has none of its own: the scrape interval, which is not known here.
	leastStep = 50 * time.Millisecond
)

// steps is an error if a subquery has too many steps. One that is inside of others is evaluated over their ranges as well.
func steps(expr parser.Expr) error {
	var found error
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		s, ok := node.(*parser.SubqueryExpr)
		if !ok || found != nil {
			return nil
		}
		whole := s.Range.Seconds()
		for _, around := range path {
			if outer, ok := around.(*parser.SubqueryExpr); ok {
				whole += outer.Range.Seconds()
			}
		}
		step := s.Step
		if step <= 0 {
			step = leastStep
		}
		if n := whole / step.Seconds(); n > maxSteps {
			at := s.PositionRange()
			found = &ParseError{Start: int(at.Start), End: int(at.End), Message: fmt.Sprintf("the subquery has %.0f steps, expected at most %d", n, maxSteps)}
		}
		return nil
	})
	return found
}
