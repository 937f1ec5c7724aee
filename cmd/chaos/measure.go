package main

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"time"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/executor"
	"chaosgate/pkg/journal"
	"chaosgate/pkg/metrics"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/progress"
	"chaosgate/pkg/quantity"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
	"chaosgate/pkg/traffic"
)

// load is an experiment's traffic as the executor knows it.
type load struct{ *traffic.Generator }

func (l load) Stop(ctx context.Context, judged journal.Stretch) (problem string, missed uint64) {
	sum := l.Generator.Stop(ctx)
	return sum.Problem(), l.Missed(judged.From, judged.To)
}

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
// traffic's view. A server is also told where the experiment is.
func (r running) measuring(run string, where *progress.Progress) func(context.Context, plan.Plan, target.Environment, executor.Load, target.RecordUndo) (executor.Metrics, error) {
	from := r.input.env.Prometheus
	return func(ctx context.Context, p plan.Plan, env target.Environment, l executor.Load, record target.RecordUndo) (executor.Metrics, error) {
		if from.Embedded() {
			return metrics.NewScraper(time.Duration(p.Interval), scrapeTargets(env), collectors(l)), nil
		}
		s := server{from: from, root: r.input.dir, getenv: r.sys.env, experiment: run + "/" + p.Name}
		return s.open(ctx, p, env, append(published(l), where.Collector(p.Name)), record)
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

// server is the Prometheus server of an environment, and the experiment that it is to measure.
type server struct {
	from       spec.Prometheus
	root       string // of the project
	getenv     func(string) string
	experiment string // unique among all runs
}

// open connects, tells the server what to scrape where that is asked for, and returns when it does.
func (s server) open(ctx context.Context, p plan.Plan, env target.Environment, ours []metrics.Collector, record target.RecordUndo) (executor.Metrics, error) {
	r, err := s.connect(ctx, time.Duration(p.Interval))
	if err != nil {
		return nil, err
	}
	targets := scrapeTargets(env)
	var services []string
	for _, t := range targets {
		services = append(services, t.Labels["service"])
	}
	var a *metrics.Announcement
	if s.from.Discovery != "" {
		if a, err = s.announce(targets, ours, record); err != nil {
			return nil, err
		}
	}
	measured := metrics.NewServer(r, time.Duration(p.Interval), services, a)
	if err := measured.Await(ctx); err != nil {
		return nil, errors.Join(err, measured.Close())
	}
	return measured, nil
}

// connect finds a wrong URL before anything is injected.
func (s server) connect(ctx context.Context, interval time.Duration) (*metrics.Remote, error) {
	var timeout time.Duration
	if s.from.Timeout != "" {
		var err error
		if timeout, err = quantity.ParseDuration(s.from.Timeout); err != nil {
			return nil, err
		}
	}
	o := metrics.RemoteOptions{
		URL: s.from.URL, Timeout: timeout, BearerTokenEnv: s.from.BearerTokenEnv, UsernameEnv: s.from.UsernameEnv, PasswordEnv: s.from.PasswordEnv,
		CAFile: s.from.CAFile, CertFile: s.from.CertFile, KeyFile: s.from.KeyFile, ServerName: s.from.ServerName, Getenv: s.getenv, Interval: interval,
	}
	if s.from.Discovery != "" {
		o.Experiment = s.experiment
	}
	r, err := metrics.NewRemote(o)
	if err != nil {
		return nil, err
	}
	_, err = r.Check(ctx)
	return r, err
}

// announced is what takes an announcement back.
type announced struct {
	Path string `json:"path"`
}

// discoveryUndo is the kind of that undo.
const discoveryUndo = "prometheus.discovery"

func (s server) announce(targets []metrics.Target, ours []metrics.Collector, record target.RecordUndo) (*metrics.Announcement, error) {
	folder := s.from.Discovery
	if !filepath.IsAbs(folder) {
		folder = filepath.Join(s.root, folder)
	}
	path := metrics.AnnouncementPath(folder, s.experiment)
	data, err := json.Marshal(announced{Path: path})
	if err != nil {
		return nil, err
	}
	if err := record(target.Undo{ID: "discovery:" + s.experiment, Kind: discoveryUndo, Data: data, Manual: "rm -f " + diag.ShellWord(path)}); err != nil {
		return nil, err
	}
	return metrics.Announce(path, s.experiment, targets, ours)
}

// withdraw takes the announcement of a dead run back.
func withdraw(data json.RawMessage) error {
	var a announced
	if err := json.Unmarshal(data, &a); err != nil {
		return err
	}
	return metrics.RemoveAnnouncement(a.Path)
}

func published(l executor.Load) []metrics.Collector {
	if running, ok := l.(load); ok {
		return []metrics.Collector{running.Published()}
	}
	return nil
}
