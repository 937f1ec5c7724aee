package process

import (
	"errors"
	"strings"
	"testing"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

func TestCheckService(t *testing.T) {
	good := func() spec.Service {
		return spec.Service{
			Build: "./a", Command: []string{"${binary}", "-port=${port.http}"}, Ports: map[string]string{"http": "5000"},
			Env: map[string]string{"B": "http://${link.b}", "DB": "${data}/x.db"}, Links: []string{"b"},
			Ready: spec.Readiness{HTTP: "/health", Within: "3s"}, Metrics: "/metrics",
			Restart:   spec.Restart{Policy: "on-failure", Backoff: "10ms", Times: "3"},
			Databases: map[string]string{"main": "${data}/x.db"}, Memory: "64MiB", Stop: "1s",
		}
	}
	cases := map[string]struct {
		change  func(*spec.Service)
		pointer string
		want    string
	}{
		"good":          {func(*spec.Service) {}, "", ""},
		"nothing":       {func(s *spec.Service) { s.Build, s.Command = "", nil }, "", "neither build nor command"},
		"no binary":     {func(s *spec.Service) { s.Build = "" }, "/command/0", "${binary} is not known here"},
		"port":          {func(s *spec.Service) { s.Ports["http"] = "70000" }, "/ports/http", "from 1 to 65535"},
		"link":          {func(s *spec.Service) { s.Links[0] = "c" }, "/links/0", `no service "c" to link to; there are a, b, silent`},
		"self link":     {func(s *spec.Service) { s.Links = append(s.Links, "a") }, "/links/1", "itself"},
		"no entrance":   {func(s *spec.Service) { s.Links = append(s.Links, "silent") }, "/links/1", "has no port that a link could lead to"},
		"unlinked":      {func(s *spec.Service) { s.Env["C"] = "${link.c}" }, "/env/C", "there are ${binary}, ${data}, ${link.b}, ${port.http}"},
		"database":      {func(s *spec.Service) { s.Databases["main"] = "${date}/x" }, "/databases/main", "${date} is not known here"},
		"server":        {func(s *spec.Service) { s.Databases["main"] = "postgres://chaos@b:2/x" }, "/databases/main", "service b has no port 2"},
		"path":          {func(s *spec.Service) { s.Ready.HTTP = "health" }, "/ready/http", "a path begins with /"},
		"no http port":  {func(s *spec.Service) { s.Ports = map[string]string{"x": "1"}; s.Command = nil }, "/metrics", "no port named http"},
		"within":        {func(s *spec.Service) { s.Ready.Within = "3" }, "/ready/within", "is not a duration above zero"},
		"negative stop": {func(s *spec.Service) { s.Stop = "-1s" }, "/stop", "is not a duration above zero"},
		"policy":        {func(s *spec.Service) { s.Restart.Policy = "sometimes" }, "/restart/policy", "there are never, on-failure, always"},
		"times":         {func(s *spec.Service) { s.Restart.Times = "many" }, "/restart/times", "not a number of restarts"},
		"memory":        {func(s *spec.Service) { s.Memory = "64" }, "/memory", "write it as 64MiB"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := good()
			c.change(&s)
			others := map[string]spec.Service{"a": s, "b": {Ports: map[string]string{"grpc": "1"}}, "silent": {}}
			errs := CheckService("a", s, others)
			if c.want == "" && len(errs) > 0 {
				t.Fatalf("got %v", errs)
			}
			if c.want == "" {
				return
			}
			for _, err := range errs {
				var p *target.Problem
				if !errors.As(err, &p) {
					t.Fatalf("%v is no *target.Problem", err)
				}
				if p.Pointer == c.pointer && strings.Contains(p.Message, c.want) {
					return
				}
			}
			t.Errorf("got %v, want %q at %q", errs, c.want, c.pointer)
		})
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{"64MiB": 64 << 20, "1GiB": 1 << 30, "1.5 KiB": 1536, "2MB": 2_000_000, "3kB": 3000, "7B": 7} {
		if n, err := parseBytes(text); err != nil || n != want {
			t.Errorf("%s: got %d, %v", text, n, err)
		}
	}
	for _, text := range []string{"", "MiB", "-1MiB", "1TiB", "64", "1e300GiB", "NaNMiB"} {
		if n, err := parseBytes(text); err == nil {
			t.Errorf("%q: got %d", text, n)
		}
	}
}

func TestBackoff(t *testing.T) {
	for streak, want := range map[int]int64{0: 1, 1: 2, 3: 8, 4: 16, 5: 16, 60: 16, 1000: 16} {
		if got := int64(backoff(1, streak)); got != want {
			t.Errorf("after %d restarts: got %d, want %d", streak, got, want)
		}
	}
}
