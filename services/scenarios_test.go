// Package services_test runs both services as processes, hurts them for real, and shows that service-a keeps its promise
// (99 % answered with 200, p99 below 1 s) with its protections and breaks it when the named ones are taken away.
package services_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite"
)

// hurtFor is how long a scenario's fault lasts, at rate requests a second.
const (
	hurtFor = 2 * time.Second
	rate    = 50
)

type scenario struct {
	name string
	hurt func(*system) (undo func() error, err error)
	seen func(*system) (url, kind string) // the error by which the protected system shows that it felt the fault
	off  []string                         // settings that take the protections away
	env  []string                         // settings of both systems
}

func byA(kind string) func(*system) (string, string) {
	return func(s *system) (string, string) { return s.url, kind }
}

func byB(kind string) func(*system) (string, string) {
	return func(s *system) (string, string) { return "http://" + s.b.addr, kind }
}

var scenarios = []scenario{
	{name: "B is killed and restarted", hurt: killAndRestart, seen: byA("upstream"),
		off: []string{"FALLBACK=off", "RETRIES=0"}},
	{name: "link is slow", hurt: onLink(fault{delay: 300 * time.Millisecond, jitter: 50 * time.Millisecond}), seen: byA("timeout"),
		off: []string{"TIMEOUT=off", "BREAKER=off", "FALLBACK=off"}},
	{name: "B is starved of CPU", hurt: starve, seen: byA("timeout"),
		off: []string{"TIMEOUT=off", "FALLBACK=off"}, env: []string{"RECEIPT_ROUNDS=50000"}},
	{name: "database is locked", hurt: lockDatabase, seen: byB("busy"), off: []string{"FALLBACK=off"}},
	{name: "database is read-only", hurt: makeReadOnly, seen: byB("readonly"),
		off: []string{"FALLBACK=off", "DB_READONLY_FALLBACK=off"}},
	{name: "B is paused", hurt: pause, seen: byA("timeout"), off: []string{"TIMEOUT=off"}},
	{name: "link is a black hole", hurt: onLink(fault{blackhole: true}), seen: byA("timeout"), off: []string{"TIMEOUT=off"}},
	{name: "link is narrow", hurt: onLink(fault{bytesPerSecond: 1000}), seen: byA("timeout"), off: []string{"TIMEOUT=off", "FALLBACK=off"}},
	{name: "link resets connections", hurt: onLink(fault{reset: true}), seen: byA("upstream"),
		off: []string{"FALLBACK=off", "RETRIES=0"}},
}

func TestScenarios(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds")
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var protected, bare outcome
			for range 3 {
				protected, bare = runBoth(t, s)
				if protected.holds() || protected.errors == 0 || bare.holds() {
					break
				} // else the machine may have stood still for a moment: one request of a hundred may be late
			}
			if protected.errors == 0 {
				t.Error("protected: nothing was felt of the fault, so this shows nothing")
			}
			if !protected.holds() {
				t.Errorf("protected: %v breaks the promise", protected)
			}
			if bare.holds() {
				t.Errorf("without %v: %v keeps the promise, so no experiment can see the protection", s.off, bare)
			}
		})
	}
}

// runBoth runs a scenario with and without the protections, side by side.
func runBoth(t *testing.T, s scenario) (protected, bare outcome) {
	t.Helper()
	var errProtected, errBare error
	var both sync.WaitGroup
	dirs := []string{t.TempDir(), t.TempDir()}
	both.Go(func() { protected, errProtected = run(s, dirs[0], s.env) })
	both.Go(func() { bare, errBare = run(s, dirs[1], slices.Concat(s.env, s.off)) })
	both.Wait()
	if err := errors.Join(errProtected, errBare); err != nil {
		t.Fatal(err)
	}
	t.Logf("protected %v; without %v: %v", protected, s.off, bare)
	return protected, bare
}

// run hurts a fresh system under load and returns what its callers felt; an error if it does not come back afterwards.
func run(s scenario, dir string, env []string) (felt outcome, err error) {
	sys, err := startSystem(dir, env)
	if err != nil {
		return felt, err
	}
	defer func() { err = errors.Join(err, sys.stop()) }()
	if err := sys.waitFresh(5 * time.Second); err != nil {
		return felt, fmt.Errorf("before the fault: %w", err)
	}
	undo, err := s.hurt(sys)
	if err != nil {
		return felt, err
	}
	load := startLoad(sys.url + "/work")
	if err := undo(); err != nil {
		return felt, err
	}
	felt = load.wait()
	if felt.errors, err = errorsOf(s.seen(sys)); err != nil {
		return felt, err
	}
	if err := sys.waitFresh(5 * time.Second); err != nil {
		return felt, fmt.Errorf("after the fault: %w", err)
	}
	return felt, nil
}

// outcome is what the callers of service-a felt.
type outcome struct {
	good, all int
	p99       time.Duration
	errors    int // of the scenario's kind, from the services' own count
}

