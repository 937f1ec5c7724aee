package plan

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/diag"
	"chaosgate/pkg/fault"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

var update = flag.Bool("update", false, "write the expected files anew")

// site is an environment with two services and three faults, small enough to keep in mind.
func site() Site {
	return Site{
		Name: "local", Seed: 42, Capabilities: []target.Capability{target.CanPause, target.CanImpair, target.CanRequests, target.CanAllPeers, target.CanPorts},
		Environment: spec.Environment{
			Target: "process", Thresholds: map[string]string{"p99": "400ms"},
			Services: map[string]spec.Service{
				"service-a": {Ports: map[string]string{"http": "5000"}, Links: []string{"service-b"}},
				"service-b": {Ports: map[string]string{"http": "5001"}, Databases: map[string]string{"orders": "x.db"}},
			},
		},
		Faults: []fault.Kind{
			{Name: "service.pause", Needs: []target.Capability{target.CanPause}, Duration: fault.DurationRequired, Proof: "its threads are stopped"},
			{Name: "network.latency", Needs: []target.Capability{target.CanImpair}, Duration: fault.DurationRequired, Link: true, Proof: "the round trip is slower",
				Params: []fault.Param{{Name: "delay", Type: fault.Duration, Required: true, Min: "1ms", Doc: "how much slower"}, {Name: "jitter", Type: fault.Duration, Default: "0s"}},
				Onset:  func(p fault.Params) time.Duration { return p.Duration("delay") }},
			{Name: "http.abort", Needs: []target.Capability{target.CanImpair, target.CanRequests}, Duration: fault.DurationRequired, Link: true, Sole: true},
			{Name: "disk.readonly", Duration: fault.DurationRequired, Params: []fault.Param{{Name: "path", Type: fault.Path, Required: true}}, Within: "path"},
			{Name: "service.kill", Needs: []target.Capability{target.CanKill}, Duration: fault.DurationOptional},
			{Name: "db.lock", Duration: fault.DurationRequired, Engines: []fault.Engine{fault.SQLite}},
			{Name: "db.corrupt", Duration: fault.DurationRequired, Engines: []fault.Engine{fault.SQLite}, Writes: true, Room: true},
			{Name: "db.readonly", Duration: fault.DurationRequired, Engines: []fault.Engine{fault.SQLite}, Writes: true},
			{Name: "db.full", Duration: fault.DurationRequired, Engines: []fault.Engine{fault.SQLite}, Fills: true},
			{Name: "service.once", Duration: fault.DurationNone},
			{Name: "cpu.stress", Duration: fault.DurationRequired, Loads: true},
		},
	}
}

// What loads the whole machine bears no other experiment beside it, and its plan says so; where the target confines the load, it does.
func TestWhatLoadsTheMachineRunsAlone(t *testing.T) {
	const text = "apiVersion: chaos/v1\nname: busy\nsteadyState:\n  - {id: up, http: {service: service-a, path: /}, expect: {status: 200}}\nsteps:\n" +
		"  - {id: spike, fault: cpu.stress, target: {service: service-b}, duration: 5s}\n  - {id: stop, needs: [spike], fault: service.pause, target: {service: service-b}, duration: 5s}\n"
	const says = "no other experiment runs beside it: spike keeps the whole machine busy"
	here, confined := site(), site()
	confined.Capabilities = append(confined.Capabilities, target.CanConfine)
	for _, c := range []struct {
		site Site
		want []string
	}{{here, []string{"spike"}}, {confined, nil}} {
		p, problems := Build(load(t, text), c.site)
		if p == nil {
			t.Fatal(problems)
		}
		if !slices.Equal(p.Alone, c.want) || strings.Contains(p.String(), says) != (c.want != nil) {
			t.Errorf("got %v, want %v, in\n%s", p.Alone, c.want, p)
		}
	}
}

// oneLink is a site whose target can only do something to the link to one other service.
func oneLink() Site {
	s := site()
	s.Capabilities = slices.DeleteFunc(s.Capabilities, func(c target.Capability) bool { return c == target.CanAllPeers })
	return s
}

