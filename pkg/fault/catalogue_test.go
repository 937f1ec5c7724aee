package fault_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/target/docker"
	"chaosgate/pkg/target/process"
)

// Every row can be shown, planned and built, and what it says about its parameters is true of itself.
func TestCatalogueIsSound(t *testing.T) {
	seen := map[string]bool{}
	var families []string
	for _, k := range fault.Catalogue() {
		family, _, ok := strings.Cut(k.Name, ".")
		if seen[k.Name] || !ok {
			t.Errorf("%q is there twice, or is no family.fault", k.Name)
		}
		seen[k.Name] = true
		if !slices.Contains(families, family) {
			families = append(families, family)
		} else if families[len(families)-1] != family {
			t.Errorf("%s stands apart from its family", k.Name)
		}
		if k.Silences != slices.Contains([]string{"service", "cpu", "memory"}, family) { // as docs/verdict.md says
			t.Errorf("%s: whether it may keep its target from answering is %v", k.Name, k.Silences)
		}
		if k.Doc == "" || !strings.HasSuffix(k.Doc, ".") || k.Proof == "" || strings.HasSuffix(k.Proof, ".") || k.New == nil || k.Revert == nil {
			t.Errorf("%s: the row is not complete: %+v", k.Name, k)
		}
		for _, c := range k.Needs {
			if !slices.Contains(slices.Concat(process.Capabilities(), docker.Capabilities()), c) {
				t.Errorf("%s needs %q, which no target has", k.Name, c)
			}
		}
		if len(k.Needs) == 0 || !slices.Contains([]fault.DurationRule{fault.DurationOptional, fault.DurationRequired, fault.DurationNone}, k.Duration) {
			t.Errorf("%s: needs %v, duration %q", k.Name, k.Needs, k.Duration)
		}
		if found, ok := fault.Find(k.Name); !ok || found.Doc != k.Doc {
			t.Errorf("%s is not found", k.Name)
		}
		checkParams(t, k)
	}
	if _, ok := fault.Find("service"); ok {
		t.Error("a family is found as a fault")
	}
}

// checkParams gives each parameter its own default, bounds and choices.
func checkParams(t *testing.T, k fault.Kind) {
	t.Helper()
	required := map[string]string{}
	for _, p := range k.Params {
		if p.Required {
			required[p.Name] = p.Min
		}
		if p.Required && p.Type == fault.Path {
			required[p.Name] = "/"
		}
	}
	if _, problems := k.CheckParams(required); len(problems) > 0 {
		t.Errorf("%s with the least of what it needs, %v: %v", k.Name, required, problems)
	}
	for _, p := range k.Params {
		if p.Doc == "" || p.Required && (p.Default != "" || p.Min == "" && p.Type != fault.Path) || len(p.Choices) > 0 && p.Type != fault.Text {
			t.Errorf("%s: %+v", k.Name, p)
		}
		if !p.Required && p.Default == "" && p.Without == "" && p.Instead == "" {
			t.Errorf("%s: nothing says what holds without %s", k.Name, p.Name)
		}
		if p.Without != "" && !strings.Contains(p.Doc, "without it "+p.Without) && !strings.HasSuffix(p.Doc, "without both "+p.Without+" is left") {
			t.Errorf("%s: %s is without it %q, but documented as %q", k.Name, p.Name, p.Without, p.Doc)
		}
		alone := fault.Kind{Name: k.Name, Params: []fault.Param{p}}
		for _, value := range append([]string{p.Default, p.Min, p.Max}, p.Choices...) {
			if value == "" {
				continue
			}
			if _, problems := alone.CheckParams(map[string]string{p.Name: value}); len(problems) > 0 {
				t.Errorf("%s: its own %s %q: %v", k.Name, p.Name, value, problems)
			}
		}
	}
}

// A parameter that was not given is open, unless it has a default or another one was given in its place.
func TestOpenParams(t *testing.T) {
	for _, c := range []struct {
		fault string
		with  map[string]string
		want  []string
	}{
		{"cpu.stress", nil, []string{"workers"}},
		{"cpu.stress", map[string]string{"workers": "2"}, nil},
		{"disk.fill", map[string]string{"path": "/data"}, []string{"leave"}},
		{"disk.fill", map[string]string{"path": "/data", "size": "1MiB"}, nil},
		{"disk.fill", map[string]string{"path": "/data", "leave": "1MiB"}, nil},
		{"network.latency", map[string]string{"delay": "1s"}, nil},
	} {
		k, _ := fault.Find(c.fault)
		params, _ := k.CheckParams(c.with)
		var got []string
		for _, p := range k.Open(params) {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s with %v: got %v, want %v", c.fault, c.with, got, c.want)
		}
	}
}

