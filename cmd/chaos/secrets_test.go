package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"chaosgate/pkg/journal"
)

// canary is a part of every secret here that no encoding but Base64 and the like changes, so that it is found whatever became of the rest.
const canary = "c4n4ry"

// canaries are the variables of chaos' own environment that hold one. CI_TOKEN is one that chaos.yaml does not know.
func canaries() map[string]string {
	return map[string]string{
		"SHOP_KEY": `k+1/"` + canary + `" <&ü>` + "\n", "SHOP_TOKEN": "Bearer-" + canary + "==", "CI_TOKEN": canary + "-of-ci",
		"PROM_TOKEN": canary + "-of-prometheus", "PROM_USER": canary + "-user", "PROM_PASSWORD": `pass"` + canary,
	}
}

const secretConfig = `
apiVersion: chaos/v1
secrets:
  key: {fromEnv: SHOP_KEY}
  token: {fromEnv: SHOP_TOKEN, sendTo: [front]}
environments:
  local:
    target: process
    prometheus: {url: embedded, interval: 100ms}
    services: &services
      front:
        command: [service]
        ports: {http: "8080"}
        env: {PORT: "${port.http}", UPSTREAM: "http://${link.back}", TIMEOUT: 100ms, SPILL: "${secret.key}"}
        links: [back]
        ready: {http: /health, within: 5s}
        metrics: /metrics
      back:
        command: [service]
        ports: {http: "8081"}
        env: {PORT: "${port.http}"}
        ready: {http: /health, within: 5s}
        metrics: /metrics
    weakened:
      dies:
        closes: [leaky]
        services:
          front: {DIES: "yes"}
  bearer:
    target: process
    prometheus: {url: "SERVER", interval: 100ms, bearerTokenEnv: PROM_TOKEN}
    services: *services
  basic:
    target: process
    prometheus: {url: "SERVER", interval: 100ms, usernameEnv: PROM_USER, passwordEnv: PROM_PASSWORD}
    services: *services
policy: {exec: true}
`

const leaky = `
apiVersion: chaos/v1
name: leaky
recovery: {within: 5s, for: 300ms}
traffic:
  - {service: front, path: /work, rate: 50/s, headers: {Authorization: "${secret.token}"}}
steadyState:
  - id: front-up
    http: {service: front, path: /health, headers: {X-Token: "a ${secret.token} b"}}
    expect: {status: "200"}
steps:
  - id: slow
    fault: network.latency
    target: {service: front, to: back}
    with: {delay: 20ms}
    duration: 600ms
  - id: body
    during: slow
    http: {service: front, path: /spill, headers: {Authorization: "${secret.token}"}}
    expect: {status: "418", body: {matches: "c4n[4]ry"}}
  - id: label
    during: slow
    promql: {query: spilled, each: all}
    expect: {max: 0}
  - id: command
    exec: {command: [sh, -c, "env; cat OUTSIDE; cat OUTSIDE >&2; exit 3"]}
    expect: {exitCode: 0}
  - id: act
    action: {http: {service: front, path: /spill, headers: {Authorization: "${secret.token}"}}}
`