// onePort is a site like silent whose target can only do something to links as they are.
func onePort() Site {
	s := silent()
	s.Capabilities = slices.DeleteFunc(s.Capabilities, func(c target.Capability) bool { return c == target.CanPorts })
	return s
}

// silent is a site with a service that speaks no HTTP.
func silent() Site {
	s := site()
	s.Environment.Services["service-a"] = spec.Service{Ports: map[string]string{"http": "5000"}, Links: []string{"service-b", "service-c"}}
	s.Environment.Services["service-c"] = spec.Service{Ports: map[string]string{"sql": "5432", "admin": "5433"}}
	return s
}

func load(t *testing.T, text string) *spec.Experiment {
	t.Helper()
	e, problems := spec.ParseExperiment("test.yaml", []byte(text))
	if problems.Invalid() {
		t.Fatal(problems)
	}
	return e
}

func sample(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/latency.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// built builds the sample with some text replaced.
func built(t *testing.T, s Site, replace ...string) (*Plan, string) {
	t.Helper()
	p, problems := Build(load(t, strings.NewReplacer(replace...).Replace(sample(t))), s)
	var rules []string
	for _, found := range problems {
		rules = append(rules, fmt.Sprintf("%d %s: %s", found.Line, found.Rule, found.Message))
	}
	return p, strings.Join(rules, "\n")
}

// The text is what a reviewer approves, so it is kept word for word.
func TestTheTextOfAPlan(t *testing.T) {
	p, problems := built(t, site())
	if p == nil {
		t.Fatal(problems)
	}
	got := p.String() + "\n" + problems + "\n\n" + p.Mermaid()
	const golden = "testdata/latency.plan"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s\n(go test ./pkg/plan -update writes it anew)", got, want)
	}
}

func TestJSONKeepsEverything(t *testing.T) {
	p, problems := built(t, site())
	if p == nil {
		t.Fatal(problems)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var back Plan
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*p, back) {
		t.Errorf("\n%+v became\n%+v", *p, back)
	}
}

func TestTheSchedule(t *testing.T) {
	p, problems := built(t, site())
	if p == nil {
		t.Fatal(problems)
	}
	want := map[string][2]time.Duration{ // starts, takes
		"slow-link":           {0, 20300 * time.Millisecond}, // its onset is one slow round trip
		"p99-holds":           {300 * time.Millisecond, 20 * time.Second},
		"settle":              {300 * time.Millisecond, 3 * time.Second},
		"freeze":              {3300 * time.Millisecond, 2 * time.Second},
		"health-returns-fast": {20300 * time.Millisecond, 0},
	}
	for _, s := range p.Steps {
		if w, ok := want[s.ID]; ok && (time.Duration(s.Starts) != w[0] || time.Duration(s.Takes) != w[1]) {
			t.Errorf("%s starts at %v and takes %v, want %v and %v", s.ID, time.Duration(s.Starts), time.Duration(s.Takes), w[0], w[1])
		}
	}
	if got := time.Duration(p.Expected); got != 5*time.Second+20300*time.Millisecond+5*time.Second {
		t.Errorf("expected %v: want the steady state of 5s, the chain of 20.3s and the recovery of 5s", got)
	}
}

func TestARandomPickHangsOnTheSeedAlone(t *testing.T) {
	picks := map[string]int{}
	for seed := range uint64(200) {
		s := site()
		s.Seed = seed
		p, problems := built(t, s)
		again, _ := built(t, s, "title: Service A", "title: Another")
		if p == nil || again == nil {
			t.Fatal(problems)
		}
		pick := func(p *Plan) string { return p.Steps[3].Fault.Selection.Services[0] }
		if pick(p) != pick(again) {
			t.Errorf("seed %d picks %s and then %s", seed, pick(p), pick(again))
		}
		picks[pick(p)]++
	}
	if len(picks) != 2 || picks["service-a"] < 60 || picks["service-b"] < 60 {
		t.Errorf("200 seeds pick %v", picks)
	}
}

