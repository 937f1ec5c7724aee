package main

import (
	"context"
	"sync/atomic"
	"time"

	"chaosgate/pkg/executor"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/quantity"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
	"chaosgate/pkg/traffic"
)

// load is an experiment's traffic as the executor knows it.
type load struct{ *traffic.Generator }

func (l load) Stop(ctx context.Context) string { return l.Generator.Stop(ctx).Problem() }

func startLoad(secrets vault) func(context.Context, plan.Plan, target.Environment) (executor.Load, error) {
	return func(ctx context.Context, p plan.Plan, env target.Environment) (executor.Load, error) {
		g, err := traffic.Start(ctx, secrets.revealed(p.Traffic), env.URL)
		if err != nil {
			return nil, err
		}
		return load{g}, nil
	}
}

// measuring answers how an experiment is measured in an environment: by a server if it names one, else by a scraper of our own, which also reads the
// traffic's view.
func measuring(from spec.Prometheus, getenv func(string) string) func(context.Context, plan.Plan, target.Environment, executor.Load) (executor.Metrics, error) {
	return func(ctx context.Context, p plan.Plan, env target.Environment, l executor.Load) (executor.Metrics, error) {
		if from.URL == "" || from.URL == "embedded" {
			return metrics.NewScraper(time.Duration(p.Interval), scrapeTargets(env), collectors(l)), nil
		}
		return openRemote(ctx, from, getenv)
	}
}

func scrapeTargets(env target.Environment) []metrics.Target {
	var targets []metrics.Target
	for _, s := range env.Scrapes() {
		targets = append(targets, metrics.Target{URL: s.URL, Labels: s.Labels})
	}
	return targets
}

func collectors(l executor.Load) []metrics.Collector {
	if running, ok := l.(load); ok {
		return []metrics.Collector{running.Collector()}
	}
	return nil
}

// server is a real Prometheus. It scrapes by its own clock, so there is nothing to flush; what it is cut off from is us.
type server struct {
	*metrics.Remote
	cut atomic.Bool
}

func (s *server) Flush(ctx context.Context) error { return ctx.Err() }

func (s *server) Cut() { s.cut.Store(true) }

func (s *server) Close() error { return nil }

// Query implements metrics.Source.
func (s *server) Query(ctx context.Context, query string, at time.Time) (metrics.Result, error) {
	if s.cut.Load() {
		return metrics.Result{Query: query, At: at, Series: []metrics.Series{}, Warnings: []string{}, Source: s.Describe()}, nil
	}
	return s.Remote.Query(ctx, query, at)
}

func openRemote(ctx context.Context, from spec.Prometheus, getenv func(string) string) (executor.Metrics, error) {
	var timeout time.Duration
	if from.Timeout != "" {
		var err error
		if timeout, err = quantity.ParseDuration(from.Timeout); err != nil {
			return nil, err
		}
	}
	r, err := metrics.NewRemote(metrics.RemoteOptions{
		URL: from.URL, Timeout: timeout, BearerTokenEnv: from.BearerTokenEnv, UsernameEnv: from.UsernameEnv, PasswordEnv: from.PasswordEnv,
		CAFile: from.CAFile, CertFile: from.CertFile, KeyFile: from.KeyFile, ServerName: from.ServerName, Getenv: getenv,
	})
	if err != nil {
		return nil, err
	}
	// A wrong URL is found before anything is injected.
	if _, err := r.Check(ctx); err != nil {
		return nil, err
	}
	return &server{Remote: r}, nil
}
