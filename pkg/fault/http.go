package fault

import (
	"chaosgate/pkg/intercept"
	"chaosgate/pkg/target"
)

// requests are those that a fault on HTTP requests means; http.abort and http.delay say what becomes of them.
type requests struct {
	fault intercept.Fault
	what  string // "30% of POST requests to /work"
}

// The parameters that say which requests.
var (
	methodParam = Param{Name: "method", Type: Text, Choices: []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, Without: "any", Doc: "of the requests that are meant; without it any"}
	pathParam   = Param{Name: "path", Type: Text, Without: "any", Doc: "of the requests that are meant, decoded and without the query: exactly this one or, with a `*` at its end, all that begin so; without it any"}
	partParam   = Param{Name: "probability", Type: Percent, Default: "100%", Min: "0.1%", Max: "100%", Doc: "of each request that is meant by itself"}
)

func requestsOf(p Params) requests {
	r := requests{fault: intercept.Fault{Method: p.Text("method"), Path: p.Text("path"), Probability: p.Percent("probability")}, what: "requests"}
	if r.fault.Method != "" {
		r.what = r.fault.Method + " requests"
	}
	if r.fault.Path != "" {
		r.what += " to " + r.fault.Path
	}
	if r.fault.Probability < 1 {
		r.what = p.Text("probability") + " of " + r.what
	}
	return r
}

// checkPath refuses a path that no request can have.
func checkPath(p Params) []ParamProblem {
	if path, given := p["path"]; given && path == "" {
		return []ParamProblem{{Name: "path", Message: "path is empty", Hint: "leave it out for any"}}
	}
	if err := intercept.CheckPath(p.Text("path")); err != nil {
		return []ParamProblem{{Name: "path", Message: err.Error()}}
	}
	return nil
}

func (r requests) impairment() target.LinkFault { return target.LinkFault{HTTP: r.fault} }

// met says whether a request was answered or held. That others passed proves nothing.
func (r requests) met(moved target.LinkStats) bool { return moved.Hit > 0 }

// certain says whether a round trip like one before the fault must meet it.
func (r requests) certain(before target.Answer) bool {
	return r.fault.Probability >= 1 && r.fault.Matches("GET", before.Path)
}