func TestWhatAPlanRefuses(t *testing.T) {
	denied, limited := site(), site()
	denied.Policy.Services.Deny = []string{"service-a"}
	limited.Policy.Faults = []string{"network.*"}
	brief, quiet, secretive := site(), site(), site()
	brief.Policy.Timeout, quiet.Policy.Rate = "30s", "10/s"
	secretive.Secrets = map[string]spec.Secret{"token": {FromEnv: "TOKEN", SendTo: []string{"service-b"}}}
	sent := func(name string) []string {
		return []string{"path: /work, rate: 50/s", `path: /work, rate: 50/s, headers: {Authorization: "Bearer ${secret.` + name + `}"}`}
	}
	dimension, lonely, deaf := site(), site(), site()
	deaf.Environment.Services["service-a"] = spec.Service{Links: []string{"service-b", "service-c"}}
	deaf.Environment.Services["service-c"] = spec.Service{Ports: map[string]string{"sql": "5432"}}
	lonely.Environment.Services["hermit"] = spec.Service{}
	dimension.Environment.Thresholds["p99"] = "80%"
	for name, c := range map[string]struct {
		site    Site
		replace []string
		says    string
	}{
		"unknown fault":                          {site(), []string{"network.latency", "network.latncy"}, "there is no fault"},
		"unsupported fault":                      {site(), []string{"fault: service.pause", "fault: service.kill"}, "cannot kill"},
		"unknown service":                        {site(), []string{"{service: service-a, path: /work", "{service: service-c, path: /work"}, `no service "service-c"`},
		"no link":                                {site(), []string{"{service: service-a, to: service-b}", "{service: service-a, to: service-a}"}, "no link from service-a to service-a"},
		"link the other way":                     {site(), []string{"{service: service-a, to: service-b}", "{service: service-b, to: service-a}"}, "no link from service-b to service-a"},
		"all its links, which the target cannot": {oneLink(), []string{"{service: service-a, to: service-b}", "{service: service-a}"}, "cannot impair all links of a service at once"},
		"no way to prove it":                     {deaf, []string{"{service: service-a, to: service-b}", "{service: service-a, to: service-c}"}, "service-c has no port named http"},
		"no way to prove one of all":             {deaf, []string{"{service: service-a, to: service-b}", "{service: service-a}"}, "service-c has no port named http"},
		"a list half linked":                     {site(), []string{"{service: service-a, to: service-b}", "{service: [service-a, service-b], to: service-b}"}, "no link from service-b to service-b"},
		"a pick half linked":                     {site(), []string{"{service: service-a, to: service-b}", "{service: [service-a, service-b], pick: random, to: service-b}"}, "no link from service-b to service-b"},
		"no link at all":                         {lonely, []string{"{service: service-a, to: service-b}", "{service: hermit}"}, "hermit has no link"},
		"a pick of no link":                      {lonely, []string{"{service: service-a, to: service-b}", "{service: [service-b, hermit], pick: random}"}, "hermit has no link"},
		"to without link":                        {site(), []string{"pick: random}", "to: service-a}"}, "does not act on a link"},
		"a port without link":                    {site(), []string{"pick: random}", "port: http}"}, "service.pause does not act on a link, so it has no port"},
		"a port of requests":                     {site(), []string{"network.latency", "http.abort", "to: service-b}", "to: service-b, port: http}"}, "http.abort acts on requests to the port named http, and on no other"},
		"a port that the target cannot":          {onePort(), []string{"to: service-b}", "to: service-c, port: sql}"}, "cannot impair a link to one port alone; links lead to the port named http there"},
		"unknown port":                           {site(), []string{"to: service-b}", "to: service-b, port: sql}"}, `service-b has no port named "sql" in chaos.yaml`},
		"unknown port of its own":                {site(), []string{"{service: service-a, to: service-b}", "{service: service-b, port: sql}"}, `service-b has no port named "sql" in chaos.yaml`},
		"a port of a pick that not all have":     {silent(), []string{"{service: service-a, to: service-b}", "{service: [service-b, service-c], pick: random, port: sql}"}, `service-b has no port named "sql"`},
		"a port to which no link leads":          {lonely, []string{"{service: service-a, to: service-b}", "{service: hermit, port: sql}"}, "no link leads to hermit: no service calls it, and it has no port http"},
		"instances":                              {site(), []string{"to: service-b}", "to: service-b, instances: half}"}, "instances is"},
		"parameter unknown":                      {site(), []string{"delay: 300ms}", "delay: 300ms, jiter: 5ms}"}, `no parameter "jiter"`},
		"parameter missing":                      {site(), []string{"delay: 300ms}", "jitter: 5ms}"}, "needs delay"},
		"parameter type":                         {site(), []string{"delay: 300ms}", "delay: 300}"}, "has no unit"},
		"parameter range":                        {site(), []string{"delay: 300ms}", "delay: 0s}"}, "expected at least 1ms"},
		"duration missing":                       {site(), []string{"    duration: 2s\n", ""}, "needs a duration"},
		"duration too much":                      {site(), []string{"fault: service.pause", "fault: service.once"}, "has no duration"},
		"database elsewhere":                     {site(), []string{"fault: service.pause\n    target: {service: [service-a, service-b], pick: random}", "fault: db.lock\n    target: {service: service-a}"}, "db.lock acts on a database, and service-a has none"},
		"policy on faults":                       {limited, nil, "does not allow service.pause"},
		"policy on services":                     {denied, nil, "does not allow to hit service-a"},
		"command":                                {site(), []string{"action: {http: {service: service-a, path: /reset, method: POST}}", "action: {exec: {command: [ls]}}"}, "running commands is not allowed"},
		"too long":                               {site(), []string{"timeout: 3m", "timeout: 9000h"}, "may take 9000h0m0s, and the policy allows 1h0m0s"},
		"too long for policy":                    {brief, nil, "may take 3m0s, and the policy allows 30s"},
		"too much traffic":                       {quiet, nil, "sends 50/s, and the policy allows 10/s"},
		"traffic in sum":                         {site(), []string{"traffic:\n", "traffic:\n" + strings.Repeat("  - {service: service-a, path: /work, rate: 6000/s}\n", 2)}, "sends 12050/s, and the policy allows 10000/s"},
		"unknown secret":                         {secretive, sent("tokn"), `there is no secret "tokn"`},
		"secret elsewhere":                       {secretive, sent("token"), "the secret token may not be sent to service-a"},
		"window too short":                       {site(), []string{"window: 4s", "window: 400ms"}, "less than two scrapes"},
		"window too long":                        {site(), []string{"window: 4s", "window: 30s"}, "does not fit into the active phase"},
		"no window":                              {site(), []string{"during: slow-link\n    promql", "needs: [slow-link]\n    for: 5s\n    promql", "    window: 4s\n", ""}, "needs a window"},
		"inner fault":                            {site(), []string{"duration: 2s", "duration: 19s"}, "freeze ends 2s after the active phase of slow-link"},
		"timeout":                                {site(), []string{"timeout: 3m", "timeout: 10s"}, "shorter than"},
		"dimension":                              {site(), []string{"{max: 1%}", "{max: 1s}"}, "is a duration, expected a percentage"},
		"environment's limit":                    {dimension, nil, "$p99 of environment local"},
		"endless":                                {site(), []string{"during: slow-link\n    promql", "needs: [slow-link]\n    promql"}, "without an end"},
	} {
		p, problems := built(t, c.site, c.replace...)
		if p != nil || !strings.Contains(problems, c.says) {
			t.Errorf("%s: want it refused saying %q, got plan %v and\n%s", name, c.says, p != nil, problems)
		}
	}
}

