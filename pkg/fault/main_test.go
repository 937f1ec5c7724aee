package fault_test

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/fault"
	"chaosgate/pkg/fault/sqlitefile"
	"chaosgate/pkg/internal/testkit"
	"chaosgate/pkg/proc"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
	"chaosgate/pkg/target/process"
)

var (
	soon       = testkit.Soon
	eventually = testkit.Eventually
	must       = testkit.Must
	wantError  = testkit.WantError
	// For faults by helpers, which the race detector sees in pkg/agent, and makes slow to start.
	notUnderRace = testkit.NotUnderRace
)

// The test binary is also the services and the helpers.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "agent":
		exit(agent.Serve(context.Background(), os.Stdin, os.Stdout))
	case os.Getenv("ROLE") == "holder":
		exit(holder())
	case os.Getenv("ROLE") == "web":
		exit(web())
	}
	os.Exit(m.Run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// web answers on PORT: /health, /pid, /big answers 20 kB. It makes a database at DB, in journal mode JOURNAL, if it is not there yet.
func web() error {
	if os.Getenv("STUBBORN") != "" {
		signal.Ignore(syscall.SIGTERM)
	}
	if file := os.Getenv("DB"); file != "" {
		db, err := connect(file, "rwc")
		if err != nil {
			return err
		}
		if _, err := db.Exec("PRAGMA journal_mode = " + os.Getenv("JOURNAL") + "; CREATE TABLE IF NOT EXISTS a (v)"); err != nil {
			return err
		}
	}
	http.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "well") })
	http.HandleFunc("/pid", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
	http.HandleFunc("/big", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 20_000)) })
	return http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil)
}

func connect(file, mode string) (*sql.DB, error) {
	return sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?mode="+mode)
}

// world is an environment of two services, a -> b, of which b has a database.
type world struct {
	*process.Environment
	opts process.Options
}

func up(t *testing.T, change func(b *spec.Service)) *world {
	t.Helper()
	return upWith(t, change, func(*process.Options) {})
}

func upWith(t *testing.T, change func(b *spec.Service), set func(*process.Options)) *world {
	t.Helper()
	dir := t.TempDir()
	service := func() spec.Service {
		return spec.Service{
			Command: []string{os.Args[0]}, Ports: map[string]string{"http": "5000"}, Ready: spec.Readiness{HTTP: "/health", Within: "10s"}, Stop: "300ms",
			Env: map[string]string{"ROLE": "web", "PORT": "${port.http}"},
		}
	}
	a, b := service(), service()
	a.Links = []string{"b"}
	b.Env["DB"], b.Env["JOURNAL"], b.Databases = "${data}/it's 100%.db", "DELETE", map[string]string{"orders": "${data}/it's 100%.db"}
	if change != nil {
		change(&b)
	}
	opts := process.Options{
		RunID: fmt.Sprintf("fault-%d", os.Getpid()), Experiment: strings.NewReplacer("/", "-", " ", "-").Replace(t.Name()), Root: dir, WorkDir: filepath.Join(dir, "chaos-data"),
		LogDir: filepath.Join(dir, "logs"), Spec: spec.Environment{Services: map[string]spec.Service{"a": a, "b": b}}, Self: os.Args[0],
		Connect: func(in io.WriteCloser, out io.Reader) target.HelperClient { return agent.NewClient(in, out) },
	}
	set(&opts)
	w := &world{Environment: process.New(opts), opts: opts}
	must(t, w.Up(soon(t), func(target.Undo) error { return nil }))
	go func() {
		for range w.Events() {
		}
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := w.Down(ctx); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) target(t *testing.T, service string) target.Target {
	t.Helper()
	found, err := w.Resolve(t.Context(), target.Selection{Services: []string{service}})
	must(t, err)
	return found[0]
}

func (w *world) file(t *testing.T) string {
	t.Helper()
	file, err := w.Database(w.target(t, "b"), "")
	must(t, err)
	return file.Path
}

// helpers are the helper processes at work.
func (w *world) helpers(t *testing.T) (found []proc.ID) {
	t.Helper()
	all, err := proc.FindMarked(proc.Marker(w.opts.RunID + "/" + w.opts.Experiment))
	must(t, err)
	for _, id := range all {
		if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", id.PID)); err == nil && strings.HasSuffix(string(line), "\x00agent\x00") {
			found = append(found, id)
		}
	}
	return found
}

func (w *world) killHelper(t *testing.T) {
	t.Helper()
	ids := w.helpers(t)
	if len(ids) == 0 {
		t.Fatal("no helper runs")
	}
	for _, id := range ids {
		must(t, id.Signal(syscall.SIGKILL))
		eventually(t, "the helper is gone", func() bool { return !id.Alive() })
	}
}

