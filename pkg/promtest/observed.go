package promtest

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"chaosgate/pkg/metrics"
)

// dashboard is the part of a Grafana dashboard that asks something.
type dashboard struct {
	UID         string
	Annotations struct{ List []struct{ Expr string } }
	Panels      []struct {
		Title   string
		Targets []struct {
			Expr    string
			Instant bool
		}
	}
}

// Observed is a server that has measured a run, and when.
type Observed struct {
	t        testing.TB
	root     string // of the project
	server   *metrics.Remote
	url      string
	from, to time.Time
}

// grafana fills in what Grafana would.
var grafana = strings.NewReplacer("$__rate_interval", "2s", "$__range", "10m")

// Has answers how many points a query has over the run that are numbers; an error is a query that cannot be asked.
func (o Observed) Has(query string) int {
	o.t.Helper()
	if _, err := metrics.Parse(query); err != nil {
		o.t.Errorf("%s: %v", query, err)
		return 0
	}
	result, err := o.server.QueryRange(context.Background(), query, o.from, o.to, 250*time.Millisecond)
	if err != nil {
		o.t.Errorf("%s: %v", query, err)
		return 0
	}
	n := 0
	for _, s := range result.Series {
		for _, p := range s.Points {
			if v := float64(p.V); !math.IsNaN(v) && !math.IsInf(v, 0) {
				n++
			}
		}
	}
	return n
}

// Dashboards asks everything that the dashboards ask: each panel shows something of a real run.
func (o Observed) Dashboards() {
	o.t.Helper()
	files, err := filepath.Glob(filepath.Join(o.root, "observability", "dashboards", "*.json"))
	if err != nil || len(files) < 4 {
		o.t.Fatalf("%d dashboards, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(o.t, err)
		var d dashboard
		must(o.t, json.Unmarshal(text, &d))
		if "chaosgate-"+strings.TrimSuffix(filepath.Base(file), ".json") != d.UID || len(d.Panels) == 0 {
			o.t.Errorf("%s has the uid %q and %d panels", file, d.UID, len(d.Panels))
		}
		for _, a := range d.Annotations.List {
			if o.Has(grafana.Replace(a.Expr)) == 0 {
				o.t.Errorf("%s: the annotations show nothing: %s", file, a.Expr)
			}
		}
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				if o.Has(grafana.Replace(q.Expr)) == 0 {
					o.t.Errorf("%s: %s shows nothing: %s", file, p.Title, q.Expr)
				}
			}
		}
	}
}

// Alerts sees that the server takes the rules, and that what they watch is there.
func (o Observed) Alerts() {
	o.t.Helper()
	text, err := os.ReadFile(filepath.Join(o.root, "observability", "alerts.yml"))
	must(o.t, err)
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct{ Alert, Expr string }
		}
	}
	must(o.t, yaml.Unmarshal(text, &file))
	healthy := o.ruleHealth()
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if healthy[r.Alert] != "ok" {
				o.t.Errorf("the server says of the alert %s: %q", r.Alert, healthy[r.Alert])
			}
			selectors, err := metrics.Selectors(r.Expr)
			must(o.t, err)
			for _, s := range selectors {
				if o.Has(s.Text) == 0 {
					o.t.Errorf("the alert %s watches %s, which is not there", r.Alert, s.Text)
				}
			}
		}
	}
}

func (o Observed) ruleHealth() map[string]string {
	o.t.Helper()
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health string }
			}
		}
	}
	eventually(o.t, "the rules are evaluated", func() bool {
		must(o.t, json.Unmarshal(o.text("/api/v1/rules"), &answer))
		for _, g := range answer.Data.Groups {
			for _, r := range g.Rules {
				if r.Health == "unknown" {
					return false
				}
			}
		}
		return len(answer.Data.Groups) > 0
	})
	health := map[string]string{}
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			health[r.Name] = r.Health
		}
	}
	return health
}

// value is the one value of a query at the end of the run.
func (o Observed) value(query string) float64 {
	o.t.Helper()
	result, err := o.server.Query(context.Background(), query, o.to)
	must(o.t, err)
	if len(result.Series) != 1 || len(result.Series[0].Points) != 1 {
		o.t.Fatalf("%s: %d series, want one", query, len(result.Series))
	}
	return float64(result.Series[0].Points[0].V)
}

// text is the body of an answer.
func (o Observed) text(path string) []byte {
	o.t.Helper()
	resp, err := http.Get(o.url + path)
	must(o.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(o.t, err)
	return text
}

// Recovered compares what a graph shows as the time to recover with what the report says.
func (o Observed) Recovered(run, experiment string, seconds float64) {
	o.t.Helper()
	got := o.value(`last_over_time(chaos_recovery_seconds{chaos_experiment="` + run + "/" + experiment + `"}[10m])`)
	if math.Abs(got-seconds) > 0.001 {
		o.t.Errorf("%s: the graph shows %v s until it recovered, the report says %v", experiment, got, seconds)
	}
}

// Observe is what a server has seen since a moment.
func Observe(t testing.TB, s Server, root string, from time.Time) Observed {
	t.Helper()
	r, err := metrics.NewRemote(metrics.RemoteOptions{URL: s.URL, Getenv: os.Getenv, Interval: 250 * time.Millisecond})
	must(t, err)
	return Observed{t: t, root: root, server: r, url: s.URL, from: from, to: time.Now()}
}
