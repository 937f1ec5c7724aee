package process_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

func pair() map[string]spec.Service {
	return map[string]spec.Service{
		"a": service(func(s *spec.Service) { s.Links = []string{"b"}; s.Env["PEER"] = "${link.b}" }),
		"b": service(func(s *spec.Service) { s.Env["GREETING"] = "from b, data in ${data}" }),
	}
}

func TestUpAndDown(t *testing.T) {
	w := newWorld(t, pair())
	began := time.Now()
	must(t, w.Up(soon(t), func(u target.Undo) error {
		if _, err := os.Stat(w.opts.WorkDir); !errors.Is(err, os.ErrNotExist) {
			t.Error("something exists before the undo is recorded")
		}
		return w.record(u)
	}))
	t.Logf("up in %v", time.Since(began))
	if got, want := w.get(t, "a", "/peer"), "from b, data in "+filepath.Join(w.opts.WorkDir, "b-1"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	scrapes := w.Scrapes()
	if len(scrapes) != 2 || !reflect.DeepEqual(scrapes[0].Labels, map[string]string{"service": "a", "instance": "a-1"}) || !strings.HasSuffix(scrapes[0].URL, "/metrics") {
		t.Errorf("got scrapes %v", scrapes)
	}
	links, err := w.Links(services("a"), "", "")
	if want := []target.Link{{From: "a", To: "b"}, {From: "outside", To: "a"}}; err != nil || !reflect.DeepEqual(links, want) {
		t.Errorf("got links %v, %v, want %v", links, err, want)
	}
	began = time.Now()
	must(t, w.Down(soon(t)))
	t.Logf("down in %v", time.Since(began))
	w.checkNothingLeft(t)
	must(t, w.Down(soon(t)))
	checkEventsOfALife(t, w)
	if log, err := os.ReadFile(filepath.Join(w.opts.LogDir, "a.log")); err != nil || !strings.Contains(string(log), "a-1 starts") || !strings.Contains(string(log), "listening on") {
		t.Errorf("got log %q, %v", log, err)
	}
}

func checkEventsOfALife(t *testing.T, w *world) {
	t.Helper()
	seen := map[string][]target.EventType{}
	for e := range w.Events() {
		seen[e.Instance] = append(seen[e.Instance], e.Type)
		if e.Type == target.Exited && (!e.Expected || !strings.Contains(e.Detail, "the environment ends")) {
			t.Errorf("the exit by Down: %+v", e)
		}
		if e.Type == target.Ready && e.Took <= 0 {
			t.Errorf("ready after no time: %+v", e)
		}
	}
	for _, instance := range []string{"a-1", "b-1"} {
		if want := []target.EventType{target.Started, target.Ready, target.Exited}; !reflect.DeepEqual(seen[instance], want) {
			t.Errorf("%s: got %v, want %v", instance, seen[instance], want)
		}
	}
}

func TestNothingIsStartedWithoutAnUndo(t *testing.T) {
	w := newWorld(t, pair())
	wantError(t, w.Up(soon(t), func(target.Undo) error { return errors.New("disk full") }), "nothing was started", "disk full")
	w.checkNothingLeft(t)
	must(t, w.Down(soon(t)))
}

func TestUpFailsWithASentence(t *testing.T) {
	cases := map[string]struct {
		change func(*spec.Service)
		want   []string
	}{
		"exits":        {func(s *spec.Service) { s.Env["ROLE"] = "exit" }, []string{"a-1 exited before it was ready, with exit code 3", "cannot go on", "a.log"}},
		"never ready":  {func(s *spec.Service) { s.Env["ROLE"] = "hang"; s.Ready.Within = "2s" }, []string{"a-1 was not ready within 2s", "GET http://127.0.0.1:", "connection refused", "starting up"}},
		"not 2xx":      {func(s *spec.Service) { s.Ready = spec.Readiness{HTTP: "/nothing", Within: "2s"} }, []string{"the answer was 404"}},
		"no program":   {func(s *spec.Service) { s.Command = []string{"/nothing/here"} }, []string{"a-1 could not be started", "/nothing/here", "no such file"}},
		"unknown name": {func(s *spec.Service) { s.Env["X"] = "${port.htp}" }, []string{"service a: env/X", "${port.htp} is not known here", "${data}", "${port.http}"}},
		"not built":    {func(s *spec.Service) { s.Build = "./x" }, []string{"./x has not been built"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			services := pair()
			services["a"] = service(c.change)
			w := newWorld(t, services)
			wantError(t, w.Up(soon(t), w.record), c.want...)
			w.checkNothingLeft(t)
			must(t, w.Down(soon(t)))
		})
	}
}

func TestUpEndsWithItsContext(t *testing.T) {
	w := newWorld(t, map[string]spec.Service{"a": service(func(s *spec.Service) { s.Env["ROLE"] = "hang" })})
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(errors.New("interrupted")) })
	wantError(t, w.Up(ctx, w.record), "interrupted")
	w.checkNothingLeft(t)
}

