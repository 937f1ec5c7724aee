package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/verdict"
)

// closing says what a run came to: an experiment a line, then the gate and everything that closes it.
func closing(out io.Writer, s style, v verdict.Verdict) {
	fmt.Fprintln(out)
	width := 0
	for _, e := range v.Experiments {
		width = max(width, len(e.Name))
	}
	for _, e := range v.Experiments {
		state := fmt.Sprintf("%-12s", e.State)
		fmt.Fprintf(out, "%s  %-*s  %s\n", s.state(e.State.String(), state), width, e.Name, s.dim(figures(e)))
	}
	fmt.Fprintln(out)
	if v.Gate == verdict.Open {
		fmt.Fprintf(out, textGateOpen, s.bold(s.green("GATE OPEN")), plural(len(v.Experiments), "experiment"), v.RunID, v.Seed)
		return
	}
	fmt.Fprintf(out, textGateClosed, s.bold(s.red("GATE CLOSED")), v.State, v.RunID, v.Seed)
	for _, r := range v.Reasons {
		fmt.Fprintf(out, "  %s %s\n", s.state(r.State.String(), r.State.String()), reason(r))
	}
}

// reason is one thing that closes the gate, with its place and the rule.
func reason(r verdict.Reason) string {
	place := strings.Trim(r.Experiment+"/"+r.Step, "/")
	if place != "" {
		place += ": "
	}
	return fmt.Sprintf("%s%s [%s]", place, diag.Printable(r.Text), r.Rule)
}

// figures are an experiment's main numbers.
func figures(e verdict.Experiment) string {
	text := fmt.Sprintf(textTook, short(time.Duration(e.Wall)), short(time.Duration(e.Critical)))
	if e.Recovery != nil && e.Recovery.State == verdict.Pass {
		text += fmt.Sprintf(textTookRecovery, short(time.Duration(e.Recovery.Took)))
	}
	return text
}