// A timeout that nobody has written is no reason to refuse a plan: the policy has the last word on it.
func TestThePolicyBoundsTheUsualTimeout(t *testing.T) {
	unwritten := []string{"timeout: 3m\n", ""}
	usual, problems := built(t, site(), unwritten...)
	if usual == nil {
		t.Fatal(problems)
	}
	tight, over := site(), site()
	tight.Policy.Timeout = time.Duration(usual.Expected + Duration(time.Second)).String()
	over.Policy.Timeout = time.Duration(usual.Expected - Duration(time.Second)).String()
	if p, problems := built(t, tight, unwritten...); p == nil || time.Duration(p.Timeout).String() != tight.Policy.Timeout || p.Timeout >= usual.Timeout {
		t.Errorf("got %v\n%s", p, problems)
	}
	if p, problems := built(t, over, unwritten...); p != nil || strings.Contains(problems, "shorter than") || !strings.Contains(problems, "the policy allows "+over.Policy.Timeout) {
		t.Errorf("got %v\n%s", p, problems)
	}
}

// A fault on HTTP requests bears no other on its link; on another one, or after it, it does.
func TestFaultsThatCannotShareALink(t *testing.T) {
	const begin = "apiVersion: chaos/v1\nname: two\nsteadyState:\n  - {id: up, http: {service: service-a, path: /}, expect: {status: 200}}\nsteps:\n"
	const link = "target: {service: service-a, to: service-b}, "
	abort, slow := "fault: http.abort, "+link+"duration: 3s}\n", "fault: network.latency, "+link+"with: {delay: 1ms}, duration: 3s}\n"
	for name, c := range map[string]struct {
		steps   string
		refused string
		line    int
	}{
		"during":            {"  - {id: x, fault: http.abort, " + link + "duration: 9s}\n  - {id: y, during: x, " + slow, "y is on the link service-a -> service-b while x is", 7},
		"the other way":     {"  - {id: x, fault: network.latency, " + link + "with: {delay: 1ms}, duration: 9s}\n  - {id: y, during: x, " + abort, "y is on the link service-a -> service-b while x is", 7},
		"side by side":      {"  - {id: x, " + abort + "  - {id: y, " + abort, "y is on the link service-a -> service-b while x is", 7},
		"all of a service":  {"  - {id: x, " + abort + "  - {id: y, fault: network.latency, target: {service: service-b}, with: {delay: 1ms}, duration: 3s}\n", "y is on the link service-a -> service-b", 7},
		"from outside":      {"  - {id: x, fault: http.abort, target: {service: service-b}, duration: 3s}\n  - {id: y, fault: http.abort, target: {service: service-b}, duration: 3s}\n", "on the link outside -> service-b while x is", 7},
		"one after another": {"  - {id: x, " + abort + "  - {id: y, needs: [x], " + slow, "", 0},
		"no fault on links": {"  - {id: x, " + abort + "  - {id: y, during: x, fault: service.pause, target: {service: service-b}, duration: 1s}\n", "", 0},
		"neither is one":    {"  - {id: x, " + slow + "  - {id: y, " + slow, "", 0},
	} {
		p, problems := Build(load(t, begin+c.steps), site())
		if c.refused == "" {
			if p == nil {
				t.Errorf("%s: refused: %v", name, problems)
			}
			continue
		}
		if p != nil || len(problems) != 1 || problems[0].Rule != "overlap" || problems[0].Line != c.line || !strings.Contains(problems[0].Message, c.refused) {
			t.Errorf("%s: want it refused saying %q, got plan %v and %+v", name, c.refused, p != nil, problems)
		}
	}
}

