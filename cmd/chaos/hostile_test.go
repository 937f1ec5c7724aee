package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// hostileHead is an experiment that runs, up to what a case makes of it.
const hostileHead = `apiVersion: chaos/v1
name: NAME
title: "TITLE"
owner: "../../OWNER"
tags: ["../..", "/etc/passwd"]
recovery: {within: 5s, for: 300ms}
traffic:
  - {service: front, path: /work, rate: 50/s}
steadyState:
  - CHECK
steps:
  - STEP
`

const (
	plainCheck = `{id: up, http: {service: front, path: /health}, expect: {status: 200}}`
	plainStep  = `{id: fuller, fault: memory.stress, target: {service: front}, with: {size: 1MiB}, duration: 300ms}`
)

// hostileCase is a file that a stranger might send. All of them must leave the world outside of the project as it is; says is what the command says of it.
type hostileCase struct {
	name    string
	replace []string // pairs, in hostileHead
	code    int      // of `chaos run`, or ran
	says    string
}

// ran is for a run that takes place. Whether a busy machine scrapes often enough for its gate to open is not what is asked here.
const ran = -1

func (p projectCopy) runs(code int, args ...string) string {
	p.t.Helper()
	if code != ran {
		return p.run(code, args...)
	}
	s := p.start(args...)
	s.wait()
	if got := s.cmd.ProcessState.ExitCode(); got != 0 && got != 4 {
		p.t.Fatalf("exit code %d, want 0 or 4\n%s%s", got, &s.stdout, &s.stderr)
	}
	return s.stdout.String() + s.stderr.String()
}

func check(text string) []string { return []string{"CHECK", text} }
func step(text string) []string  { return []string{"STEP", text} }

