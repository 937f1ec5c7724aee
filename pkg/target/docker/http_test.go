package docker

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/intercept"
	"chaosgate/pkg/target"
)

// unavailable answers all requests for /health.
var unavailable = intercept.Fault{Path: "/health", Probability: 1, Status: http.StatusServiceUnavailable}

// gets has a service ask the back for a path, on a connection that it keeps, and answers the status and how many bytes came, or what it met.
func (p pair) gets(service string, back netip.Addr, path string) string {
	p.project.t.Helper()
	return p.getsFrom(map[string]string{"web": p.web, "other": p.other}[service], back, path)
}

// getsFrom is gets of any container.
func (p pair) getsFrom(id string, back netip.Addr, path string) string {
	p.project.t.Helper()
	at := netip.AddrPortFrom(p.addresses(id)[0], 8080)
	said, err := fetch(p.project.t, "http://"+at.String()+"/status?url="+url.QueryEscape("http://"+netip.AddrPortFrom(back, 8080).String()+path))
	must(p.project.t, err)
	return said
}

// Requests of one service to another are answered or held in containers that may do nothing; others pass whole, nobody else feels it, our own are not counted, and afterwards
// nothing of it is left.
func TestRequestsOnALink(t *testing.T) {
	t.Parallel()
	const delay = 80 * time.Millisecond
	p := newPair(t, hardenedAlone)
	back := p.addresses(p.back)[0]
	if got := p.gets("web", back, "/health"); !strings.HasPrefix(got, "200 ") {
		t.Fatalf("before the fault: %q", got)
	}
	must(t, p.Impair(soon(t), webToBack, "no", target.LinkFault{HTTP: unavailable}))
	const times = 5
	for range times {
		// The connection that there was is reset: the caller sees that, and connects anew.
		if got := p.gets("web", back, "/health"); got != "503 0" {
			t.Errorf("it was answered with %q", got)
		}
		if got := p.gets("web", back, "/big"); got != "200 3000000" {
			t.Errorf("another request was answered with %q", got)
		}
		if got := p.gets("other", back, "/health"); !strings.HasPrefix(got, "200 ") {
			t.Errorf("another caller was answered with %q", got)
		}
	}
	since, err := p.Stats(soon(t), webToBack, "no")
	if err != nil || since.Requests != 2*times || since.Hit != times || since.Foreign != 0 || since.Connections < 1 || since.BytesOut < times*3_000_000 || since.BytesIn < 500 {
		t.Errorf("counted %+v, %v", since, err)
	}
	if a, err := p.Ask(soon(t), webToBack, 5*time.Second); err != nil || a.Status != 503 || a.Path != "/health" {
		t.Errorf("a round trip: %+v, %v", a, err)
	}
	if now, err := p.Stats(soon(t), webToBack, "no"); err != nil || now != since {
		t.Errorf("our own round trip was counted: %+v, before %+v, %v", now, since, err)
	}
	if names := p.impaired(); !slices.Equal(names, []string{"no"}) {
		t.Errorf("on the link: %q", names)
	}
	slow := target.LinkFault{HTTP: intercept.Fault{Probability: 1, Delay: delay}}
	wantError(t, p.Impair(soon(t), webToBack, "slow", slow), "no is on it already", "has a link to itself")
	wantError(t, p.Impair(soon(t), webToBack, "cut", target.LinkFault{Partition: true}), "no is on it already")
	must(t, p.Restore(soon(t), webToBack, "no"))
	must(t, p.Restore(soon(t), webToBack, "no")) // once more
	if got := p.gets("web", back, "/health"); !strings.HasPrefix(got, "200 ") || len(p.impaired()) > 0 {
		t.Errorf("after its end it was answered with %q; on the link: %q", got, p.impaired())
	}
	must(t, p.Impair(soon(t), webToBack, "slow", slow))
	if took := p.fastest("web", back); took < delay || took > 2*delay {
		t.Errorf("a call took %v", took)
	}
	if took := p.fastest("other", back); took >= delay {
		t.Errorf("the call of another took %v", took)
	}
	must(t, p.Restore(soon(t), webToBack, "slow"))
	must(t, p.Restore(soon(t), webToBack, "cut"))
	if took := p.fastest("web", back); took >= delay {
		t.Errorf("after its end a call took %v", took)
	}
}