// A link to one port is a part of that to all: what bears no other fault on the one bears none on the other. Requests are not told by ports.
func TestFaultsOnPortsThatCannotShareALink(t *testing.T) {
	s := silent()
	s.Environment.Services["service-b"] = spec.Service{Ports: map[string]string{"http": "5001", "sql": "5432"}}
	on := func(id, kind, where string) string {
		return "  - {id: " + id + ", fault: " + kind + ", target: {" + where + "}, with: {delay: 1ms}, duration: 3s}\n"
	}
	abort := "  - {id: x, fault: http.abort, target: {service: service-a, to: service-b}, duration: 3s}\n"
	for name, c := range map[string]struct{ steps, refused string }{
		"of the same pair": {abort + on("y", "network.latency", "service: service-a, to: service-b, port: sql"), "y is on the link service-a -> service-b while x is"},
		"into the callee":  {abort + on("y", "network.latency", "service: service-b, port: http"), "y is on the link service-a -> service-b while x is"},
		"into the caller":  {abort + on("y", "network.latency", "service: service-a, port: http"), ""},
		"to another":       {abort + on("y", "network.latency", "service: service-a, to: service-c, port: sql"), ""},
		"two on ports":     {on("x", "network.latency", "service: service-a, to: service-c, port: sql") + on("y", "network.latency", "service: service-a, to: service-c, port: admin"), ""},
	} {
		const begin = "apiVersion: chaos/v1\nname: two\nsteadyState:\n  - {id: up, http: {service: service-a, path: /}, expect: {status: 200}}\nsteps:\n"
		p, problems := Build(load(t, begin+c.steps), s)
		switch {
		case c.refused == "" && p == nil:
			t.Errorf("%s: refused: %v", name, problems)
		case c.refused != "" && (p != nil || len(problems) != 1 || problems[0].Rule != "overlap" || !strings.Contains(problems[0].Message, c.refused)):
			t.Errorf("%s: want it refused saying %q, got plan %v and %+v", name, c.refused, p != nil, problems)
		}
	}
}