func hostileCases() []hostileCase {
	http := func(rest string) []string {
		return check(`{id: up, http: {service: front, ` + rest + `}, expect: {status: 200}}`)
	}
	fault := func(rest string) []string { return step(`{id: hit, ` + rest + `, duration: 1s}`) }
	return []hostileCase{
		{"name leads up", []string{"NAME", "../../evil"}, 3, "a DNS label"},
		{"id leads up", check(strings.Replace(plainCheck, "id: up", "id: ../../evil", 1)), 3, "a DNS label"},
		{"matrix leads up", []string{"recovery:", "matrix: {to: [\"../../../evil/'; touch pwned; '\"]}\nrecovery:", "TITLE", "to ${matrix.to}"}, ran, "up PASS"},
		{"matrix of lines", []string{"recovery:", `matrix: {to: ["a\n::error::x"]}` + "\nrecovery:", "TITLE", "${matrix.to}"}, 3, "one line"},
		{"escape sequences", []string{"TITLE", `\e]0;owned\a\e[2J`}, 3, "control-character"},
		{"turned text", []string{"TITLE", `\u202egnp.exe`}, 3, "control-character"},
		{"alias bomb", []string{"recovery:", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\nrecovery:"}, 3, "[anchor]"},
		{"merge", []string{"recovery:", "<<: {timeout: 1h}\nrecovery:"}, 3, "[anchor]"},
		{"tag", []string{`"TITLE"`, "!!binary aGVsbG8="}, 3, "[tag]"},
		{"deep", []string{"recovery:", "x: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "\nrecovery:"}, 3, "[nesting]"},
		{"huge", []string{"TITLE", strings.Repeat("x", 2<<20)}, 3, "[file-size]"},
		{"many combinations", []string{"recovery:", "matrix: {a: [1,2,3,4,5,6,7,8], b: [1,2,3,4,5,6,7,8]}\nrecovery:"}, 3, "[matrix]"},
		{"another host", http("path: 'http://OUTSIDE/'"), 3, "begins with /"},
		{"user before a host", http("path: '@OUTSIDE/'"), 3, "begins with /"},
		{"two slashes", http("path: '//OUTSIDE/health'"), 4, "up"},
		{"header of two lines", http(`path: /health, headers: {A: "b\r\nHost: OUTSIDE"}`), 3, "[header]"},
		{"header name", http(`path: /health, headers: {"A: b": c}`), 3, "[header]"},
		{"Host", http(`path: /health, headers: {Host: OUTSIDE}`), ran, "up PASS"},
		{"redirect", http(`path: "/redirect?to=http://OUTSIDE/"`), 4, "status is 302"},
		{"templates", http(`path: "/health?a=${env.HOME}${data}${port.http}$HOME", headers: {A: "${env.CI_TOKEN}"}`), ran, "up PASS"},
		{"secret in a path", http(`path: "/health?${secret.token}"`), 3, "[secret]"},
		{"secret not declared", http(`path: /health, headers: {A: "${secret.ci}"}`), 3, "[secret]"},
		{"command", check(`{id: up, exec: {command: [touch, pwned]}, expect: {exitCode: 0}}`), 3, "running commands is not allowed"},
		{"action", step(`{id: act, action: {exec: {command: [touch, pwned]}}}`), 3, "running commands is not allowed"},
		{"denied fault", fault(`fault: service.kill, target: {service: front}`), 3, "does not allow service.kill"},
		{"denied service", fault(`fault: network.latency, target: {service: back}, with: {delay: 1ms}`), 3, "does not allow to hit back"},
		{"denied service through a link", fault(`fault: network.latency, target: {service: front, to: back}, with: {delay: 1ms}`), 3, "does not allow to hit back, which is an end of a link"},
		{"another service", fault(`fault: network.latency, target: {service: prod}, with: {delay: 1ms}`), 3, `no service "prod"`},
		{"another database", fault(`fault: db.lock, target: {service: front, database: /etc/passwd}`), 3, `no database "/etc/passwd"`},
		{"all memory", fault(`fault: memory.stress, target: {service: front}, with: {size: 1000TiB}`), 5, "to spare"},
		{"beyond all machines", fault(`fault: memory.stress, target: {service: front}, with: {size: 99999999TiB}`), 3, "more than any machine has"},
		{"workers", fault(`fault: cpu.stress, target: {service: front}, with: {workers: 1000000}`), 3, "expected 1 to 1024"},
		{"years", []string{"recovery:", "timeout: 90000h\nrecovery:"}, 3, "the policy allows 1h0m0s"},
		{"years of a fault", step(strings.Replace(plainStep, "300ms", "90000h", 1)), 3, "the policy allows 1h0m0s"},
		{"more than time", step(strings.Replace(plainStep, "300ms", "9000000000h", 1)), 3, "[quantity]"},
		{"flood", []string{"50/s", "1000000/s"}, 3, "expected one from 0.1/s to 10000/s"},
		{"flood in parts", []string{"traffic:\n", "traffic:\n" + strings.Repeat("  - {service: front, path: /work, rate: 9000/s}\n", 20)}, 3, "the policy allows 10000/s"},
		{"look all the time", step(`{id: look, http: {service: front, path: /health}, every: 1ns, for: 1s, expect: {status: 200}}`), 3, "at least 10ms"},
		{"expression", check(`{id: up, http: {service: front, path: /health}, expect: {body: {matches: "` + strings.Repeat("(a?){500}", 200) + `"}}}`), 3, "[regexp]"},
		{"JSON path", check(`{id: up, http: {service: front, path: /health}, expect: {body: {json: {path: "a[99999999999999999999].` + strings.Repeat("b.", 1000) + `c", equals: 1}}}}`), 4, "INCONCLUSIVE"},
		{"query of years", check(`{id: up, promql: 'count(sum_over_time({__name__=~".+"}[50y:1ms]))', window: 1s, expect: {min: 0}}`), 3, "50000"},
		{"title", []string{"TITLE", `</title><script>x</script>\n::set-output name=a::b\n  ##[error]x`}, ran, "up PASS"},
	}
}

const hostileConfig = `policy:
  faults: [network.*, memory.*, cpu.*, db.*]
  services: {deny: [back]}
`

// Every one of these files is a pull request from somebody unknown. What is outside of the project is a server that must not be asked, and folders around the project
// in which nothing may appear.
func TestHostileExperiments(t *testing.T) {
	notUnderRace(t)
	var asked atomic.Int64
	outside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(func() { // when all cases have ended, which run at the same time
		outside.Close()
		if n := asked.Load(); n > 0 {
			t.Errorf("the server outside was asked %d times", n)
		}
	})
	t.Setenv("CI_TOKEN", "hunter-of-tokens")
	for _, c := range hostileCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			world := t.TempDir()
			p := projectCopy{t: t, dir: filepath.Join(world, "project"), mark: marker + "=" + world}
			must(t, os.Mkdir(p.dir, 0o755))
			must(t, copyProject("testdata/project", p.dir))
			must(t, os.WriteFile(filepath.Join(p.dir, "chaos.yaml"), []byte(readAll(t, filepath.Join(p.dir, "chaos.yaml"))+hostileConfig), 0o644))
			text := strings.NewReplacer(append(c.replace, "NAME", "evil", "TITLE", "a claim", "CHECK", plainCheck, "STEP", plainStep)...).Replace(hostileHead)
			text = strings.ReplaceAll(text, "OUTSIDE", strings.TrimPrefix(outside.URL, "http://"))
			must(t, os.WriteFile(filepath.Join(p.dir, "evil.yaml"), []byte(text), 0o644))
			said := p.runs(c.code, "run", "evil.yaml")
			if !strings.Contains(said, c.says) {
				t.Errorf("it said %.2000s\nwant %q in it", said, c.says)
			}
			if strings.Contains(said, "hunter-of-tokens") || strings.ContainsAny(said, "\x1b\a\u202e") {
				t.Errorf("it said %.2000q", said)
			}
			noCommands(t, said)
			onlyOurs(t, world, p.dir)
			p.nothingIsLeft()
		})
	}
}

// onlyOurs sees that nothing appeared but the folders of the run.
func onlyOurs(t *testing.T, world, project string) {
	t.Helper()
	for dir, known := range map[string]string{world: " project ", project: " chaos.yaml evil.yaml fail.yaml long.yaml pass.yaml stubborn.yaml thin.yaml reports "} {
		entries, err := os.ReadDir(dir)
		must(t, err)
		for _, e := range entries {
			if !strings.Contains(known, " "+e.Name()+" ") {
				t.Errorf("%s has appeared in %s", e.Name(), dir)
			}
		}
	}
	logs, err := filepath.Glob(filepath.Join(project, "reports", "*", "logs", "*"))
	must(t, err)
	runs, err := filepath.Glob(filepath.Join(project, "reports", "*", journalFile))
	must(t, err)
	if len(logs) != len(runs) {
		t.Errorf("%d folders of logs for %d runs: %v", len(logs), len(runs), logs)
	}
}

// noCommands takes a text as GitHub's runner takes a job's log: a line is a command that begins with :: or has ##[ in it.
func noCommands(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "##[") {
			t.Errorf("a command for CI: %q", line)
		}
	}
}