// A helper that is killed takes its fault with it; that is seen.
func TestAKilledHelperLeavesNoFaultOnRequests(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	back := p.addresses(p.back)[0]
	must(t, p.Impair(soon(t), webToBack, "no", target.LinkFault{HTTP: unavailable}))
	if got := p.gets("web", back, "/health"); got != "503 0" {
		t.Errorf("it was answered with %q", got)
	}
	helpers, err := helpersOn(soon(t), p.project.engine, p.id, webToBack)
	if err != nil || len(helpers) != 1 {
		t.Fatalf("%d helpers, %v", len(helpers), err)
	}
	must(t, p.project.engine.ContainerKill(soon(t), helpers[0].ID, "SIGKILL"))
	eventually(t, "the link is free", func() bool {
		return strings.HasPrefix(p.gets("web", back, "/health"), "200 ") && len(p.impaired()) == 0
	})
	must(t, p.Restore(soon(t), webToBack, "no"))
}

// An answer that is under way when the fault ends comes to its end, and a callee that does not listen is reset.
func TestTheEndOfAFaultOnRequests(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	l := target.Link{From: target.Outside, To: "back"}
	base, err := p.URL("back")
	must(t, err)
	must(t, p.Impair(soon(t), l, "no", target.LinkFault{HTTP: unavailable}))
	resp, err := http.Get(base + "/big")
	must(t, err)
	defer resp.Body.Close()
	_, err = io.ReadFull(resp.Body, make([]byte, 1000))
	must(t, err)
	ended := make(chan error, 1)
	go func() { ended <- p.Restore(soon(t), l, "no") }()
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != 2_999_000 {
		t.Errorf("%d bytes came, %v", n, err)
	}
	must(t, <-ended)
	must(t, p.Impair(soon(t), webToBack, "no", target.LinkFault{HTTP: unavailable}))
	back := p.addresses(p.back)[0]
	now := 0
	must(t, p.project.engine.ContainerStop(soon(t), p.back, container.StopOptions{Timeout: &now}))
	if got := p.gets("web", back, "/big"); strings.HasPrefix(got, "200 ") || strings.HasPrefix(got, "503 ") {
		t.Errorf("a callee that is down answers %q", got)
	}
	if names := p.impaired(); len(names) > 0 {
		t.Errorf("on a link with an end that is down: %q", names)
	}
	must(t, p.Restore(soon(t), webToBack, "no"))
}

// Requests from outside are met on their way through the published port; neither other services nor scrapes are.
func TestRequestsFromOutside(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newPair(t)
	back := p.addresses(p.back)[0]
	l := target.Link{From: target.Outside, To: "back"}
	base, err := p.URL("back")
	must(t, err)
	var scraped string
	for _, s := range p.Scrapes() {
		if s.Labels["service"] == "back" {
			scraped = strings.TrimSuffix(s.URL, "/metrics")
		}
	}
	get := func(base string) (int, error) {
		resp, err := http.Get(base + "/health")
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	for _, at := range []string{base, scraped} {
		if status, err := get(at); err != nil || status != 200 {
			t.Fatalf("%s: %d, %v", at, status, err)
		}
	}
	must(t, p.Impair(soon(t), l, "no", target.LinkFault{HTTP: unavailable}))
	eventually(t, "requests are answered", func() bool {
		status, err := get(base)
		if err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		return status == 503
	})
	since, err := p.Stats(soon(t), l, "no")
	must(t, err)
	if a, err := p.Ask(soon(t), l, 5*time.Second); err != nil || a.Status != 503 {
		t.Errorf("a round trip: %+v, %v", a, err)
	}
	if status, err := get(scraped); err != nil || status != 200 {
		t.Errorf("a scrape: %d, %v", status, err)
	}
	if st := p.status(p.one("back")); !st.Ready {
		t.Error("it is taken for not ready")
	}
	if got := p.gets("web", back, "/health"); !strings.HasPrefix(got, "200 ") {
		t.Errorf("another service met %q", got)
	}
	if now, err := p.Stats(soon(t), l, "no"); err != nil || now != since || now.Hit != 1 {
		t.Errorf("what is not from outside, or ours, was counted: %+v, before %+v, %v", now, since, err)
	}
	must(t, p.Restore(soon(t), l, "no"))
	if status, err := get(base); err != nil || status != 200 {
		t.Errorf("after its end: %d, %v", status, err)
	}
}
