package services_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binaries is the folder of the two built services; TestMain sets it before any test runs.
var binaries string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "services")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir+string(os.PathSeparator), "./service-a", "./service-b")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the services: %v\n%s", err, out)
		return 1
	}
	binaries = dir
	return m.Run()
}

// process is a running service.
type process struct {
	cmd    *exec.Cmd
	addr   string        // where it listens
	events <-chan string // messages of its log after the first, closed at its end
}

// start runs a service and returns once it listens.
func start(name string, env ...string) (*process, error) {
	cmd := exec.Command(filepath.Join(binaries, name))
	cmd.Env = append([]string{"HOST=127.0.0.1", "PORT=0"}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	listening, events := make(chan string, 1), make(chan string, 1000)
	go follow(stderr, listening, events)
	p := &process{cmd: cmd, events: events}
	select {
	case addr, ok := <-listening:
		if p.addr = addr; ok {
			return p, nil
		}
		return nil, errors.Join(fmt.Errorf("%s ended before it listened", name), p.kill())
	case <-time.After(10 * time.Second):
		return nil, errors.Join(fmt.Errorf("%s does not listen", name), p.kill())
	}
}

// follow reads a service's log to its end.
func follow(log io.Reader, listening, events chan<- string) {
	defer close(events)
	defer close(listening)
	for lines := bufio.NewScanner(log); lines.Scan(); {
		var event struct{ Msg, Addr string }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			event.Msg = "not JSON: " + lines.Text()
		}
		if event.Msg == "listening" {
			listening <- event.Addr
		}
		select {
		case events <- event.Msg:
		default: // a test that does not read them needs no more than the first thousand
		}
	}
}

// kill ends the process at once and waits for its end; a process that has ended already is fine.
func (p *process) kill() error {
	err := p.cmd.Process.Kill()
	p.cmd.Wait() // the error says that it was killed
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// system is both services with a link between them that can be hurt.
type system struct {
	mu       sync.Mutex
	a, b     *process
	link     *link
	url      string // of service-a
	database string
	envB     []string
}

func startSystem(dir string, env []string) (*system, error) {
	// What was built from is looked at by a test, so that `go test` does not answer from its cache when it has changed.
	if err := filepath.WalkDir(".", func(_ string, _ fs.DirEntry, err error) error { return err }); err != nil {
		return nil, err
	}
	s := &system{database: filepath.Join(dir, "b.db")}
	s.envB = append([]string{"DATABASE_PATH=" + s.database}, env...)
	var err error
	if s.b, err = start("service-b", s.envB...); err != nil {
		return nil, err
	}
	if s.link, err = newLink(s.b.addr); err != nil {
		return nil, errors.Join(err, s.b.kill())
	}
	if s.a, err = start("service-a", append([]string{"SERVICE_B_URL=http://" + s.link.addr()}, env...)...); err != nil {
		return nil, errors.Join(err, s.b.kill(), s.link.close())
	}
	s.url = "http://" + s.a.addr
	return s, nil
}

// restartB starts service-b on the port that it had.
func (s *system) restartB() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, port, err := net.SplitHostPort(s.b.addr)
	if err != nil {
		return err
	}
	s.b, err = start("service-b", append(s.envB, "PORT="+port)...)
	return err
}

func (s *system) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.a.kill(), s.b.kill(), s.link.close())
}

func TestStopsOnSIGTERMWithExitZero(t *testing.T) {
	s, err := startSystem(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.link.close()
	if err := s.waitFresh(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*process{s.a, s.b} {
		begun := time.Now()
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		var log []string
		for event := range p.events {
			log = append(log, event)
		}
		err := p.cmd.Wait()
		if err != nil || log[len(log)-1] != "stopped" || time.Since(begun) > 3*time.Second {
			t.Errorf("%s: %v after %v, log %q", p.cmd.Path, err, time.Since(begun), log)
		}
	}
}

func TestStartsFast(t *testing.T) {
	for _, name := range []string{"service-a", "service-b"} {
		fastest := time.Hour
		for range 5 {
			begun := time.Now()
			p, err := start(name, "DATABASE_PATH="+filepath.Join(t.TempDir(), "b.db"))
			if err != nil {
				t.Fatal(err)
			}
			fastest = min(fastest, time.Since(begun))
			if err := p.kill(); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%s listens after %v", name, fastest)
		if fastest > time.Second { // 50 ms on an idle machine
			t.Errorf("%s listens after %v at the fastest", name, fastest)
		}
	}
}

func TestBadSettingsAreExitTwoWithASentenceEach(t *testing.T) {
	for name, want := range map[string]string{
		"service-a": "service-a: TIMEOUT=\"5\": want a duration such as 250ms, or off\n" +
			"service-a: BREAKER=\"no\": want one of on, off\n",
		"service-b": "service-b: DB_BUSY_TIMEOUT=\"soon\": want a duration such as 250ms, or off\n",
	} {
		cmd := exec.Command(filepath.Join(binaries, name))
		cmd.Env = []string{"TIMEOUT=5", "BREAKER=no", "DB_BUSY_TIMEOUT=soon"}
		var stderr strings.Builder
		cmd.Stderr = &stderr
		err := cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != 2 || stderr.String() != want {
			t.Errorf("%s: exit %d (%v)\n%swant exit 2\n%s", name, code, err, &stderr, want)
		}
	}
}