func TestCheckParams(t *testing.T) {
	cases := []struct {
		fault string
		with  map[string]string
		want  []string // a problem each: parts separated by "|" that are in "name: message; hint"
	}{
		{"network.latency", map[string]string{"delay": "300ms"}, nil},
		{"network.latency", map[string]string{"delay": "1m", "jitter": "1m", "direction": "both"}, nil},
		{"network.latency", nil, []string{"delay: network.latency needs delay, a duration such as 300ms; how much later"}},
		{"network.latency", map[string]string{"delai": "1s", "delay": "1s"}, []string{`delai: network.latency has no parameter "delai"; it has delay, jitter and direction|did you mean|delay`}},
		{"network.latency", map[string]string{"delai": "1s"}, []string{"delai: network.latency has no parameter", "delay: network.latency needs delay"}},
		{"network.latency", map[string]string{"delay": "10"}, []string{`delay: |"10"|300ms`}},
		{"network.latency", map[string]string{"delay": "10MiB"}, []string{`delay: |"10MiB"`}},
		{"network.latency", map[string]string{"delay": ""}, []string{"delay: "}},
		{"network.latency", map[string]string{"delay": "500us"}, []string{"delay: delay is 500us, expected 1ms to 1m"}},
		{"network.latency", map[string]string{"delay": "2m"}, []string{"delay: delay is 2m, expected 1ms to 1m"}},
		{"network.latency", map[string]string{"delay": "-1s"}, []string{"delay: "}},
		{"network.latency", map[string]string{"delay": "1s", "jitter": "-1ms"}, []string{"jitter: "}},
		{"network.latency", map[string]string{"delay": "50ms", "jitter": "60ms"}, []string{"jitter: jitter is 60ms, more than the delay of 50ms; make it at most 50ms"}},
		{"network.latency", map[string]string{"delay": "1s", "direction": "respond"}, []string{`direction: direction is "respond", expected request, response or both|did you mean|response`}},
		{"network.partition", map[string]string{"delay": "1s"}, []string{"delay: network.partition takes no parameters; remove delay"}},
		{"network.bandwidth", map[string]string{"rate": "1MB"}, []string{`rate: |"1MB"`}},
		{"network.bandwidth", map[string]string{"rate": "10B/s"}, []string{"rate: rate is 10B/s, expected at least 1kB/s"}},
		{"http.abort", nil, nil},
		{"http.abort", map[string]string{"status": "429", "method": "POST", "path": "/work/*", "probability": "12.5%"}, nil},
		{"http.abort", map[string]string{"status": "399"}, []string{"status: status is 399, expected 400 to 599"}},
		{"http.abort", map[string]string{"status": "600"}, []string{"status: status is 600, expected 400 to 599"}},
		{"http.abort", map[string]string{"status": "unavailable"}, []string{`status: status: "unavailable" is not a whole number`}},
		{"http.abort", map[string]string{"method": "get"}, []string{`method: method is "get", expected GET, HEAD, POST|did you mean|GET`}},
		{"http.abort", map[string]string{"path": "work"}, []string{`path: path "work" does not begin with /`}},
		{"http.abort", map[string]string{"path": "/*/work"}, []string{`path: path "/*/work" has a * that is not its end`}},
		{"http.abort", map[string]string{"path": "/work?key=1"}, []string{`path: path "/work?key=1" has a query`}},
		{"http.abort", map[string]string{"path": ""}, []string{"path: path is empty; leave it out for any"}},
		{"http.abort", map[string]string{"probability": "0%"}, []string{"probability: probability is 0%, expected 0.1% to 100%"}},
		{"http.abort", map[string]string{"delay": "1s"}, []string{`delay: http.abort has no parameter "delay"; it has status, method, path and probability`}},
		{"http.delay", map[string]string{"delay": "300ms", "jitter": "300ms", "path": "/"}, nil},
		{"http.delay", nil, []string{"delay: http.delay needs delay, a duration such as 300ms; how long"}},
		{"http.delay", map[string]string{"delay": "50ms", "jitter": "60ms", "path": "x"}, []string{"jitter: jitter is 60ms, more than the delay of 50ms", `path: path "x" does not begin with /`}},
		{"cpu.stress", map[string]string{"workers": "0"}, []string{"workers: workers is 0, expected 1 to 1024"}},
		{"cpu.stress", map[string]string{"workers": "1.5"}, []string{`workers: workers: "1.5" is not a whole number such as 2`}},
		{"cpu.stress", map[string]string{"workers": "-2", "load": "101%"}, []string{"load: load is 101%, expected 1% to 100%", `workers: workers: "-2" is not a whole number`}},
		{"cpu.stress", map[string]string{"load": "NaN%"}, []string{"load: "}},
		{"cpu.limit", map[string]string{"cpus": "0.5"}, nil},
		{"cpu.limit", map[string]string{"cpus": "12"}, nil},
		{"cpu.limit", nil, []string{"cpus: cpu.limit needs cpus, a number such as 0.5"}},
		{"cpu.limit", map[string]string{"cpus": "0"}, []string{"cpus: cpus is 0, expected at least 0.01"}},
		{"cpu.limit", map[string]string{"cpus": "50%"}, []string{`cpus: cpus: "50%" is a percentage, expected a bare number such as 3 or 0.5`}},
		{"cpu.limit", map[string]string{"cpus": "-0.5"}, []string{`cpus: cpus: "-0.5" is not a bare number`}},
		{"cpu.limit", map[string]string{"cpus": "half"}, []string{`cpus: cpus: "half" is not a bare number`}},
		{"memory.limit", map[string]string{"size": "4MiB"}, []string{"size: size is 4MiB, expected at least 6MiB"}},
		{"memory.limit", map[string]string{"size": "64"}, []string{`size: size: "64" has no unit`}},
		{"memory.stress", map[string]string{"size": "1MiB", "victim": "nobody"}, []string{`victim: victim is "nobody", expected service or stressor`}},
		{"memory.stress", map[string]string{"size": "99999999999TiB"}, []string{"size: size: 99999999999TiB is more than any machine has"}},
		{"service.kill", map[string]string{"signal": "SIGKIL"}, []string{`signal: signal is "SIGKIL", expected SIGKILL, SIGTERM, SIGINT, SIGQUIT or SIGABRT|did you mean|SIGKILL`}},
		{"service.stop", map[string]string{"grace": "0s"}, []string{"grace: grace is 0s, expected 1ms to 10m"}},
		{"disk.fill", map[string]string{"path": "/data"}, nil},
		{"disk.fill", map[string]string{"path": "/data", "leave": "1MiB"}, nil},
		{"disk.fill", map[string]string{"size": "1MiB"}, []string{"path: disk.fill needs path, a path such as /data"}},
		{"disk.fill", map[string]string{"path": "data"}, []string{`path: path is "data", expected that of a directory inside the instance, from / on`}},
		{"disk.fill", map[string]string{"path": "/data/../etc/"}, []string{`path: path is "/data/../etc/"|write it as /etc`}},
		{"disk.fill", map[string]string{"path": "/data", "size": "1MiB", "leave": "1MiB"}, []string{"size: size says how much is taken and leave how much is left; remove one of them; without both, nothing is left"}},
		{"disk.fill", map[string]string{"path": "/data", "size": "1kB"}, []string{"size: size is 1kB, expected at least 4KiB"}},
		{"db.lock", map[string]string{"mode": "read"}, []string{`mode: mode is "read", expected write or exclusive`}},
	}
	for _, c := range cases {
		k, _ := fault.Find(c.fault)
		_, problems := k.CheckParams(c.with)
		if len(problems) != len(c.want) {
			t.Errorf("%s %v: got %v, want %d problems", c.fault, c.with, problems, len(c.want))
			continue
		}
		for i, p := range problems {
			got := p.Name + ": " + p.Message + "; " + p.Hint
			for part := range strings.SplitSeq(c.want[i], "|") {
				if !strings.Contains(got, part) {
					t.Errorf("%s %v: got %q, want %q in it", c.fault, c.with, got, part)
				}
			}
		}
	}
}

