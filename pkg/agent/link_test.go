package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/impair"
	"chaosgate/pkg/intercept"
	"chaosgate/pkg/target"
)

// web answers "/" at once, "/never" not at all, and resets "/reset".
func web(t *testing.T) (base string, ports func() []int) {
	t.Helper()
	var mu sync.Mutex
	var from []int
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, err := netip.ParseAddrPort(r.RemoteAddr)
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			from = append(from, int(at.Port()))
		}
		switch r.URL.Path {
		case "/never":
			<-r.Context().Done()
		case "/reset":
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}
		}
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []int {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(from)
	}
}

// A round trip tells how long it took or what it met, comes from the ports that it was given, and ends when its caller no longer waits.
func TestRoundTrips(t *testing.T) {
	base, ports := web(t)
	own := impair.Range{First: 61100, Last: 61139}
	trips := func(path string) *child {
		return armed(t, agent.RoundTripJob, agent.RoundTripConfig{URL: base + path, Ports: own})
	}
	fine := trips("/")
	for range 3 {
		if s := call[agent.RoundTripStatus](t, fine, agent.Status); s.Error != "" || s.Reset || s.Took <= 0 {
			t.Errorf("got %+v", s)
		}
	}
	if got := ports(); len(got) != 3 || !own.Has(uint16(got[0])) || got[0] == got[1] || got[1] == got[2] {
		t.Errorf("they came from the ports %v, want three of %v", got, own)
	}
	if s := call[agent.RoundTripStatus](t, trips("/reset"), agent.Status); !s.Reset || s.Error == "" {
		t.Errorf("got %+v", s)
	}
	hung := trips("/never")
	for range 2 { // the second is not kept waiting by the first
		short, cancel := context.WithTimeout(soon(t), 4*time.Second)
		defer cancel()
		text, err := hung.Call(short, agent.Status)
		var s agent.RoundTripStatus
		if err == nil {
			err = json.Unmarshal(text, &s)
		}
		if err != nil || !s.Unanswered || s.Took < target.Duration(1500*time.Millisecond) {
			t.Errorf("got %+v, %v, want that there was no answer in half of the time", s, err)
		}
	}
	must(t, hung.end(t))
}

// A fault on a link is on it between inject and revert; without the right to that it is an error, and nothing is done.
func TestLinkJob(t *testing.T) {
	config := agent.LinkConfig{Link: impair.Link{Side: impair.Callee, Peers: []netip.Addr{netip.MustParseAddr("127.9.9.9")}, Ports: []uint16{9}}, Fault: impair.Fault{Drop: true}}
	c := startIn(t, syscall.CLONE_NEWNET)
	c.Client = agent.NewClient(c.in, c.out)
	must(t, c.Arm(soon(t), agent.LinkJob, config))
	for _, step := range []struct {
		command string
		on      bool
	}{{agent.Status, false}, {agent.Inject, true}, {agent.Inject, true}, {agent.Status, true}} {
		if s := call[agent.LinkStatus](t, c, step.command); s.On != step.on || s.Problem != "" {
			t.Errorf("%s: got %+v", step.command, s)
		}
	}
	revert(t, c)
	revert(t, c)
	if s := call[agent.LinkStatus](t, c, agent.Status); s.On {
		t.Errorf("after the revert: %+v", s)
	}
	must(t, c.end(t))
	for name, broken := range map[string]string{
		"a key":   `{"link":{"side":"callee","peers":["1.2.3.4"],"ports":[1]},"fault":{"delai":1}}`,
		"a peer":  `{"link":{"side":"callee","peers":["nobody"],"ports":[1]}}`,
		"a side":  `{"link":{"peers":["1.2.3.4"],"ports":[1]}}`,
		"a range": `{"url":"http://x/","ports":{"first":5}}`,
	} {
		job := agent.LinkJob
		if strings.Contains(broken, "url") {
			job = agent.RoundTripJob
		}
		c := start(t)
		c.Client = agent.NewClient(c.in, c.out)
		if err := c.Arm(soon(t), job, rawJSON(broken)); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}

// A fault on HTTP requests is on its link between inject and revert, and what it has opened is closed then.
func TestHTTPJob(t *testing.T) {
	link := impair.Link{Side: impair.Callee, Peers: []netip.Addr{netip.MustParseAddr("127.9.9.9")}, Ports: []uint16{9}}
	config := agent.HTTPConfig{Link: link, Fault: intercept.Fault{Probability: 1, Status: 503}}
	c := startIn(t, syscall.CLONE_NEWNET)
	c.Client = agent.NewClient(c.in, c.out)
	must(t, c.Arm(soon(t), agent.HTTPJob, config))
	listens := func() int {
		n := 0
		for _, file := range []string{"tcp", "tcp6"} {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", c.id.PID, file))
			must(t, err)
			n += strings.Count(string(text), " 0A ") // TCP_LISTEN
		}
		return n
	}
	for _, step := range []struct {
		command string
		on      bool
	}{{agent.Status, false}, {agent.Inject, true}, {agent.Inject, true}, {agent.Status, true}} {
		if s := call[agent.HTTPStatus](t, c, step.command); s.On != step.on || s.Problem != "" || listens() != 1 && s.On {
			t.Errorf("%s: got %+v, and %d ports", step.command, s, listens())
		}
	}
	revert(t, c)
	revert(t, c)
	if s := call[agent.HTTPStatus](t, c, agent.Status); s.On || listens() != 0 {
		t.Errorf("after the revert: %+v, and %d ports", s, listens())
	}
	must(t, c.end(t))
	for name, broken := range map[string]any{
		"a key":   rawJSON(`{"link":{"side":"callee","peers":["1.2.3.4"],"ports":[1]},"fault":{"probability":1,"status":503,"delai":1}}`),
		"a fault": agent.HTTPConfig{Link: link},
		"a peer":  agent.HTTPConfig{Link: impair.Link{Side: impair.Callee, Ports: []uint16{9}}, Fault: config.Fault},
	} {
		c := start(t)
		c.Client = agent.NewClient(c.in, c.out)
		if err := c.Arm(soon(t), agent.HTTPJob, broken); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}

type rawJSON string

func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

// startIn starts a helper in namespaces of its own.
func startIn(t *testing.T, flags uintptr) *child {
	t.Helper()
	attr := &syscall.SysProcAttr{Cloneflags: flags}
	if os.Getuid() != 0 {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	return startWith(t, attr)
}
