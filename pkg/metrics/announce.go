package metrics

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// ExperimentLabel is on every series of an announced target. Its value is unique for each experiment of each run, so that a server that measures several at a time
// can tell them apart.
const ExperimentLabel = "chaos_experiment"

// Announcement tells a Prometheus server what to scrape: it is a file that the server reads with file_sd_configs, and for each collector an HTTP endpoint on the
// loopback interface. Nil announces nothing.
type Announcement struct {
	path       string
	targets    int
	collectors []*http.Server
}

// The names of announcements: nothing else is ever removed.
const announcePrefix, announceSuffix = "chaos-", ".json"

// AnnouncementPath is where an experiment is announced in a folder.
func AnnouncementPath(folder, experiment string) string {
	return filepath.Join(folder, announcePrefix+strings.ReplaceAll(experiment, "/", "-")+announceSuffix)
}

// Announce writes the file, as a whole or not at all, and serves the collectors until Close. Their endpoint is announced like the other targets.
func Announce(path, experiment string, targets []Target, collectors []Collector) (*Announcement, error) {
	a := &Announcement{path: path}
	for _, c := range collectors {
		t, err := a.serve(c)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("serve metrics to the Prometheus server: %w", err), a.Close())
		}
		targets = append(targets, t)
	}
	a.targets = len(targets)
	if err := a.write(experiment, targets); err != nil {
		return nil, errors.Join(fmt.Errorf("announce the services to the Prometheus server: %w", err), a.Close())
	}
	return a, nil
}

// discovered is an entry of the file.
type discovered struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

func (a *Announcement) write(experiment string, targets []Target) error {
	groups := []discovered{}
	for _, t := range targets {
		u, err := url.Parse(t.URL)
		if err != nil {
			return err
		}
		g := discovered{Targets: []string{u.Host}, Labels: map[string]string{ExperimentLabel: experiment, model.SchemeLabel: u.Scheme, model.MetricsPathLabel: u.Path}}
		for name, v := range t.Labels {
			g.Labels[name] = v
		}
		for name, v := range u.Query() {
			g.Labels[model.ParamLabelPrefix+name] = v[0]
		}
		groups = append(groups, g)
	}
	text, err := json.MarshalIndent(groups, "", "  ")
	if err != nil {
		return err
	}
	unfinished := a.path + ".part"
	if err := os.WriteFile(unfinished, text, 0o644); err != nil {
		return err
	}
	if err := os.Rename(unfinished, a.path); err != nil {
		return errors.Join(err, os.Remove(unfinished))
	}
	return nil
}

// serve makes an endpoint for a collector.
func (a *Announcement) serve(c Collector) (Target, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return Target{}, err
	}
	server := &http.Server{Handler: exposition(c), ReadHeaderTimeout: scrapeTimeout, IdleTimeout: time.Minute}
	a.collectors = append(a.collectors, server)
	go server.Serve(listener) // ends with Close
	return Target{URL: "http://" + listener.Addr().String() + "/metrics", Labels: c.Labels}, nil
}

// exposition writes what a collector has in the text format.
func exposition(c Collector) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		out := bufio.NewWriter(w)
		for _, s := range c.Collect() {
			out.WriteString(s.Name + labels.FromMap(s.Labels).String() + " " + strconv.FormatFloat(s.Value, 'g', -1, 64) + "\n")
		}
		out.Flush() // who does not read to the end has no sample
	})
}

// Pattern is the file name that the server's configuration must have.
func (a *Announcement) Pattern() string {
	return filepath.Join(filepath.Dir(a.path), announcePrefix+"*"+announceSuffix)
}

// Close takes the file away and ends the endpoint. It is idempotent.
func (a *Announcement) Close() error {
	if a == nil {
		return nil
	}
	err := RemoveAnnouncement(a.path)
	for _, c := range a.collectors {
		err = errors.Join(err, c.Close())
	}
	return err
}

// RemoveAnnouncement takes the file of an announcement away, also one that was never made or only half. Any other file is an error.
func RemoveAnnouncement(path string) error {
	if name := filepath.Base(path); !strings.HasPrefix(name, announcePrefix) || !strings.HasSuffix(name, announceSuffix) {
		return fmt.Errorf("%s is not one of our files", path)
	}
	var errs []error
	for _, p := range []string{path, path + ".part"} {
		if err := os.Remove(p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