func TestForeignTextIsNoCommand(t *testing.T) {
	for _, text := range []string{"::error::x", "a\n  ::set-output name=x::y", "a ##[error]b", "\x1b[2J::x", "x\r\n::y", "\u2028::z\n\t::z"} {
		said := foreign(text)
		noCommands(t, said)
		if strings.ContainsAny(said, "\x1b\r\t") {
			t.Errorf("%q became %q", text, said)
		}
	}
	if got := foreign("plain: it said\n    one\n    two::three"); got != "plain: it said\n    one\n    two::three" {
		t.Errorf("got %q", got)
	}
	// A service that cannot start says what it wants, in an error that quotes its log.
	p := newProject(t)
	config := strings.Replace(readAll(t, filepath.Join(p.dir, "chaos.yaml")), "TIMEOUT: 100ms}", `TIMEOUT: 100ms, DIES: "yes", SPILL: "\n::error::x\n   ::stop-commands::y\n##[error]z\e[2J"}`, 1)
	must(t, os.WriteFile(filepath.Join(p.dir, "chaos.yaml"), []byte(strings.Replace(config, `\e[2J`, "", 1)), 0o644))
	said := p.run(5, "run", "pass.yaml")
	noCommands(t, said)
	contains(t, said, "stop-commands")
}