// One port of a callee is named, which is proven without HTTP; it is written at its place, and what was meant instead is guessed.
func TestAFaultOnOnePort(t *testing.T) {
	for where, says := range map[string]string{
		"{service: service-a, to: service-c, port: sql}":  "INJECT network.latency on the link service-a -> service-c:sql for 20s",
		"{service: service-a, to: service-b, port: http}": "INJECT network.latency on the link service-a -> service-b:http for 20s",
		"{service: service-c, port: sql}":                 "INJECT network.latency on all links to the port sql of service-c for 20s",
	} {
		p, problems := built(t, silent(), "{service: service-a, to: service-b}", where)
		if p == nil || !strings.Contains(p.String(), says) {
			t.Errorf("%s: want %q, got %v\n%s", where, says, p, problems)
		}
	}
	if p, problems := built(t, onePort(), "to: service-b}", "to: service-b, port: http}"); p == nil {
		t.Errorf("the port that links lead to anyway is refused: %s", problems)
	}
	text := strings.Replace(sample(t), "{service: service-a, to: service-b}", "{service: service-a, to: service-c, port: sqll}", 1)
	for _, s := range []Site{silent(), onePort()} {
		_, problems := Build(load(t, text), s)
		if len(problems) != 1 || problems[0].Hint != `did you mean "sql"?` || problems[0].Line == 0 || problems[0].Col == 0 {
			t.Errorf("got %+v", problems)
		}
	}
	text = strings.Replace(sample(t), "to: service-b}", "to: service-b, port: 5432}", 1)
	if _, problems := spec.ParseExperiment("test.yaml", []byte(text)); len(problems) != 1 || !strings.Contains(problems[0].Message, "port is the number 5432, expected text") || problems[0].Col == 0 {
		t.Errorf("a number: got %+v", problems)
	}
}

// A directory is made read-only by one fault at a time, nor is one that is in it.
func TestFaultsThatCannotShareADirectory(t *testing.T) {
	step := func(id, how, service, path string) string {
		return "  - {id: " + id + ", " + how + "fault: disk.readonly, target: {service: " + service + "}, with: {path: " + path + "}, duration: 3s}\n"
	}
	for name, c := range map[string]struct{ second, refused string }{
		"the same":          {step("y", "", "service-a", "/data"), "y is in /data while x is, and disk.readonly has a directory to itself"},
		"in it":             {step("y", "", "service-a", "/data/part"), "y is in /data/part while x is"},
		"around it":         {step("y", "", "service-a", "/"), "y is in /data while x is"},
		"of either":         {step("y", "", "[service-a, service-b], pick: random", "/data"), "y is in /data while x is"},
		"beside it":         {step("y", "", "service-a", "/data2"), ""},
		"of another":        {step("y", "", "service-b", "/data"), ""},
		"one after another": {step("y", "needs: [x], ", "service-a", "/data"), ""},
		"another fault":     {"  - {id: y, fault: service.pause, target: {service: service-a}, duration: 3s}\n", ""},
	} {
		const begin = "apiVersion: chaos/v1\nname: two\nsteadyState:\n  - {id: up, http: {service: service-a, path: /}, expect: {status: 200}}\nsteps:\n"
		p, problems := Build(load(t, begin+step("x", "", "service-a", "/data")+c.second), site())
		switch {
		case c.refused == "" && p == nil:
			t.Errorf("%s: refused: %v", name, problems)
		case c.refused != "" && (p != nil || len(problems) != 1 || problems[0].Rule != "overlap" || problems[0].Line != 7 || !strings.Contains(problems[0].Message, c.refused)):
			t.Errorf("%s: want it refused saying %q, got plan %v and %+v", name, c.refused, p != nil, problems)
		}
	}
}