// get asks b over the link from a, as a would.
func (w *world) get(path string, within time.Duration) (string, error) {
	addr, err := w.Address(linkAB)
	if err != nil {
		return "", err
	}
	client := http.Client{Timeout: within, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + addr + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

var linkAB = target.Link{From: "a", To: "b"}

// pid asks b itself which process it is.
func (w *world) pid(t *testing.T) (pid int) {
	t.Helper()
	text, err := w.get("/pid", 5*time.Second)
	must(t, err)
	_, err = fmt.Sscan(text, &pid)
	must(t, err)
	return pid
}

// insert is what b would meet on a fresh connection that does not wait.
func (w *world) insert(t *testing.T) error {
	t.Helper()
	db, err := connect(w.file(t), "rw")
	must(t, err)
	defer db.Close()
	_, err = db.Exec("INSERT INTO a VALUES (1)")
	return err
}

// replaceDatabase puts another file in the place of b's database.
func (w *world) replaceDatabase(t *testing.T) {
	t.Helper()
	file := w.file(t)
	db, err := connect(file+".new", "rwc")
	must(t, err)
	_, err = db.Exec("CREATE TABLE a (v)")
	must(t, err)
	must(t, db.Close())
	must(t, os.Rename(file+".new", file))
}

// request is a fault as the plan would ask for it.
type request struct {
	fault, service, to string
	with               map[string]string
	inside             bool // its databases are reached by helpers only
	oneShot            bool
}

func (r request) kind(t *testing.T) fault.Kind {
	t.Helper()
	k, ok := fault.Find(r.fault)
	if !ok {
		t.Fatalf("there is no fault %s", r.fault)
	}
	return k
}

// runtime is the world, or one whose databases only a helper can reach.
func (r request) runtime(w *world) target.Runtime {
	if r.inside {
		return insideOnly{w.Environment}
	}
	return w.Environment
}

// insideOnly is an environment whose databases only a helper hosted by it reaches, as in a container.
type insideOnly struct{ *process.Environment }

func (i insideOnly) Database(t target.Target, name string) (target.Database, error) {
	d, err := i.Environment.Database(t, name)
	d.Inside = true
	return d, err
}

func (r request) build(t *testing.T, w *world) fault.Fault {
	t.Helper()
	k := r.kind(t)
	params, problems := k.CheckParams(r.with)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	f, err := k.New(fault.Request{
		ID: "the-step", Runtime: r.runtime(w), Targets: []target.Target{w.target(t, r.service)}, To: r.to, Params: params, OneShot: r.oneShot,
	})
	must(t, err)
	return f
}

// prepared is a fault that is armed; it is reverted at the end in any case.
func (r request) prepared(t *testing.T, w *world) (fault.Fault, []target.Undo) {
	t.Helper()
	f := r.build(t, w)
	t.Cleanup(func() {
		if t.Failed() {
			_, _ = f.Revert(context.Background())
		}
	})
	undos, err := f.Prepare(soon(t))
	must(t, err)
	return f, undos
}

func (r request) injected(t *testing.T, w *world) (fault.Fault, []target.Undo) {
	t.Helper()
	f, undos := r.prepared(t, w)
	e, err := f.Inject(soon(t))
	wantEffect(t, "inject", e, err, true, "")
	return f, undos
}

func wantEffect(t *testing.T, what string, e fault.Effect, err error, proven bool, parts ...string) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if e.Proven != proven {
		t.Fatalf("%s: proven is %v, want %v: %s", what, e.Proven, proven, e.Summary)
	}
	for _, p := range parts {
		if !strings.Contains(e.Summary, p) {
			t.Errorf("%s: got %q, want %q in it", what, e.Summary, p)
		}
	}
	if e.Summary == "" || strings.Contains(e.Summary, "%!") {
		t.Errorf("%s: the summary is %q", what, e.Summary)
	}
	t.Logf("%s: %s %v", what, e.Summary, e.Readings)
}

func wantReverted(t *testing.T, f fault.Fault) {
	t.Helper()
	for range 2 {
		e, err := f.Revert(soon(t))
		wantEffect(t, "revert", e, err, true)
	}
}

func isBusy(err error) bool     { return sqlitefile.IsBusy(err) }
func isCorrupt(err error) bool  { return sqlitefile.IsCorrupt(err) }
func isReadOnly(err error) bool { return sqlitefile.IsReadOnly(err) }