// Secrets enter in every way there is, somebody repeats them wherever something can be said, every command says and writes what it has to, also when things go
// wrong, and then everything that was said or written is searched.
func TestSecretsAppearNowhere(t *testing.T) {
	notUnderRace(t)
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "buildinfo") {
			fmt.Fprintf(w, `{"status":"success","data":{"version":%q}}`, "2 of "+r.Header.Get("Authorization"))
			return
		}
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprintf(w, `{"status":"error","errorType":"execution","error":%q}`, r.Header.Get("Authorization"))
	}))
	defer prometheus.Close()
	p := newProject(t)
	outside := filepath.Join(t.TempDir(), "outside")
	said := &strings.Builder{}
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(outside, canaries()["SHOP_KEY"]+canaries()["SHOP_TOKEN"])
	config := strings.NewReplacer("SERVER", prometheus.URL, " &services", "").Replace(secretConfig)
	services := config[strings.Index(config, "services:"):strings.Index(config, "    weakened:")]
	write(filepath.Join(p.dir, "chaos.yaml"), strings.ReplaceAll(config, "services: *services", strings.TrimSpace(services)))
	write(filepath.Join(p.dir, "leaky.yaml"), strings.ReplaceAll(leaky, "OUTSIDE", outside))
	for name, v := range canaries() {
		t.Setenv(name, v)
	}
	run := func(code int, args ...string) {
		t.Helper()
		said.WriteString(p.run(code, args...))
	}
	run(0, "validate", "leaky.yaml")
	for _, format := range []string{"text", "json", "mermaid"} {
		run(0, "plan", "leaky.yaml", "--output", format)
	}
	run(5, "run", "leaky.yaml")
	wantMasked(t, p)
	dir := onlyRun(t, p)
	run(5, "verdict", dir)
	run(0, "report", dir)
	run(0, "report", dir, "--output", "html=-")
	run(0, "rollback", dir)
	t.Setenv("GITHUB_ACTIONS", "true")
	run(5, "run", "leaky.yaml", "--weakened", "dies")
	run(5, "run", "leaky.yaml", "--env", "bearer")
	run(5, "run", "leaky.yaml", "--env", "basic", "--output", "json=-")
	run(5, "run", "leaky.yaml", "--reports", filepath.Join("chaos.yaml", canaries()["SHOP_TOKEN"]))
	run(1, "prove", "leaky.yaml", "--reports", "proven")
	killed := p.start("run", "leaky.yaml", "--reports", "killed")
	p.eventually("the run is under way", func() bool {
		found, _ := filepath.Glob(filepath.Join(p.dir, "killed", "*", journalFile))
		return len(found) == 1 && strings.Contains(readAll(t, found[0]), string(journal.FaultActive))
	})
	killed.signal(syscall.SIGKILL)
	killed.cmd.Wait()
	run(0, "rollback", "--reports", "killed")
	for _, text := range []string{said.String(), killed.stdout.String() + killed.stderr.String()} {
		if found := spilled(text); found != "" {
			t.Errorf("it was said: %s", found)
		}
	}
	searchAll(t, p.dir)
}

// wantMasked sees that the search below could have found something: all of it was there.
func wantMasked(t *testing.T, p projectCopy) {
	t.Helper()
	dir := onlyRun(t, p)
	for _, name := range []string{"journal.jsonl", "report.json", "report.html", "logs/leaky/front.log"} {
		if !strings.Contains(readAll(t, filepath.Join(dir, name)), "***") {
			t.Errorf("%s has nothing masked in it", name)
		}
	}
	events, err := journal.ReadFile(filepath.Join(dir, journalFile))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, e := range events {
		if o, err := journal.Decode[journal.Observation](e); e.Type == journal.Looked && err == nil {
			seen[e.Step] += fmt.Sprint(o.Text, o.Series)
		}
	}
	for step, want := range map[string]string{"body": "***", "label": "text:***", "command": "***"} {
		if !strings.Contains(seen[step], want) {
			t.Errorf("%s saw %.300q, want %q in it", step, seen[step], want)
		}
	}
}

func onlyRun(t *testing.T, p projectCopy) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(p.dir, "reports", "*", journalFile))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	return filepath.Dir(found[0])
}

func readAll(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// searchAll looks into every file below a folder, by name and by content, but those that the test itself has written.
func searchAll(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "leaky.yaml" {
			return err
		}
		files++
		if found := spilled(path + "\n" + readAll(t, path)); found != "" {
			t.Errorf("%s: %s", path, found)
		}
		return nil
	})
	if err != nil || files < 30 {
		t.Fatalf("%d files were searched: %v", files, err)
	}
}

var (
	base64Like = regexp.MustCompile(`[A-Za-z0-9+/_-]{8,}`)
	hexLike    = regexp.MustCompile(`[0-9a-fA-F]{12,}`)
	escapes    = regexp.MustCompile(`\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}`)
)

