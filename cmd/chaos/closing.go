package main

import (
	"fmt"
	"io"
	"strings"
	"time"

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
		fmt.Fprintf(out, "%s  %-*s  %s\n", s.state(e.State.String(), state), width, single(e.Name), s.dim(figures(e)))
	}
	fmt.Fprintln(out)
	if v.Gate == verdict.Open {
		text := textGateOpen
		if v.Injected() == 0 {
			text = textGateOpenBare
		}
		fmt.Fprintf(out, text, s.bold(s.green("GATE OPEN")), plural(len(v.Experiments), "experiment"), v.RunID, v.Seed)
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
	return fmt.Sprintf("%s%s [%s]", place, single(r.Text), r.Rule)
}

// atOnce is finer than a recovery can be seen: it is the usual time between two scrapes.
const atOnce = 250 * time.Millisecond

// figures are an experiment's main numbers.
func figures(e verdict.Experiment) string {
	if e.Wall == 0 {
		return textNeverEnded
	}
	text := fmt.Sprintf(textTook, short(time.Duration(e.Wall)), short(time.Duration(e.Critical)))
	switch {
	case e.Recovery == nil || e.Recovery.State != verdict.Pass:
		return text
	case time.Duration(e.Recovery.Took) < atOnce:
		return text + textRecoveredAtOnce
	}
	return text + fmt.Sprintf(textTookRecovery, short(time.Duration(e.Recovery.Took)))
}