// Who has turned a link round is told which way it goes.
func TestALinkTheOtherWay(t *testing.T) {
	text := strings.Replace(sample(t), "{service: service-a, to: service-b}", "{service: service-b, to: service-a}", 1)
	_, problems := Build(load(t, text), site())
	if len(problems) != 1 || problems[0].Hint != "it is service-a that calls service-b: write {service: service-a, to: service-b}" || problems[0].Col == 0 {
		t.Errorf("got %+v", problems)
	}
}

func TestWarningsAboutEvidence(t *testing.T) {
	_, problems := built(t, site(), "rate: 50/s", "rate: 10/s")
	for _, want := range []string{"showing a ratio of at most 1% takes 299", "this quantile takes 1000"} {
		if !strings.Contains(problems, want) {
			t.Errorf("no warning %q in\n%s", want, problems)
		}
	}
	for limit, says := range map[string]string{"{max: 0}": "of at most 0 takes 299", "{min: 100%}": "of at least 100% takes 299", "{equals: 0}": "of 0 takes 299"} {
		if _, problems := built(t, site(), "rate: 50/s", "rate: 10/s", "{max: 1%}", limit); !strings.Contains(problems, says) {
			t.Errorf("no warning %q in\n%s", says, problems)
		}
	}
	if p, problems := built(t, site(), "window: 4s", "window: 700ms"); p == nil || !strings.Contains(problems, "fewer than four scrapes") {
		t.Errorf("want a plan with a warning, got %v and\n%s", p != nil, problems)
	}
}

func TestTrafficThatCouldNotBeSent(t *testing.T) {
	p, problems := built(t, site(), "rate: 50/s", "rate: 500/s")
	if says := "while service-a hangs, 2500 of its requests are in flight (500/s for 5s each) and more than 2000 are not sent"; p == nil || !strings.Contains(problems, says) {
		t.Errorf("want a plan and the warning %q, got\n%s", says, problems)
	}
	if _, problems := built(t, site(), "rate: 50/s", "rate: 400/s"); strings.Contains(problems, "in-flight") {
		t.Errorf("as many as there may be: %s", problems)
	}
}

// A comparison with the baseline takes ten samples a side that do not overlap, each of two scrapes.
func TestAComparisonHasItsSamples(t *testing.T) {
	text := func(check string) string {
		return "apiVersion: chaos/v1\nname: compared\nsteadyState:\n  - {id: up, http: {service: service-a, path: /}, expect: {status: 200}}\nsteps:\n" +
			"  - {id: hit, fault: network.latency, target: {service: service-a, to: service-b}, with: {delay: 10ms}, duration: 20s}\n" + check
	}
	for name, c := range map[string]struct {
		check  string
		sample time.Duration
		steady time.Duration
		says   string
	}{
		"the whole phase": {"  - {id: c, during: hit, promql: 'rate(x[$window])', baseline: before, expect: {maxIncrease: 10%}}\n", 625 * time.Millisecond, 10 * time.Second, ""},
		"a long window":   {"  - {id: c, during: hit, promql: 'rate(x[$window])', window: 18s, baseline: before, expect: {maxIncrease: 10%}}\n", 900 * time.Millisecond, 18 * time.Second, ""},
		"a short window":  {"  - {id: c, needs: [hit], promql: 'rate(x[$window])', window: 4s, baseline: before, expect: {maxIncrease: 10%}}\n", 0, 0, "takes 10 samples a side of two scrapes each, and 3 to spare: 6.5s; c has 4s"},
		"again and again": {"  - {id: c, during: hit, promql: 'rate(x[$window])', window: 7s, every: 1s, baseline: before, expect: {maxIncrease: 10%}}\n", 0, 0, "looks once"},
	} {
		p, problems := Build(load(t, text(c.check)), site())
		if c.says != "" {
			if p != nil || !problems.Invalid() || !strings.Contains(fmt.Sprint(problems), c.says) {
				t.Errorf("%s: want it refused saying %q, got %v", name, c.says, problems)
			}
			continue
		}
		if p == nil {
			t.Errorf("%s: %v", name, problems)
			continue
		}
		if got := time.Duration(p.Steps[1].Check.Sample); got != c.sample || p.SteadyFor != Duration(c.steady) {
			t.Errorf("%s: samples of %v after %v of steady state, want samples of %v after %v", name, got, time.Duration(p.SteadyFor), c.sample, c.steady)
		}
	}
}