// A link in the project must not lead out of it: what it leads to would be written, or read and shown.
func TestNothingLeadsOutOfTheProject(t *testing.T) {
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "netrc"), []byte("password hunter2"), 0o644))
	for name, c := range map[string]struct {
		link, to string
		code     int
		args     []string
	}{
		"an experiment":     {"evil.yaml", "netrc", 3, []string{"run", "evil.yaml"}},
		"to be validated":   {"evil.yaml", "netrc", 3, []string{"validate", "evil.yaml"}},
		"in a folder":       {"more", "", 3, []string{"validate", "more/netrc"}},
		"found by a folder": {"evil.yaml", "netrc", 3, []string{"plan", "."}},
		"the reports":       {"reports", "", 5, []string{"run", "pass.yaml"}},
		"reports to be":     {"reports", "new", 5, []string{"run", "pass.yaml"}},
		"the registry":      {"reports/.running", "", 5, []string{"run", "pass.yaml"}},
		"the programs":      {".chaos", "", 5, []string{"run", "pass.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t)
			link := filepath.Join(p.dir, c.link)
			must(t, os.MkdirAll(filepath.Dir(link), 0o755))
			must(t, os.Symlink(filepath.Join(outside, c.to), link))
			said := p.run(c.code, c.args...)
			contains(t, said, "out of the project through a symbolic link")
			if strings.Contains(said, "hunter2") {
				t.Errorf("it said %s", said)
			}
			if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
				t.Errorf("outside: %v, %v", entries, err)
			}
		})
	}
	t.Run("a link inside", func(t *testing.T) {
		p := newProject(t)
		must(t, os.Symlink("pass.yaml", filepath.Join(p.dir, "again.yaml")))
		p.run(0, "validate", "again.yaml")
	})
	t.Run("the user's own choice", func(t *testing.T) {
		p := newProject(t)
		must(t, os.WriteFile(filepath.Join(outside, "mine.yaml"), []byte(readAll(t, filepath.Join(p.dir, "pass.yaml"))), 0o644))
		defer os.Remove(filepath.Join(outside, "mine.yaml"))
		p.run(0, "validate", filepath.Join(outside, "mine.yaml"))
	})
	t.Run("a journal elsewhere", func(t *testing.T) {
		p := newProject(t)
		must(t, os.MkdirAll(filepath.Join(p.dir, "reports", ".running"), 0o755))
		must(t, os.WriteFile(filepath.Join(p.dir, "reports", ".running", "x.json"), []byte(`{"run_id":"x"}`), 0o644))
		must(t, os.Symlink(outside, filepath.Join(p.dir, "reports", "x")))
		said := p.run(5, "rollback")
		contains(t, said, "leads out of")
	})
}

// A service that redirects elsewhere takes nobody along: no check, no traffic, no reading of metrics, no look whether it is ready.
func TestRequestsStayInTheEnvironment(t *testing.T) {
	var asked atomic.Int64
	outside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer outside.Close()
	t.Setenv("HTTP_PROXY", outside.URL)
	p := newProject(t)
	config := strings.Replace(readAll(t, filepath.Join(p.dir, "chaos.yaml")), "metrics: /metrics", `metrics: "/redirect?to=`+outside.URL+`"`, 1)
	must(t, os.WriteFile(filepath.Join(p.dir, "chaos.yaml"), []byte(config), 0o644))
	text := strings.NewReplacer("NAME", "evil", "TITLE", "x", "path: /work", `path: "/redirect?to=`+outside.URL+`/t"`, "CHECK",
		`{id: up, http: {service: front, path: "/redirect?to=`+outside.URL+`/c"}, expect: {status: 302}}`, "STEP",
		`{id: act, action: {http: {service: front, path: "/redirect?to=`+outside.URL+`/a"}}}`).Replace(hostileHead)
	must(t, os.WriteFile(filepath.Join(p.dir, "evil.yaml"), []byte(text), 0o644))
	said := p.runs(ran, "run", "evil.yaml")
	contains(t, said, "up PASS")
	if n := asked.Load(); n > 0 {
		t.Errorf("the server outside was asked %d times", n)
	}
}
