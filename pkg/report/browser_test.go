package report

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
)

// The page is measured where it is read: a real browser shows it in frames of the widths of a screen and of a phone, and a script of this test, outside of the
// page, reads what is there and sends it back. The page's own policy stays in force: it runs no script, and the hostile one must not either.

//go:embed testdata/measure.html
var measure string

// seenPage is what the browser saw of one page at one width.
type seenPage struct {
	Page     string   `json:"page"`
	Width    int      `json:"width"`
	Title    string   `json:"title"`
	Heading  string   `json:"heading"` // of the page, as shown
	Text     string   `json:"text"`
	Overflow float64  `json:"overflow"` // pixels beyond the width
	Overlaps []string `json:"overlaps"` // texts of a picture that cover each other
	Cut      []string `json:"cut"`      // texts that leave their picture
	Pale     []string `json:"pale"`     // texts below the contrast of WCAG AA
	Stuck    []string `json:"stuck"`    // what scrolls and cannot be reached by the keyboard
	Dead     []string `json:"dead"`     // links within the page that lead nowhere
	Texts    int      `json:"texts"`    // of pictures
	Scripts  int      `json:"scripts"`
	Images   int      `json:"images"`
	Loads    int      `json:"loads"` // resources that the page asked for
}

// browser finds a Chromium. Where there is none the test is skipped, but not in CI, where that would hide that it never runs.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	text := "the report is not looked at: there is no chromium, chromium-browser or google-chrome in PATH (apt-get install chromium)"
	if os.Getenv("CI") == "true" {
		t.Fatal(text)
	}
	t.Skip(text)
	return ""
}

// look shows pages in a browser and answers what it saw. scheme is the colour scheme: 0 is dark, 1 is light.
func look(t *testing.T, chromium, scheme string, pages map[string]string) []seenPage {
	t.Helper()
	result := make(chan []byte, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, strings.Replace(measure, "PAGES", strings.Join(sortedKeys(pages), " "), 1))
	})
	mux.HandleFunc("GET /page/{name}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, pages[r.PathValue("name")])
	})
	mux.HandleFunc("POST /result", func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		result <- body
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	c := started(t, chromium, "--remote-debugging-port=0", "--window-size=1300,1000", "--blink-settings=preferredColorScheme="+scheme, server.URL)
	var body []byte
	select {
	case body = <-result:
	case err := <-c.ended:
		t.Fatalf("the browser ended before it had looked: %v\n%s", err, c.said.String())
	case <-time.After(2 * time.Minute):
		t.Fatalf("the browser has not answered for two minutes\n%s", c.said.String())
	}
	var seen []seenPage
	if err := json.Unmarshal(body, &seen); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return seen
}

// running is a browser with a profile and a folder for temporary files of its own. It is ended, and waited for with all its processes, before these are removed.
type running struct {
	ended chan error
	said  *strings.Builder
}

func started(t *testing.T, chromium string, args ...string) running {
	t.Helper()
	dir := t.TempDir()
	always := []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--disable-sync", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--user-data-dir=" + filepath.Join(dir, "profile")}
	r := running{ended: make(chan error, 1), said: &strings.Builder{}}
	c := exec.Command(chromium, append(always, args...)...)
	c.Env = append(os.Environ(), "TMPDIR="+dir)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Stderr = r.said
	c.WaitDelay = 10 * time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() {
		r.ended <- c.Wait()
		close(gone)
	}()
	t.Cleanup(func() {
		deadline := time.Now().Add(30 * time.Second)
		for syscall.Kill(-c.Process.Pid, syscall.SIGKILL) == nil && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond) // until no process of its group is left
		}
		<-gone
	})
	return r
}

// crowded is a run whose pictures have little room: long ids, many steps that need each other and last a moment, limits on top of each other.
func crowded(t *testing.T) []journal.Event {
	t.Helper()
	long := func(id string) string { return id + "-with-a-name-as-long-as-a-dns-label-may-be-which-is-sixty-three" }
	events := changed(t, read(t, "failed"), journal.Planned, func(_ *journal.Event, p *plan.Plan) bool {
		for i := range p.Steps {
			s := &p.Steps[i]
			s.ID = long(s.ID)
			if s.During != "" {
				s.During = long(s.During)
			}
			if s.Check != nil {
				s.Check.ID = s.ID
				for n := range 6 {
					e := s.Check.Expect[0]
					e.Limit *= 1 + float64(n)/100
					s.Check.Expect = append(s.Check.Expect, e)
				}
			}
		}
		last := p.Steps[0].ID
		for n := range 8 {
			id := fmt.Sprintf("%s-%d", long("after"), n)
			p.Steps = append(p.Steps, plan.Step{ID: id, Needs: []string{last, p.Steps[0].ID}, When: plan.WhenPass, Wait: 1})
			last = id
		}
		return true
	})
	var steps []string
	var end journal.Event
	for i := range events {
		e := &events[i]
		if e.Type == journal.StepEnded {
			end = *e
		}
		if e.Step == "slow-link" || e.Step == "p99-holds" || e.Step == "callers-see-no-errors" {
			e.Step = long(e.Step)
			steps = append(steps, e.Step)
		}
	}
	if len(steps) == 0 || end.Type == "" {
		t.Fatal("the journal is not the one that this test knows")
	}
	for n := range 5 { // the others are never started
		for _, typ := range []journal.Type{journal.StepStarted, journal.StepEnded} {
			e := end
			e.Type, e.Step, e.Mono = typ, fmt.Sprintf("%s-%d", long("after"), n), end.Mono+time.Duration(n)*time.Millisecond
			e.Data = []byte(`{"status":"done"}`)
			events = append(events, e)
		}
	}
	return changed(t, events, journal.SeriesKept, func(_ *journal.Event, s *journal.SeriesData) bool {
		if s.Check == "p99-holds" || s.Check == "callers-see-no-errors" {
			s.Check = long(s.Check)
		}
		return true
	})
}