func TestALongChainIsPlannedInNoTime(t *testing.T) {
	var b strings.Builder
	b.WriteString("apiVersion: chaos/v1\nname: chain\nsteadyState:\n  - {id: up, http: {service: service-a, path: /}, expect: {status: 200}}\nsteps:\n  - {id: w0, wait: 0s}\n")
	for i := 1; i < 10_000; i++ {
		fmt.Fprintf(&b, "  - {id: w%d, wait: 0s, needs: [w%d]}\n", i, i-1)
	}
	p, problems := Build(load(t, b.String()), site())
	if p == nil {
		t.Fatal(problems)
	}
	if len(p.Critical) != 10_000 {
		t.Errorf("the longest chain has %d steps", len(p.Critical))
	}
}

func TestMermaidQuotesEverything(t *testing.T) {
	p := Plan{Steps: []Step{{ID: "a\"]\nclick s0 \"javascript:x\"`<script>"}}}
	if text := p.Mermaid(); strings.ContainsAny(strings.TrimPrefix(text, "flowchart LR\n"), "<`") || strings.Count(text, "\n") != 2 {
		t.Errorf("got %s", text)
	}
}

// A look that waits longer than the phase it belongs to would hold the fault.
func TestALookWaitsNoLongerThanItsPhase(t *testing.T) {
	for name, c := range map[string]struct {
		duration, step string
		timeout        time.Duration
	}{
		"a short phase":        {"2s", "during: hit, http: {service: service-a, path: /}, expect: {status: 200}", 2 * time.Second},
		"a long phase":         {"20s", "during: hit, http: {service: service-a, path: /}, expect: {status: 200}", 0},
		"a timeout of its own": {"2s", "during: hit, timeout: 1s, http: {service: service-a, path: /}, expect: {status: 200}", time.Second},
		"after the phase":      {"2s", "needs: [hit], http: {service: service-a, path: /}, expect: {status: 200}", 0},
	} {
		text := "apiVersion: chaos/v1\nname: waits\nsteadyState:\n  - {id: up, http: {service: service-a, path: /}, expect: {status: 200}}\nsteps:\n" +
			"  - {id: hit, fault: network.latency, target: {service: service-a, to: service-b}, with: {delay: 10ms}, duration: " + c.duration + "}\n  - {id: c, " + c.step + "}\n"
		p, problems := Build(load(t, text), site())
		if p == nil {
			t.Errorf("%s: %v", name, problems)
			continue
		}
		if got := time.Duration(p.Steps[1].Check.Timeout); got != c.timeout {
			t.Errorf("%s: it waits %v, want %v", name, got, c.timeout)
		}
	}
}

// A plan says no more than anybody reads: each of fifty combinations of a matrix could say thousands of things.
func TestAPlanHasNoMoreProblemsThanAreShown(t *testing.T) {
	var with strings.Builder
	for i := range 300 {
		fmt.Fprintf(&with, ", p%d: 1s", i)
	}
	text := "apiVersion: chaos/v1\nname: many\nsteadyState:\n  - {id: up, http: {service: service-a, path: /}, expect: {status: 200}}\nsteps:\n" +
		"  - {id: slow, fault: network.latency, target: {service: service-a, to: service-b}, duration: 5s, with: {delay: 1s" + with.String() + "}}\n"
	p, problems := Build(load(t, text), site())
	if p != nil || len(problems) != diag.MaxProblems+1 || !problems.Invalid() {
		t.Errorf("got %d problems", len(problems))
	}
}
