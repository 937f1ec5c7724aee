package process_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

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
)

// The test binary is also the services: ROLE says which.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "agent" {
		os.Exit(agent())
	}
	role, ok := os.LookupEnv("ROLE")
	if !ok {
		os.Exit(m.Run())
	}
	os.Exit(roles[role]())
}

var roles = map[string]func() int{
	"web":    web,
	"exit":   func() int { fmt.Println("cannot go on"); return 3 },
	"hang":   func() int { fmt.Println("starting up"); time.Sleep(time.Minute); return 0 },
	"once":   once,
	"runner": runner,
	"hide":   hide,
}

// web answers on PORT: /health, /exit ends it, /peer asks the service PEER, /fork starts a child, /daemon one in another session, /eat takes memory, /big answers 1 MB.
func web() int {
	if os.Getenv("STUBBORN") != "" {
		signal.Ignore(syscall.SIGTERM)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	http.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getenv("GREETING")) })
	http.HandleFunc("/exit", func(http.ResponseWriter, *http.Request) { os.Exit(7) })
	http.HandleFunc("/peer", func(w http.ResponseWriter, _ *http.Request) {
		resp, err := http.Get("http://" + os.Getenv("PEER") + "/health")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		_, _ = io.Copy(w, resp.Body)
		_ = resp.Body.Close()
	})
	http.HandleFunc("/fork", func(w http.ResponseWriter, _ *http.Request) { spawn(w, nil) })
	http.HandleFunc("/daemon", func(w http.ResponseWriter, _ *http.Request) { spawn(w, &syscall.SysProcAttr{Setsid: true}) })
	http.HandleFunc("/hide", func(w http.ResponseWriter, _ *http.Request) { startHiding(w) })
	http.HandleFunc("/eat", func(http.ResponseWriter, *http.Request) { eat(1 << 30) })
	http.HandleFunc("/big", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1_000_000)) })
	fmt.Println("listening on", l.Addr())
	_ = http.Serve(l, nil)
	return 1
}

func spawn(w io.Writer, attr *syscall.SysProcAttr) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ROLE=hang")
	cmd.SysProcAttr = attr
	if err := cmd.Start(); err == nil {
		fmt.Fprint(w, cmd.Process.Pid)
	}
}

// startHiding starts the middle one of three generations, and answers the pid of the last one.
func startHiding(w http.ResponseWriter) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{"ROLE=hide"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.Output()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
	_, _ = w.Write(out)
}

// hide starts a process that hides as well as one can without rights of its own: in another session, without its parent and its grandparent, under another name, with
// nothing open, and with no environment but what tells it to sleep. Then it goes.
func hide() int {
	cmd := exec.Command("/bin/sleep", "60")
	cmd.Args[0] = "kworker/u8:2"
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Print(cmd.Process.Pid)
	return 0
}

func eat(n int) {
	var kept [][]byte
	for range n >> 20 {
		b := make([]byte, 1<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		kept = append(kept, b)
	}
	fmt.Println(len(kept))
}

// once fails as if its port were taken the first time it is started, and serves after that.
func once() int {
	file := os.Getenv("ONCE")
	if _, err := os.Stat(file); err == nil {
		return web()
	}
	_ = os.WriteFile(file, []byte(os.Getenv("PORT")), 0o600)
	fmt.Printf("listen tcp 127.0.0.1:%s: bind: address already in use\n", os.Getenv("PORT"))
	return 1
}

// runner brings an environment up, writes its undo to a file and waits to be killed.
func runner() int {
	env := process.New(process.Options{
		RunID: os.Getenv("RUN"), Experiment: "x", WorkDir: os.Getenv("WORK"), LogDir: os.Getenv("LOGS"), Root: "/",
		Spec: spec.Environment{Services: map[string]spec.Service{"a": service(nil)}},
	})
	err := env.Up(context.Background(), func(u target.Undo) error {
		return os.WriteFile(os.Getenv("UNDO"), u.Data, 0o600)
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("up")
	time.Sleep(time.Minute)
	return 0
}

// service is a web service with changes.
func service(change func(*spec.Service)) spec.Service {
	s := spec.Service{
		Command: []string{os.Args[0]},
		Ports:   map[string]string{"http": "5000"},
		Env:     map[string]string{"ROLE": "web", "PORT": "${port.http}", "GREETING": "hello"},
		Ready:   spec.Readiness{HTTP: "/health", Within: "5s"},
		Metrics: "/metrics",
	}
	if change != nil {
		change(&s)
	}
	return s
}

// world is an environment under test and what it has recorded.
type world struct {
	*process.Environment
	opts process.Options
	undo []target.Undo
}

func newWorld(t *testing.T, services map[string]spec.Service) *world {
	t.Helper()
	dir := t.TempDir()
	opts := process.Options{
		RunID: fmt.Sprintf("test-%d", os.Getpid()), Experiment: strings.ReplaceAll(t.Name(), "/", "-"),
		Spec: spec.Environment{Services: services}, Root: dir, WorkDir: filepath.Join(dir, "chaos-data"), LogDir: filepath.Join(dir, "logs"),
	}
	return &world{Environment: process.New(opts), opts: opts}
}

func (w *world) record(u target.Undo) error { w.undo = append(w.undo, u); return nil }

func (w *world) marker() string { return proc.Marker(w.opts.RunID + "/" + w.opts.Experiment) }

// up starts an environment that is taken down at the end, and checks then that nothing is left.
func up(t *testing.T, services map[string]spec.Service) *world {
	t.Helper()
	w := newWorld(t, services)
	if err := w.Up(soon(t), w.record); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.Down(ctx); err != nil {
			t.Error(err)
		}
		w.checkNothingLeft(t)
	})
	return w
}

func (w *world) checkNothingLeft(t *testing.T) {
	t.Helper()
	if left, err := proc.FindMarked(w.marker()); err != nil || len(left) > 0 {
		t.Errorf("processes left: %v, %v", left, err)
	}
	if _, err := os.Stat(w.opts.WorkDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the work folder is left: %v", err)
	}
	for _, u := range w.undo {
		var l struct{ Cgroups []string }
		if err := json.Unmarshal(u.Data, &l); err != nil {
			t.Error(err)
		}
		for _, dir := range l.Cgroups {
			if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("cgroup %s is left: %v", dir, err)
			}
		}
	}
}

func (w *world) target(t *testing.T, service string) target.Target {
	t.Helper()
	found, err := w.Resolve(t.Context(), target.Selection{Services: []string{service}})
	if err != nil || len(found) != 1 {
		t.Fatalf("resolve %s: %v, %v", service, found, err)
	}
	return found[0]
}

func (w *world) inspect(t *testing.T, service string) target.Status {
	t.Helper()
	st, err := w.Inspect(soon(t), w.target(t, service))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// get asks a service from outside and answers the body, or the error as text.
func (w *world) get(t *testing.T, service, path string) string {
	t.Helper()
	u, err := w.URL(service)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(u + path)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// next answers the next event of one of these types.
func (w *world) next(t *testing.T, types ...target.EventType) target.Event {
	t.Helper()
	for deadline := time.After(10 * time.Second); ; {
		select {
		case e, ok := <-w.Events():
			if !ok {
				t.Fatalf("no event %v came before the end", types)
			}
			if slices.Contains(types, e.Type) {
				return e
			}
		case <-deadline:
			t.Fatalf("no event %v within 10s", types)
		}
	}
}

func newWorldOf(opts process.Options) *world {
	return &world{Environment: process.New(opts), opts: opts}
}
