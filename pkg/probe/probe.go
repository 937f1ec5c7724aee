package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/mask"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

// Deps is what probes look with. Secrets are taken out of whatever is seen, before anything is made of it; Reveal fills those into a header that the project's
// configuration allows there. Both may be nil.
type Deps struct {
	Source      metrics.Source
	Environment target.Environment
	Dir         string // the project's folder: where commands run
	Secrets     *mask.Set
	Reveal      func(header string) string
}

// Window is the stretch of a phase that a metric probe looks over. Both ends are times of flushed scrapes. The baseline's ends are those of the
// steady state; they are zero where there is none.
type Window struct {
	Phase                    journal.PhaseName
	From, To                 time.Time
	BaselineFrom, BaselineTo time.Time
}

// Kind is a row of the catalogue.
type Kind struct {
	Name string
	Doc  string // one sentence, for the documentation
	look looker
}

type looker func(context.Context, Deps, plan.Check, Window) journal.Observation

// Catalogue lists the kinds of probes.
func Catalogue() []Kind {
	return []Kind{
		{"promql", "Asks PromQL; exactly one series, or all or any of several, must meet the expectation.", lookPromql},
		{"ratio", "How large a part of all events were of one sort, from two counters, with an interval for how sure that is.", lookRatio},
		{"quantile", "A quantile of a classic histogram, with the number of observations behind it.", lookQuantile},
		{"http", "Sends one request to a service, as a caller from outside.", lookHTTP},
		{"tcp", "Opens a connection to a service, as a caller from outside, and sees whether it stays open.", lookTCP},
		{"exec", "Runs a command without a shell in the project's folder.", lookExec},
		{"state", "Reads the state of all instances of a service from the system.", lookState},
	}
}

// Look looks once. It never judges and never fails: what went wrong is in the observation, as Error if we could not look and as Missing if there
// was nothing to see. It takes no longer than ctx allows, or plan.LookTimeout if ctx has no deadline. Offset is left to the caller, who knows when the step began.
// It is safe for concurrent use.
func Look(ctx context.Context, d Deps, c plan.Check, w Window) journal.Observation {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(plan.LookTimeout))
		defer cancel()
	}
	begun := time.Now()
	look := lookAs(c.Probe.Kind)
	o := d.masked(look(ctx, d, c, w))
	if paced, ok := d.Source.(metrics.Paced); ok && c.Probe.Metric() && o.Error == "" {
		outer := d.masked(lookWider(ctx, paced, look, d, c, w, o))
		o.Outer = &outer
	}
	o.Took = target.Duration(time.Since(begun))
	o.Phase = w.Phase
	if o.At.IsZero() {
		o.At = begun
	}
	return o
}

func lookAs(kind string) looker {
	var names []string
	for _, k := range Catalogue() {
		if k.Name == kind {
			return k.look
		}
		names = append(names, k.Name)
	}
	return func(context.Context, Deps, plan.Check, Window) journal.Observation {
		return failed(fmt.Errorf("there is no probe %q, only %s", kind, strings.Join(names, ", ")))
	}
}

func failed(err error) journal.Observation { return journal.Observation{Error: err.Error()} }

// Unanswered is what a look has seen that the end of its phase cut short while it waited: nothing, for as long as it took. Of a service that is a fact, like a
// time limit that was reached; of anything else it is that we could not look.
func Unanswered(c plan.Check, cut journal.Observation, took time.Duration) journal.Observation {
	sentence := "no answer in " + round(took).String() + ", until its phase was over"
	o := journal.Observation{Phase: cut.Phase, Offset: cut.Offset, At: cut.At, From: cut.From, Query: cut.Query, Source: cut.Source, Took: target.Duration(took)}
	switch c.Probe.Kind {
	case "http":
		o.Numbers = map[string]float64{"status": 0, "latency_seconds": took.Seconds()}
	case "tcp":
		o.Numbers = map[string]float64{"connected": 0, "latency_seconds": took.Seconds()}
	default:
		o.Error = sentence
		return o
	}
	o.Text = map[string]string{"problem": sentence}
	return o
}

// masked is an observation without secrets: it is judged as it is kept.
func (d Deps) masked(o journal.Observation) journal.Observation {
	if d.Secrets.Empty() {
		return o
	}
	for name, text := range o.Text {
		o.Text[name] = d.Secrets.Text(text)
	}
	for i, text := range o.Warnings {
		o.Warnings[i] = d.Secrets.Text(text)
	}
	for _, s := range slices.Concat(o.Series, o.Baseline) {
		for name, v := range s.Labels {
			s.Labels[name] = d.Secrets.Text(v)
		}
	}
	o.Missing, o.Error = d.Secrets.Text(o.Missing), d.Secrets.Text(o.Error)
	return o
}

// ended says why a look was ended before it was answered. The probe's own time limit is a fact about what was asked; being interrupted, or the
// experiment running out of time, is none.
func ended(ctx context.Context, begun time.Time) (sentence string, ownLimit bool) {
	cause := context.Cause(ctx)
	if cause != nil && cause != context.DeadlineExceeded { // not errors.Is: with a cause it is somebody else's deadline
		return "the look was cut short: " + cause.Error(), false
	}
	limit := time.Since(begun)
	if deadline, ok := ctx.Deadline(); ok && cause != nil {
		limit = deadline.Sub(begun)
	}
	if limit <= 0 {
		return "the time for the look was over before it could ask", false
	}
	return "no answer within " + round(limit).String(), true
}

// explain puts the sentence first if it was the context that ended, and keeps what else went wrong.
func explain(ctx context.Context, begun time.Time, err error) error {
	if ctx.Err() == nil {
		return err
	}
	sentence, _ := ended(ctx, begun)
	if err.Error() == context.Cause(ctx).Error() || err.Error() == ctx.Err().Error() {
		return errors.New(sentence)
	}
	return fmt.Errorf("%s (%w)", sentence, err)
}

// round leaves out what nobody reads in a sentence.
func round(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > 10*time.Millisecond:
		return d.Round(time.Millisecond)
	default:
		return d.Round(10 * time.Microsecond)
	}
}
