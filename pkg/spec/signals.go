package spec

import (
	"fmt"
	"maps"
	"slices"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/metrics"
)

// signals checks that what shows how a service fares are selectors, and that the databases are its own.
func (k *configChecker) signals(at string, s Signals, databases map[string]string) {
	for key, text := range map[string]string{"requests": s.Requests, "errors": s.Errors, "latency": s.Latency, "inside": s.Inside} {
		if text != "" {
			k.selector(at+"/"+key, text)
		}
	}
	if problem, hint := aHistogram(s.Latency); problem != "" {
		k.add(at+"/latency", "value", hint, "%s", problem)
	}
	for name, of := range s.Databases {
		pointer := at + "/databases/" + Escape(name)
		if _, ok := databases[name]; !ok {
			names := slices.Sorted(maps.Keys(databases))
			k.problems = append(k.problems, diag.Problem{Span: k.doc.Key(pointer), Severity: diag.Error, Rule: "unknown-database",
				Hint: diag.DidYouMean(name, names), Message: "there is no database " + name + " under databases"})
		}
		k.signals(pointer, of, nil)
	}
}

// selector reports what is no plain selector at its place inside the scalar.
func (k *configChecker) selector(pointer, text string) {
	if err := metrics.PlainSelector(text); err != nil {
		k.problems = append(k.problems, diag.Problem{Span: k.doc.within(pointer, err), Severity: diag.Error, Rule: "promql", Message: fmt.Sprintf(textNotPromQL, err)})
	}
}