// spilled answers where a text gives a secret away, "" if it does not. It knows nothing of how secrets are masked: it decodes what it can.
func spilled(text string) string {
	decoded := []string{text, strings.ReplaceAll(text, "\n", ""), html.UnescapeString(text), escapes.ReplaceAllStringFunc(text, func(e string) string {
		n, _ := strconv.ParseUint(e[2:], 16, 32)
		return string(rune(n))
	})}
	if plain, err := url.QueryUnescape(text); err == nil {
		decoded = append(decoded, plain)
	}
	for _, token := range hexLike.FindAllString(text, -1) {
		plain, _ := hex.DecodeString(token[:len(token)&^1])
		decoded = append(decoded, string(plain))
	}
	standard := strings.NewReplacer("-", "+", "_", "/")
	for _, token := range base64Like.FindAllString(text, -1) {
		token = standard.Replace(token[:min(len(token), 4096)])
		for shift := range 4 {
			rest := token[shift:]
			plain, _ := base64.RawStdEncoding.DecodeString(rest[:len(rest)&^3])
			decoded = append(decoded, string(plain))
		}
	}
	for _, plain := range decoded {
		if i := strings.Index(plain, canary); i >= 0 {
			return strconv.Quote(plain[max(0, i-60):min(len(plain), i+60)])
		}
	}
	return ""
}

func TestTheSearchFindsSecrets(t *testing.T) {
	for _, text := range []string{
		canary, "x" + canary + "y", base64.StdEncoding.EncodeToString([]byte("me:" + canary)), base64.URLEncoding.EncodeToString([]byte(canary + "?>")),
		hex.EncodeToString([]byte(canary)), "c4n4\nry", "%63" + canary[1:], `\u0063` + canary[1:], "&#99;" + canary[1:],
	} {
		if spilled("a "+text+" b") == "" {
			t.Errorf("%q is not found", text)
		}
	}
	if found := spilled("nothing to see"); found != "" {
		t.Error(found)
	}
}

// What a run needs and cannot have, or cannot keep to itself, is refused before anything is touched.
func TestSecretsThatARunCannotHave(t *testing.T) {
	p := newProject(t)
	config := strings.ReplaceAll(readAll(t, filepath.Join(p.dir, "chaos.yaml")), "environments:", "secrets: {token: {fromEnv: SHOP_TOKEN, sendTo: [front]}}\nenvironments:")
	if err := os.WriteFile(filepath.Join(p.dir, "chaos.yaml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	experiment := readAll(t, filepath.Join(p.dir, "pass.yaml"))
	for name, c := range map[string]struct {
		header, value, want string
		code                int
	}{
		"missing":       {"${secret.token}", "", "the environment variable SHOP_TOKEN is not set", 3},
		"short":         {"${secret.token}", "abc", "shorter than 4 characters", 3},
		"unknown":       {"${secret.tokn}", "long enough", `there is no secret "tokn"`, 3},
		"written":       {"long enough", "long enough", "the value of the secret token stands in this experiment", 3},
		"not used":      {"x", "", "front-up PASS", ran},
		"the variable":  {"${env.SHOP_TOKEN}", "long enough", "front-up PASS", ran}, // only text
		"a shell's way": {"$SHOP_TOKEN ${SHOP_TOKEN}", "long enough", "front-up PASS", ran},
	} {
		t.Run(name, func(t *testing.T) {
			p.t = t
			t.Setenv("SHOP_TOKEN", c.value)
			text := strings.Replace(experiment, "path: /health}", `path: /health, headers: {A: "`+c.header+`"}}`, 1)
			if err := os.WriteFile(filepath.Join(p.dir, "one.yaml"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			if said := p.runs(c.code, "run", "one.yaml", "--reports", name); !strings.Contains(said, c.want) || c.value != "" && strings.Contains(said, c.value) && name != "written" {
				t.Errorf("got %s", said)
			}
		})
	}
}
