package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chaosgate/pkg/executor"
	"chaosgate/pkg/guard"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/verdict"
)

// runFlags are the flags of `chaos run`.
type runFlags struct {
	selection
	jobs     int
	outputs  []string
	reports  string
	quiet    bool
	dryRun   bool
	rollback bool
	noColor  bool
	up       bool
	keep     bool
}

func runCommand(sys system) *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use: "run FILES...", Short: textRunShort, Long: textRunLong, Example: textRunExample, Args: someFiles(sys, "run"),
		RunE: func(c *cobra.Command, args []string) error {
			f.seeded = c.Flags().Changed("seed")
			return runExperiments(sys, f, args)
		},
	}
	f.anyRun(c)
	flags := c.Flags()
	flags.StringArrayVarP(&f.outputs, "output", "o", nil, fmt.Sprintf(textOutputFlag, strings.Join(formatNames(), ", ")))
	flags.BoolVar(&f.dryRun, "dry-run", false, textDryRunFlag)
	flags.BoolVar(&f.rollback, "rollback", false, textRollbackFlag)
	flags.BoolVar(&f.up, "up", false, textUpFlag)
	flags.BoolVar(&f.keep, "keep", false, textKeepFlag)
	return c
}

// anyRun adds the flags of every command that runs experiments.
func (f *runFlags) anyRun(c *cobra.Command) {
	f.selection.flags(c, textSeedFlag)
	flags := c.Flags()
	flags.IntVarP(&f.jobs, "jobs", "j", 1, textJobsFlag)
	flags.StringVar(&f.reports, "reports", defaultReports, textReportsFlag)
	flags.BoolVarP(&f.quiet, "quiet", "q", false, textQuietFlag)
	flags.BoolVar(&f.noColor, "no-color", false, textNoColorFlag)
}

func (f runFlags) rollbackMode() rollbackMode {
	if f.rollback {
		return rollFirst
	}
	return refuse
}

// a run on its way, from what was asked for to what it came to.
type running struct {
	sys     system
	flags   runFlags
	input   input
	outputs []output
	reports string // absolute
	talk    io.Writer
	style   style
	mode    executor.Mode
	control string                // of `chaos prove`: why this run is made; "" for a run that decides
	want    []verdict.State       // of a control: what its experiments must come to
	judged  func(verdict.Verdict) // is told what the run came to; may be nil
}

// runExperiments does the main job. Everything that can be found wrong is found before anything is touched, and until the executor starts nothing is
// left behind by any way out.
func runExperiments(sys system, f runFlags, args []string) error {
	r, err := newRunning(sys, f, args)
	if err != nil {
		return err
	}
	if err := r.checkUp(); err != nil {
		return err
	}
	return r.run()
}

// newRunning reads and checks everything that a run needs.
func newRunning(sys system, f runFlags, args []string) (running, error) {
	if f.jobs < 1 {
		return running{}, usage("", textJobsTooFew, f.jobs)
	}
	outputs, err := parseOutputs(sys, f.outputs, formatNames())
	if err != nil {
		return running{}, err
	}
	if !f.seeded {
		f.seed = uint64(rand.Uint32()) // short enough to be typed again
	}
	in, err := loadInput(sys, f.selection, args)
	if err != nil {
		return running{}, err
	}
	if err := in.refuse(sys); err != nil {
		return running{}, err
	}
	if err := in.unlocked(sys); err != nil {
		return running{}, err
	}
	r := running{sys: sys, flags: f, input: in, outputs: outputs, reports: sys.path(f.reports), talk: sys.stderr, style: sys.style(sys.stderr), mode: executor.Inject}
	if err := r.measurable(); err != nil {
		return running{}, err
	}
	if f.dryRun {
		r.mode = executor.DryRun
	}
	if f.noColor {
		r.style = style{}
	}
	return r, nil
}

