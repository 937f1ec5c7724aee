package main

import (
	"fmt"
	"strings"

	"chaosgate/pkg/journal"
)

// subject says what is left to undo, for a sentence: "service.pause on service-b-1 (paused-worker)".
func subject(p journal.PendingUndo) string {
	text := p.Kind
	switch {
	case p.Target.Instance != "":
		text += " on " + p.Target.Instance
	case p.Target.Service != "":
		text += " on " + p.Target.Service
	}
	if p.Step != "" {
		return fmt.Sprintf("%s (%s/%s)", text, p.Experiment, p.Step)
	}
	return fmt.Sprintf("%s (%s)", text, p.Experiment)
}

func subjects(all []journal.PendingUndo) string {
	var names []string
	for _, p := range all {
		names = append(names, subject(p))
	}
	return strings.Join(names, ", ")
}

// manualHint lists the commands a person could run when everything else has failed.
func manualHint(all []journal.PendingUndo) string {
	var commands []string
	for _, p := range all {
		if p.Manual != "" {
			commands = append(commands, "    "+p.Manual)
		}
	}
	if len(commands) == 0 {
		return ""
	}
	return textByHand + "\n" + strings.Join(commands, "\n")
}
