package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/executor"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/report"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/verdict"
)

// control is one way to make experiments close the gate: a run of some of them that is changed on purpose.
type control struct {
	name     string
	mode     executor.Mode
	weakened string
	change   func(plan.Plan) plan.Plan
	closes   func(experiment string) bool // whether the control is for an experiment
	want     []verdict.State              // what the experiments must come to
}

func proveCommand(sys system) *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use: "prove FILES...", Short: textProveShort, Long: textProveLong, Example: textProveExample, Args: someFiles(sys, "prove"),
		RunE: func(c *cobra.Command, args []string) error {
			f.seeded = c.Flags().Changed("seed")
			return prove(sys, f, args)
		},
	}
	f.anyRun(c)
	return c
}

// controlsOf are the controls that an environment allows: the three that need nothing, and its weakened variants.
func controlsOf(in input) []control {
	all := func(string) bool { return true }
	same := func(p plan.Plan) plan.Plan { return p }
	controls := []control{
		{"without-fault", executor.WithoutFault, "", same, all, []verdict.State{verdict.Inconclusive}},
		{"scrape-cut", executor.ScrapeCut, "", same, all, []verdict.State{verdict.Inconclusive}},
		{"impossible-limit", executor.Inject, "", plan.Impossible, all, []verdict.State{verdict.Fail}},
	}
	for _, variant := range sortedKeys(in.env.Weakened) {
		closes := in.env.Weakened[variant].Closes
		named := func(experiment string) bool { return slices.Contains(closes, experiment) }
		controls = append(controls, control{"weakened: " + variant, executor.Inject, variant, same, named, []verdict.State{verdict.Fail}})
	}
	return controls
}

// prove runs every control and says whether each experiment closed the gate in it, for the right reason.
func prove(sys system, f runFlags, args []string) error {
	r, err := newRunning(sys, f, args)
	if err != nil {
		return err
	}
	p := proof{style: r.style}
	for _, plan := range r.input.plans {
		p.experiments = append(p.experiments, plan.Name)
	}
	var runs []running
	for _, c := range controlsOf(r.input) {
		one := r.of(c)
		if len(one.input.plans) == 0 {
			continue
		}
		if err := one.measurable(); err != nil {
			return err
		}
		runs = append(runs, one)
	}
	free, err := r.hold(context.Background()) // nobody starts or ends the environment between two of them
	if err != nil {
		return err
	}
	defer free()
	for _, one := range runs {
		one.input.kind.hold = nil
		if err := p.run(one); err != nil {
			return err
		}
	}
	return p.conclude(r)
}

// proof collects what the controls came to.
type proof struct {
	style       style
	experiments []string
	report.Proof
}

// of is the run of one control, over the experiments that it is for.
func (r running) of(c control) running {
	plans := r.input.plans
	r.input.plans = nil
	for _, one := range plans {
		if c.closes(baseName(one.Name)) {
			r.input.plans = append(r.input.plans, c.change(one))
		}
	}
	r.mode, r.control, r.want, r.flags.weakened = c.mode, c.name, c.want, c.weakened
	return r
}

// run carries out one control.
func (p *proof) run(r running) error {
	r.sys.stdout = io.Discard
	var came verdict.Verdict
	r.judged = func(v verdict.Verdict) { came = v }
	if err := r.run(); err != nil && (came.RunID == "" || unsaid(err)) {
		return err // it was not carried out, or not to its end, or something of it is left
	}
	if came.Interrupted != "" || came.State == verdict.Dirty {
		return exitWith(came.ExitCode())
	}
	for _, e := range came.Experiments {
		p.Results = append(p.Results, report.ControlResult{
			Control: r.control, Experiment: e.Name, State: e.State, Closed: slices.Contains(r.want, e.State), Why: whyOf(e), Run: came.RunID,
		})
	}
	return nil
}

// baseName is the name of an experiment without its combination of a matrix.
func baseName(name string) string {
	base, _, _ := strings.Cut(name, "[")
	return base
}

func whyOf(e verdict.Experiment) string {
	for _, r := range e.Reasons {
		if r.State == e.State {
			return reason(verdict.Reason{Step: r.Step, Rule: r.Rule, Text: r.Text})
		}
	}
	return textProveNoReason
}

// conclude shows the table, keeps it, and fails unless every control has closed the gate.
func (p *proof) conclude(r running) error {
	for _, name := range p.experiments {
		if !slices.ContainsFunc(p.Results, func(c report.ControlResult) bool {
			return c.Experiment == name && strings.HasPrefix(c.Control, "weakened: ")
		}) {
			p.Unproven = append(p.Unproven, name)
		}
	}
	p.Absent = absent(r.input.env.Weakened, p.experiments)
	p.write(r.sys.stdout)
	p.writeAbsent(r.sys.stdout)
	path, err := p.Keep(r.reports)
	if err != nil {
		return cannot(textReportsHint, "%w", err)
	}
	fmt.Fprintf(r.sys.stdout, textProveKept, r.sys.shown(path))
	if open := p.Open(); len(open) > 0 {
		return &failure{code: verdict.ExitFail, err: errors.New(textProveOpen), hint: fmt.Sprintf(textProveOpenHint, open[0].Experiment, open[0].Control, open[0].Run)}
	}
	return nil
}

// absent finds the names under closes that no experiment has. One that looks like an experiment which the variant does not name is probably meant for it.
func absent(weakened map[string]spec.Weakened, experiments []string) []report.Absent {
	var all []report.Absent
	for _, variant := range sortedKeys(weakened) {
		closes, others := weakened[variant].Closes, []string{}
		for _, name := range experiments {
			if base := baseName(name); !slices.Contains(closes, base) {
				others = append(others, base)
			}
		}
		for _, name := range closes {
			if !slices.ContainsFunc(experiments, func(e string) bool { return baseName(e) == name }) {
				all = append(all, report.Absent{Variant: variant, Experiment: name, Hint: diag.DidYouMean(name, others)})
			}
		}
	}
	return all
}

// writeAbsent shows a line for each name that is probably wrong, and one for all others of a variant.
func (p *proof) writeAbsent(out io.Writer) {
	var lines []string
	others := map[string][]string{}
	for _, a := range p.Absent {
		if a.Hint == "" {
			others[a.Variant] = append(others[a.Variant], a.Experiment)
			continue
		}
		lines = append(lines, fmt.Sprintf(textProveAbsent+textProveMeant, a.Variant, a.Experiment, a.Hint))
	}
	for _, variant := range sortedKeys(others) {
		lines = append(lines, fmt.Sprintf(textProveAbsent, variant, strings.Join(others[variant], ", ")))
	}
	if len(lines) > 0 {
		fmt.Fprintln(out)
	}
	for _, line := range lines {
		fmt.Fprintf(out, "%s %s\n", p.style.yellow("?"), single(line))
	}
}

// write shows an experiment a line, with what it came to in each control.
func (p *proof) write(out io.Writer) {
	width := 0
	for _, name := range p.experiments {
		width = max(width, len(name))
	}
	for _, name := range p.experiments {
		fmt.Fprintf(out, "\n%s\n", p.style.bold(single(name)))
		for _, c := range p.Results {
			if c.Experiment != name {
				continue
			}
			mark, paint := "✓", p.style.green
			if !c.Closed {
				mark, paint = "✗", p.style.red
			}
			fmt.Fprintf(out, "  %s %-26s %-12s  %s\n", paint(mark), c.Control, c.State, p.style.dim(c.Why))
		}
		if slices.Contains(p.Unproven, name) {
			fmt.Fprintf(out, "  %s %s\n", p.style.yellow("?"), textProveNoVariant)
		}
	}
}