func TestWorkFolderOfSomebodyElseIsLeftAlone(t *testing.T) {
	w := newWorld(t, pair())
	must(t, os.Mkdir(w.opts.WorkDir, 0o755))
	wantError(t, w.Up(soon(t), w.record), "file exists")
	if _, err := os.Stat(w.opts.WorkDir); err != nil {
		t.Error("it was removed")
	}
}

func TestPortInUseIsRetried(t *testing.T) {
	once := filepath.Join(t.TempDir(), "once")
	w := up(t, map[string]spec.Service{"a": service(func(s *spec.Service) { s.Env["ROLE"], s.Env["ONCE"] = "once", once })})
	first, err := os.ReadFile(once)
	must(t, err)
	if got := w.get(t, "a", "/health"); got != "hello" {
		t.Errorf("got %q", got)
	}
	if strings.Contains(w.Scrapes()[0].URL, ":"+string(first)+"/") {
		t.Errorf("port %s was tried again", first)
	}
}

func TestTCPReadinessAndNoPort(t *testing.T) {
	w := up(t, map[string]spec.Service{
		"tcp": service(func(s *spec.Service) { s.Ready = spec.Readiness{} }),
		"none": service(func(s *spec.Service) {
			s.Ports, s.Ready, s.Metrics = nil, spec.Readiness{}, ""
			s.Env = map[string]string{"ROLE": "hang"}
		}),
	})
	if got := w.get(t, "tcp", "/health"); got != "hello" {
		t.Errorf("got %q", got)
	}
	_, err := w.URL("none")
	wantError(t, err, "cannot be reached from outside", "tcp")
}

func TestWeakenedVariables(t *testing.T) {
	w := newWorld(t, pair())
	w.opts.Variables = map[string]map[string]string{"b": {"GREETING": "weak"}}
	weak := newWorldOf(w.opts)
	must(t, weak.Up(soon(t), weak.record))
	defer func() { must(t, weak.Down(soon(t))) }()
	if got := weak.get(t, "a", "/peer"); got != "weak" {
		t.Errorf("got %q", got)
	}
}

func TestResolve(t *testing.T) {
	w := up(t, pair())
	for _, instances := range []string{"", "one", "all", "1", "50%"} {
		if found, err := w.Resolve(t.Context(), target.Selection{Services: []string{"b", "a"}, Instances: instances}); err != nil || len(found) != 2 || found[0].Instance != "a-1" {
			t.Errorf("%q: got %v, %v", instances, found, err)
		}
	}
	for sel, want := range map[string]target.Selection{
		"names no service":          {},
		"no service \"c\" here":     {Services: []string{"c"}},
		"but it has 1":              {Services: []string{"a"}, Instances: "3"},
		"nothing would be selected": {Services: []string{"a"}, Instances: "0%"},
		"expected one, all":         {Services: []string{"a"}, Instances: "some"},
	} {
		_, err := w.Resolve(t.Context(), want)
		wantError(t, err, sel)
	}
}

func TestDatabase(t *testing.T) {
	w := up(t, map[string]spec.Service{
		"a": service(func(s *spec.Service) { s.Databases = map[string]string{"main": "${data}/main.db", "other": "o.db"} }),
		"b": service(nil),
	})
	a := w.target(t, "a")
	for name, want := range map[string]string{"main": "main.db", "other": "o.db"} {
		if d, err := w.Database(a, name); err != nil || d.Inside || d.Path != filepath.Join(w.opts.WorkDir, "a-1", want) {
			t.Errorf("got %+v, %v", d, err)
		}
	}
	_, err := w.Database(a, "")
	wantError(t, err, "main, other")
	_, err = w.Database(w.target(t, "b"), "")
	wantError(t, err, "has no databases")
}

func TestUndoIsEnoughForAPerson(t *testing.T) {
	w := up(t, pair())
	if len(w.undo) != 1 || w.undo[0].Kind != "process.environment" || !json.Valid(w.undo[0].Data) || !strings.Contains(w.undo[0].Manual, w.opts.WorkDir) {
		t.Errorf("got %+v", w.undo)
	}
}

// A server that is a service has gone with its process, and is found again when it has been started.
func TestFindServer(t *testing.T) {
	w := up(t, map[string]spec.Service{
		"a": service(func(s *spec.Service) { s.Databases = map[string]string{"main": "postgres://chaos@b:5000/orders"} }),
		"b": service(nil),
	})
	d, err := w.Database(w.target(t, "a"), "")
	must(t, err)
	find := func() (string, error) { return w.FindServer(t.Context(), *d.Server) }
	if at, err := find(); err != nil || !strings.HasPrefix(at, "127.0.0.1:") {
		t.Errorf("got %q, %v", at, err)
	}
	b := w.target(t, "b")
	must(t, w.Hold(t.Context(), b))
	must(t, w.Kill(soon(t), b, "SIGKILL"))
	if at, err := find(); !errors.Is(err, target.ErrGone) {
		t.Errorf("once it is killed: %q, %v", at, err)
	}
	must(t, w.Start(soon(t), b))
	if at, err := find(); err != nil {
		t.Errorf("once it is started: %q, %v", at, err)
	}
}