func TestParamsAreReadWithTheirDefaults(t *testing.T) {
	k, _ := fault.Find("network.latency")
	p, _ := k.CheckParams(map[string]string{"delay": "1.5s"})
	if p.Duration("delay") != 1500*time.Millisecond || p.Duration("jitter") != 0 || p.Text("direction") != "request" {
		t.Errorf("got %v", p)
	}
	k, _ = fault.Find("cpu.stress")
	if p, _ := k.CheckParams(map[string]string{"workers": "3"}); p.Int("workers") != 3 || p.Percent("load") != 1 {
		t.Errorf("got %v", p)
	}
	k, _ = fault.Find("cpu.limit")
	if p, _ := k.CheckParams(map[string]string{"cpus": "0.25"}); p.Number("cpus") != 0.25 || p.Number("none") != 0 {
		t.Errorf("got %v", p)
	}
	k, _ = fault.Find("memory.stress")
	p, _ = k.CheckParams(map[string]string{"size": "2MiB", "rate": "1MB/s"})
	if want := (fault.Params{"size": "2MiB", "rate": "1MB/s"}); !reflect.DeepEqual(p, want) || p.Bytes("size") != 2<<20 || p.Flow("rate") != 1_000_000 || p.Bytes("none") != 0 {
		t.Errorf("got %v", p)
	}
}

// The plan's guess of how long the proof of an effect takes.
func TestOnset(t *testing.T) {
	for _, c := range []struct {
		fault string
		with  map[string]string
		want  time.Duration
	}{
		{"network.latency", map[string]string{"delay": "300ms"}, 300 * time.Millisecond},
		{"network.latency", map[string]string{"delay": "300ms", "direction": "both"}, 600 * time.Millisecond},
		{"network.bandwidth", map[string]string{"rate": "1kB/s"}, 260 * time.Millisecond},
		{"network.bandwidth", map[string]string{"rate": "1MB/s"}, 0},
		{"network.partition", nil, 400 * time.Millisecond},
		{"http.delay", map[string]string{"delay": "300ms", "path": "/work"}, 300 * time.Millisecond},
		{"memory.stress", map[string]string{"size": "100MiB", "rate": "50MiB/s"}, 2 * time.Second},
		{"memory.stress", map[string]string{"size": "100MiB"}, 0},
	} {
		k, _ := fault.Find(c.fault)
		p, _ := k.CheckParams(c.with)
		if got := k.Onset(p); got != c.want {
			t.Errorf("%s %v: got %v, want %v", c.fault, c.with, got, c.want)
		}
	}
}