func TestThePageInABrowser(t *testing.T) {
	chromium := browser(t)
	headings := map[string]string{"passed": "✓ Deployment gate OPEN"}
	pages, shows := map[string]string{}, map[string]string{"hostile": "<script>document.title='hacked'</script>", "hostile-killed": "<script>document.title='hacked'</script>"}
	for _, name := range recorded {
		m := recordedModel(t, name)
		pages[name], shows[name] = written(t, "html", m), headline(m)
	}
	pages["crowded"] = written(t, "html", modelOf(t, crowded(t)))
	pages["dirty"] = written(t, "html", modelOf(t, until(t, read(t, "failed"), journal.FaultActive)))
	pages["hostile"] = written(t, "html", modelOf(t, hostile(t, "failed")))
	pages["hostile-killed"] = written(t, "html", modelOf(t, hostile(t, "killed")))
	// Should a script ever get into a page, the page's own policy keeps it from running.
	pages["injected"] = strings.Replace(pages["failed"], "</body>", `<script>document.title='hacked'</script><img src="data:," onerror="document.title='hacked'"></body>`, 1)
	for scheme, value := range map[string]string{"dark": "0", "light": "1"} {
		seen := look(t, chromium, value, pages)
		if len(seen) != 2*len(pages) {
			t.Fatalf("%d pages seen, want %d", len(seen), 2*len(pages))
		}
		for _, p := range seen {
			if p.Page == "injected" {
				if p.Scripts != 1 || !strings.HasPrefix(p.Title, "Gate CLOSED") {
					t.Errorf("%d injected scripts, and the title is %q", p.Scripts, p.Title)
				}
				continue
			}
			t.Run(fmt.Sprintf("%s %s %d", p.Page, scheme, p.Width), func(t *testing.T) {
				want := headings[p.Page]
				if want == "" {
					want = "✗ Deployment gate CLOSED"
				}
				p.check(t, want, shows[p.Page])
			})
		}
	}
}

func (p seenPage) check(t *testing.T, heading, shown string) {
	t.Helper()
	if p.Heading != heading {
		t.Errorf("the heading is %q, want %q", p.Heading, heading)
	}
	if !strings.HasPrefix(p.Title, "Gate "+heading[strings.LastIndex(heading, " ")+1:]) {
		t.Errorf("the title is %q", p.Title)
	}
	if p.Overflow > 0 {
		t.Errorf("the page is %v pixels too wide", p.Overflow)
	}
	for what, list := range map[string][]string{
		"texts of a picture cover each other": p.Overlaps, "texts leave their picture": p.Cut, "the contrast is below AA": p.Pale,
		"what scrolls cannot be reached by the keyboard": p.Stuck, "links lead nowhere": p.Dead,
	} {
		if len(list) > 0 {
			t.Errorf("%s: %q", what, list[:min(5, len(list))])
		}
	}
	if p.Scripts != 0 || p.Images != 0 || p.Loads != 0 {
		t.Errorf("%d scripts, %d images, %d resources: the page is not self-contained", p.Scripts, p.Images, p.Loads)
	}
	if p.Texts < 10 {
		t.Errorf("only %d texts in pictures", p.Texts)
	}
	if !strings.Contains(p.Text, shown) {
		t.Errorf("%q is not shown", shown)
	}
}

// As docs/images/report.png is made: chromium --headless --screenshot of the page of testdata/failed.jsonl, 1100 pixels wide.
func TestAScreenshotCanBeTaken(t *testing.T) {
	chromium := browser(t)
	dir := t.TempDir()
	page, shot := filepath.Join(dir, "report.html"), filepath.Join(dir, "shot.png")
	if err := os.WriteFile(page, []byte(written(t, "html", recordedModel(t, "failed"))), 0o644); err != nil {
		t.Fatal(err)
	}
	c := started(t, chromium, "--window-size=1100,1400", "--screenshot="+shot, "file://"+page)
	select {
	case err := <-c.ended:
		if err != nil {
			t.Fatalf("%v\n%s", err, c.said.String())
		}
	case <-time.After(time.Minute):
		t.Fatalf("the browser has not ended for a minute\n%s", c.said.String())
	}
	if info, err := os.Stat(shot); err != nil || info.Size() < 30_000 {
		t.Errorf("the picture is missing or empty: %v, %v", info, err)
	}
}
