package metrics

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// instant sees that an answer is one to an instant query: a point a series, for the time that was asked for. Something between us and the server may answer from
// a cache, or another query's.
func (r *Remote) instant(result Result, v model.Value) error {
	if v.Type() == model.ValMatrix {
		return r.explain(fmt.Sprintf("asking %q", result.Query), errors.New("the answer is a matrix, not a value for each series"))
	}
	for _, s := range result.Series {
		if t := s.Points[0].T; t != result.At.UnixMilli() {
			return r.explain(fmt.Sprintf("asking %q", result.Query),
				fmt.Errorf("the answer is for %s, and asked was for %s", time.UnixMilli(t).UTC().Format(time.RFC3339Nano), result.At.UTC().Format(time.RFC3339Nano)))
		}
	}
	return nil
}

// scoped gives every selector of a query the matcher of the experiment.
func (r *Remote) scoped(query string) (string, error) {
	if r.scope == nil {
		return query, nil
	}
	expr, err := Parse(query)
	if err != nil {
		return "", err
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if v, ok := node.(*parser.VectorSelector); ok {
			v.LabelMatchers = append(v.LabelMatchers, r.scope)
		}
		return nil
	})
	return expr.String(), nil
}