func (r running) run() error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	out := newFeed(r.view())
	defer out.close()
	signals := onInterrupt(cancel, func(name string) { out.say(fmt.Sprintf(textInterrupted, name)) })
	defer signals.stop()
	free, err := r.hold(ctx) // also while an earlier run is rolled back, which starts what that one has left down
	if err != nil {
		return early(ctx, err)
	}
	defer free()
	services, err := r.prepare(ctx, out)
	if err != nil {
		return early(ctx, err)
	}
	tell := func(text string) { r.tell(out, text) }
	started, err := r.standUp(ctx, tell)
	if err != nil {
		return early(ctx, errors.Join(err, services.remove()))
	}
	s, err := r.begin(ctx, out, services.dir)
	if err != nil {
		return early(ctx, r.standDown(started, tell, cannot("", textCannotStart, errors.Join(err, services.remove()))))
	}
	tell(r.opening(s.id))
	go s.guards.watch(cancel)
	failed := make(chan error, 1)
	go func() {
		failed <- executor.Run(ctx, s.journal, r.input.plans, r.parts(s, services.programs), r.options())
	}()
	select {
	case err := <-failed:
		return r.standDown(started, r.tellAfter, r.finish(s, out, err, services.remove()))
	case signal := <-signals.again:
		if started != nil {
			out.say(fmt.Sprintf(textUpLeft, r.input.environment))
		}
		return r.stopNow(s, out, signal)
	}
}

// apart says whether each experiment gets an environment of its own, of a kind that experiments share otherwise: because others run beside it, or because it is weakened.
func (r running) apart() bool {
	return r.input.kind.shared && (r.flags.jobs > 1 || r.flags.weakened != "")
}

// measurable is an error if the server that measures would take other services for those of an experiment.
func (r running) measurable() error {
	if p := r.input.env.Prometheus; (r.flags.jobs > 1 || r.apart()) && !p.Embedded() && p.Discovery == "" {
		return usage(textJobsMixedHint, textJobsMixed, r.input.environment)
	}
	return nil
}

// tell says what --quiet does not want to hear.
func (r running) tell(out *feed, text string) {
	if !r.flags.quiet {
		out.say(text)
	}
}

// begin makes the run exist: its folder, its journal and its guard. After an error nothing of it is left.
func (r running) begin(ctx context.Context, out *feed, programs string) (*session, error) {
	s, err := openSession(r.sys, r.reports, runID(time.Now()), programs, out.observe)
	if err != nil {
		return nil, err
	}
	err = s.journal.Append(journal.Entry{Type: journal.RunStarted, Data: r.info(ctx, s.id)})
	if err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.discard())
	}
	return s, nil
}

// prepare does what must have gone well before the run exists.
func (r running) prepare(ctx context.Context, out *feed) (built, error) {
	var none built
	for _, dir := range []string{r.reports, filepath.Join(r.reports, guard.Registry), filepath.Join(r.input.dir, workFolder, binFolder)} {
		if to := leads(r.input.dir, dir); to != "" {
			return none, cannot("", textFolderLeadsOut, r.sys.shown(dir), to)
		}
	}
	if err := prepareReports(r.reports); err != nil {
		return none, cannot(textReportsHint, textReports, r.sys.shown(r.reports), reasonOf(err))
	}
	if err := checkOutputs(r.outputs); err != nil {
		return none, err
	}
	left, err := leftovers(ctx, r.reports)
	if err != nil {
		return none, err
	}
	if err := refuseOver(ctx, r.sys, func(text string) { r.tell(out, text) }, left, r.flags.rollbackMode()); err != nil {
		return none, err
	}
	return r.build(ctx, out)
}

func (r running) options() executor.Options {
	return executor.Options{Jobs: r.flags.jobs, Mode: r.mode}
}

func (r running) opening(id string) string {
	text := fmt.Sprintf(textRunStarts, r.style.bold(id), plural(len(r.input.plans), "experiment"), r.input.environment, r.flags.seed)
	if r.flags.jobs > 1 {
		text += fmt.Sprintf(textRunJobs, r.flags.jobs) + crowded(min(r.flags.jobs, len(r.input.plans)), runtime.NumCPU())
	}
	if r.flags.weakened != "" {
		text += fmt.Sprintf(textRunWeakened, r.flags.weakened)
	}
	if r.flags.dryRun {
		text += textRunDry
	}
	if r.control != "" {
		text += fmt.Sprintf(textRunControl, r.control)
	}
	return text
}

// crowded warns of more experiments at once than a machine carries: each is an environment, its traffic and its measuring.
func crowded(jobs, processors int) string {
	if jobs <= processors {
		return ""
	}
	return fmt.Sprintf(textRunCrowded, processors)
}

// view chooses how the run is shown.
func (r running) view() view {
	if r.flags.quiet {
		return silent{out: r.talk}
	}
	if f, ok := terminal(r.talk); ok && r.sys.env("TERM") != "dumb" {
		return newLive(r.talk, f, newLanes(r.style, r.flags.jobs))
	}
	return &lines{out: r.talk, style: r.style, narrator: newNarrator()}
}