func (o outcome) holds() bool { return float64(o.good) >= .99*float64(o.all) && o.p99 < time.Second }

func (o outcome) String() string {
	return fmt.Sprintf("%d/%d good, p99 %v, %d errors of its kind", o.good, o.all, o.p99, o.errors)
}

type load struct {
	mu    sync.Mutex
	good  int
	took  []time.Duration
	calls sync.WaitGroup
}

// startLoad sends requests at the rate, each when its time has come whether or not the others were answered, and returns
// when the last was sent.
func startLoad(url string) *load {
	l := &load{}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 200}}
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	for range int(hurtFor.Seconds() * rate) {
		<-tick.C
		l.calls.Go(func() {
			begun := time.Now()
			status, err := statusOf(client, url)
			l.mu.Lock()
			defer l.mu.Unlock()
			l.took = append(l.took, time.Since(begun))
			if err == nil && status == http.StatusOK {
				l.good++
			}
		})
	}
	return l
}

func (l *load) wait() outcome {
	l.calls.Wait()
	slices.Sort(l.took)
	return outcome{good: l.good, all: len(l.took), p99: l.took[(len(l.took)*99+99)/100-1].Round(time.Millisecond)}
}

func statusOf(client *http.Client, url string) (int, error) {
	resp, err := client.Get(url)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// errorsOf reads a service's count of errors of a kind; a kind that it does not have is an error.
func errorsOf(url, kind string) (n int, err error) {
	resp, err := http.Get(url + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	series := fmt.Sprintf("service_errors_total{kind=%q} ", kind)
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), series); ok {
			return strconv.Atoi(value)
		}
	}
	return 0, fmt.Errorf("%s has no %s", url, series)
}

// waitFresh waits until service-a answers with a value that service-b wrote for this very request.
func (s *system) waitFresh(limit time.Duration) error {
	client := &http.Client{Timeout: time.Second}
	last := "no answer"
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		resp, err := client.Get(s.url + "/work")
		if err != nil {
			last = err.Error()
			continue
		}
		var a struct {
			Stale bool
			Value struct{ Degraded bool }
		}
		err = json.NewDecoder(resp.Body).Decode(&a)
		resp.Body.Close()
		if err == nil && resp.StatusCode == http.StatusOK && !a.Stale && !a.Value.Degraded {
			return nil
		}
		last = fmt.Sprintf("status %d, %+v, %v", resp.StatusCode, a, err)
	}
	return fmt.Errorf("no fresh answer within %v: %s", limit, last)
}

func killAndRestart(s *system) (func() error, error) {
	if err := s.b.kill(); err != nil {
		return nil, err
	}
	restarted := make(chan error, 1)
	time.AfterFunc(500*time.Millisecond, func() { restarted <- s.restartB() })
	return func() error { return <-restarted }, nil
}

func pause(s *system) (func() error, error) {
	return func() error { return s.b.cmd.Process.Signal(syscall.SIGCONT) }, s.b.cmd.Process.Signal(syscall.SIGSTOP)
}

// starve lets B run for 5 ms in every 100, as a processor quota does, without taking the processor from other tests.
func starve(s *system) (func() error, error) {
	stop, ended := make(chan struct{}), make(chan error, 1)
	b := s.b.cmd.Process
	go func() {
		for {
			err := b.Signal(syscall.SIGSTOP)
			select {
			case <-stop:
				ended <- errors.Join(err, b.Signal(syscall.SIGCONT))
				return
			case <-time.After(95 * time.Millisecond):
			}
			if err = errors.Join(err, b.Signal(syscall.SIGCONT)); err != nil {
				ended <- err
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return func() error { close(stop); return <-ended }, nil
}

func onLink(f fault) func(*system) (func() error, error) {
	return func(s *system) (func() error, error) {
		s.link.fault.Store(&f)
		return func() error { s.link.fault.Store(&fault{}); return nil }, nil
	}
}

// lockDatabase holds SQLite's exclusive lock from this process.
func lockDatabase(s *system) (func() error, error) {
	db, err := sql.Open("sqlite", "file:"+s.database+"?_busy_timeout=5000")
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	_, err = conn.ExecContext(context.Background(), "BEGIN EXCLUSIVE")
	return func() error { return errors.Join(conn.Close(), db.Close()) }, err
}

// makeReadOnly sets the file's write version above what SQLite may write (byte 18 of the header).
func makeReadOnly(s *system) (func() error, error) {
	path := s.database
	return func() error { return setWriteVersion(path, 1) }, setWriteVersion(path, 3)
}

func setWriteVersion(path string, version byte) error {
	file, err := os.OpenFile(filepath.Clean(path), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	header := make([]byte, 28)
	if _, err := file.ReadAt(header, 0); err != nil {
		return err
	}
	header[18] = version
	binary.BigEndian.PutUint32(header[24:], binary.BigEndian.Uint32(header[24:])+1) // the change counter
	_, err = file.WriteAt(header, 0)
	return err
}
