package metrics

import (
	"fmt"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

// Shifted finds the first part of an expression that looks at another time than the one it is asked for: an offset, or @. The error is a *ParseError; it is nil where
// there is none, and where the text is no PromQL.
func Shifted(query string) error {
	return firstWhere(query, func(n parser.Node, _ []parser.Node) string {
		switch n := n.(type) {
		case *parser.VectorSelector:
			return shift(n.OriginalOffset, n.Timestamp, n.StartOrEnd)
		case *parser.SubqueryExpr:
			return shift(n.OriginalOffset, n.Timestamp, n.StartOrEnd)
		}
		return ""
	})
}

func shift(offset time.Duration, at *int64, edge parser.ItemType) string {
	switch {
	case offset != 0:
		return "offset looks at another time than that of the check"
	case at != nil || edge != 0:
		return "@ looks at another time than that of the check"
	}
	return ""
}

// Reach finds the first part of an expression that looks further back than limit: a range, to which those of the subqueries around it are added, for they move it
// back. The error is a *ParseError; it is nil where there is none, and where the text is no PromQL.
func Reach(query string, limit time.Duration) error {
	return firstWhere(query, func(n parser.Node, path []parser.Node) string {
		back := rangeOf(n)
		if back == 0 {
			return ""
		}
		for _, outer := range path {
			back += rangeOf(outer)
		}
		if back <= limit {
			return ""
		}
		return fmt.Sprintf("it looks %v back", back)
	})
}

// rangeOf is how far a node by itself looks back.
func rangeOf(n parser.Node) time.Duration {
	switch n := n.(type) {
	case *parser.MatrixSelector:
		return n.Range
	case *parser.SubqueryExpr:
		return n.Range
	}
	return 0
}

// firstWhere answers the first node of which something is said, from the outside in.
func firstWhere(query string, say func(parser.Node, []parser.Node) string) error {
	expr, err := promqlParser().ParseExpr(query)
	if err != nil {
		return nil // told by Parse
	}
	var found error
	parser.Inspect(expr, func(n parser.Node, path []parser.Node) error {
		if n == nil || found != nil {
			return nil
		}
		if said := say(n, path); said != "" {
			where := n.PositionRange()
			found = &ParseError{Start: int(where.Start), End: int(where.End), Message: said}
		}
		return nil
	})
	return found
}
