package docker

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// linked is a service web that calls back.
func linked() map[string]spec.Service {
	web := service()
	web.Links = []string{"back"}
	return map[string]spec.Service{"web": web, "back": service()}
}

var webToBack = target.Link{From: "web", To: "back"}

// pair is two services with a link between them, and a third one that calls the second as well.
type pair struct {
	*project
	*world
	web, back, other string // containers
}

func newPair(t *testing.T, changes ...change) pair {
	t.Helper()
	p := pair{project: newProject(t)}
	p.begin(changes...)
	return p
}

// begin starts the containers, and attaches to them once they are as they are to be.
func (p *pair) begin(changes ...change) {
	p.project.t.Helper()
	changes = append(changes, published)
	p.web, p.back, p.other = p.add("web", 1, changes...), p.add("back", 1, changes...), p.add("other", 1, published)
	p.attach()
}

func (p *pair) attach() {
	p.project.t.Helper()
	all := linked()
	all["other"] = service()
	o := options(p.project.name, all)
	o.LogDir = p.project.t.TempDir()
	p.world = p.worldOf(o)
}

// addresses answers those that a container has in the project's network, IPv4 first.
func (p pair) addresses(id string) []netip.Addr {
	p.project.t.Helper()
	info, err := p.project.engine.ContainerInspect(soon(p.project.t), id)
	must(p.project.t, err)
	return shared(info, info)
}

// asks has a service call the back, on a connection that it keeps, and answers how long that took; an error is what it met.
func (p pair) asks(service string, back netip.Addr) (time.Duration, string) {
	p.project.t.Helper()
	return p.asksAt(service, netip.AddrPortFrom(back, 8080), "")
}

// asksAt is asks of any port; with "&fresh=1" the connection is a new one.
func (p pair) asksAt(service string, back netip.AddrPort, how string) (time.Duration, string) {
	p.project.t.Helper()
	return p.asksFrom(map[string]string{"web": p.web, "other": p.other}[service], back, how)
}

// asksFrom is asksAt of any container.
func (p pair) asksFrom(id string, back netip.AddrPort, how string) (time.Duration, string) {
	p.project.t.Helper()
	at := netip.AddrPortFrom(p.addresses(id)[0], 8080)
	said, err := fetch(p.project.t, "http://"+at.String()+"/call?url="+url.QueryEscape("http://"+back.String()+"/health")+how)
	must(p.project.t, err)
	took, ok := strings.CutPrefix(said, "ok ")
	if !ok {
		return 0, said
	}
	d, err := time.ParseDuration(took)
	must(p.project.t, err)
	return d, ""
}

// echoes asks a service how often a datagram to the back comes back.
func (p pair) echoes(service string, back netip.Addr) string {
	p.project.t.Helper()
	id := map[string]string{"web": p.web, "other": p.other}[service]
	at := netip.AddrPortFrom(p.addresses(id)[0], 8080)
	said, err := fetch(p.project.t, "http://"+at.String()+"/word?to="+url.QueryEscape(netip.AddrPortFrom(back, 8080).String()))
	must(p.project.t, err)
	return said
}

// fastest of some calls.
func (p pair) fastest(service string, back netip.Addr) time.Duration {
	p.project.t.Helper()
	best := time.Hour
	for range 5 {
		took, failed := p.asks(service, back)
		if failed != "" {
			p.project.t.Fatalf("%s: %s", service, failed)
		}
		best = min(best, took)
	}
	return best
}

// trip is the fastest of some round trips.
func (w *world) trip(l target.Link) time.Duration {
	w.t.Helper()
	best := time.Hour
	for range 5 {
		took, err := w.RoundTrip(soon(w.t), l, 5*time.Second)
		must(w.t, err)
		best = min(best, took)
	}
	return best
}

// fastestFrom is the fastest of some calls from outside.
func fastestFrom(t *testing.T, base string) (time.Duration, error) {
	best := time.Hour
	for range 5 {
		began := time.Now()
		if _, err := fetchWithin(t, base+"/health", 3*time.Second); err != nil {
			return 0, err
		}
		best = min(best, time.Since(began))
	}
	return best, nil
}

func (p pair) impaired() []string {
	p.project.t.Helper()
	names, err := p.Impaired(soon(p.project.t), webToBack)
	must(p.project.t, err)
	return names
}

// A delay is met by the connections of one service to another, those that exist as well; nobody else feels it, our own round trips are not counted, and afterwards nothing
// of it is left. The same in containers that may do nothing.
func TestADelayOnALink(t *testing.T) {
	t.Parallel()
	const delay = 200 * time.Millisecond
	p := newPair(t)
	back := p.addresses(p.back)[0]
	if trip := p.trip(webToBack); trip > delay {
		t.Fatalf("a round trip took %v", trip)
	}
	for _, c := range []struct {
		direction string
		added     time.Duration
	}{{"request", delay}, {"response", delay}, {"", 2 * delay}} {
		must(t, p.Impair(soon(t), webToBack, "slow", target.LinkFault{Latency: target.Duration(delay), Direction: c.direction}))
		if names := p.impaired(); !slices.Equal(names, []string{"slow"}) {
			t.Errorf("%q: on the link: %q", c.direction, names)
		}
		since, err := p.Stats(soon(t), webToBack, "slow")
		must(t, err)
		if trip := p.trip(webToBack); trip < c.added || trip > c.added+delay {
			t.Errorf("%q: a round trip took %v", c.direction, trip)
		}
		if now, err := p.Stats(soon(t), webToBack, "slow"); err != nil || now != since {
			t.Errorf("%q: our own round trip was counted: %+v, before %+v, %v", c.direction, now, since, err)
		}
		if took := p.fastest("web", back); took < c.added || took > c.added+delay {
			t.Errorf("%q: a call took %v", c.direction, took)
		}
		if took := p.fastest("other", back); took >= delay {
			t.Errorf("%q: the call of another took %v", c.direction, took)
		}
		now, err := p.Stats(soon(t), webToBack, "slow")
		in, out := now.BytesIn > since.BytesIn, now.BytesOut > since.BytesOut
		if err != nil || in != (c.direction != "response") || out != (c.direction != "request") {
			t.Errorf("%q: counted %+v, %v", c.direction, now, err)
		}
	}
	must(t, p.Restore(soon(t), webToBack, "slow"))
	must(t, p.Restore(soon(t), webToBack, "slow")) // once more
	if took := p.fastest("web", back); took >= delay || len(p.impaired()) > 0 {
		t.Errorf("after its end a call took %v, on the link: %q", took, p.impaired())
	}
}

// What is cut hangs, what is reset is reset, what is starved is slow; together they add up, and each ends by itself.
func TestFaultsOnALink(t *testing.T) {
	t.Parallel()
	p := newPair(t, hardenedAlone)
	back := p.addresses(p.back)[0]
	p.fastest("web", back)
	for name, c := range map[string]struct {
		fault target.LinkFault
		want  string
	}{
		"partition": {target.LinkFault{Partition: true}, "Client.Timeout"},
		"reset":     {target.LinkFault{Reset: true}, "reset by peer|broken pipe|EOF"},
		"starved":   {target.LinkFault{Bandwidth: 50}, "Client.Timeout"},
	} {
		must(t, p.Impair(soon(t), webToBack, name, c.fault))
		if _, failed := p.asks("web", back); !regexp.MustCompile(c.want).MatchString(failed) {
			t.Errorf("%s: a call met %q", name, failed)
		}
		if took, failed := p.asks("other", back); failed != "" {
			t.Errorf("%s: the call of another met %q after %v", name, failed, took)
		}
		if n, err := p.Stats(soon(t), webToBack, name); err != nil || n.BytesIn == 0 || n.Limited > 0 != (name == "starved") {
			t.Errorf("%s: counted %+v, %v", name, n, err)
		}
		must(t, p.Restore(soon(t), webToBack, name))
		eventually(t, "calls are answered again", func() bool { _, failed := p.asks("web", back); return failed == "" })
	}
	must(t, p.Impair(soon(t), webToBack, "wide", target.LinkFault{Bandwidth: 100_000_000}))
	p.fastest("web", back)
	if n, err := p.Stats(soon(t), webToBack, "wide"); err != nil || n.BytesIn == 0 || n.BytesOut == 0 || n.Limited > 0 {
		t.Errorf("nobody has to wait for a limit that is so high: %+v, %v", n, err)
	}
	must(t, p.Restore(soon(t), webToBack, "wide"))
	for _, name := range []string{"one", "two"} {
		must(t, p.Impair(soon(t), webToBack, name, target.LinkFault{Latency: target.Duration(50 * time.Millisecond)}))
	}
	if took := p.fastest("web", back); took < 200*time.Millisecond || !slices.Equal(p.impaired(), []string{"one", "two"}) {
		t.Errorf("under two delays on both ways a call took %v; on the link: %q", took, p.impaired())
	}
	must(t, p.Restore(soon(t), webToBack, "one"))
	if took := p.fastest("web", back); took < 100*time.Millisecond || took >= 200*time.Millisecond || !slices.Equal(p.impaired(), []string{"two"}) {
		t.Errorf("under the one that is left a call took %v; on the link: %q", took, p.impaired())
	}
}

// Packets of a link come twice on either way, also beside a delay, and nobody else's; where they come from outside it is the same. Counted are all of them.
func TestPacketsComeTwice(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newPair(t, hardenedAlone)
	back := p.addresses(p.back)[0]
	twice := target.LinkFault{Duplicate: 1}
	want := func(when string, web, other string) {
		t.Helper()
		eventually(t, fmt.Sprintf("%s a datagram comes back %s times, that of another %s times", when, web, other), func() bool {
			return p.echoes("web", back) == web && p.echoes("other", back) == other // some come too late if the machine stalls
		})
	}
	want("before", "1", "1")
	must(t, p.Impair(soon(t), webToBack, "twice", twice))
	want("under it", "4", "1") // two arrive, and of each answer two
	must(t, p.Impair(soon(t), webToBack, "slow", target.LinkFault{Latency: target.Duration(100 * time.Millisecond)}))
	want("beside a delay", "4", "1")
	if took := p.fastest("web", back); took < 200*time.Millisecond || took > 300*time.Millisecond {
		t.Errorf("beside a delay of 100ms on both ways a call took %v", took)
	}
	if n, err := p.Stats(soon(t), webToBack, "twice"); err != nil || n.Changed < 6 || n.Changed != n.Packets || n.Missed > 0 {
		t.Errorf("counted %+v, %v", n, err)
	}
	must(t, p.Restore(soon(t), webToBack, "twice"))
	want("after its end", "1", "1")
	must(t, p.Restore(soon(t), webToBack, "slow"))
	outside := target.Link{From: target.Outside, To: "back"}
	must(t, p.Impair(soon(t), outside, "twice", twice))
	eventually(t, "a datagram from outside comes back four times", func() bool {
		n, err := echoes(netip.AddrPortFrom(back, 8080).String())
		must(t, err)
		return n == 4
	})
	want("under the one from outside", "1", "1")
	must(t, p.Restore(soon(t), outside, "twice"))
}

// hardenedAlone is a container that may do nothing, with the address that the engine gives it.
func hardenedAlone(c *container.Config, h *container.HostConfig) {
	c.User = "65534:65534"
	h.ReadonlyRootfs, h.CapDrop, h.SecurityOpt = true, []string{"ALL"}, []string{"no-new-privileges"}
}

// An end that is started again has another network namespace, without the fault: that is seen, and what is left at the other end is taken back.
func TestAnEndOfALinkIsStartedAgain(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"web", "back"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			p := newPair(t)
			must(t, p.Impair(soon(t), webToBack, "cut", target.LinkFault{Partition: true}))
			id, now := map[string]string{"web": p.web, "back": p.back}[end], 0
			must(t, p.project.engine.ContainerStop(soon(t), id, container.StopOptions{Timeout: &now}))
			if names := p.impaired(); len(names) > 0 {
				t.Errorf("on a link with an end that is down: %q", names)
			}
			must(t, p.project.engine.ContainerStart(soon(t), id, container.StartOptions{}))
			if names := p.impaired(); len(names) > 0 {
				t.Errorf("on a link with an end that was started again: %q", names)
			}
			must(t, p.Restore(soon(t), webToBack, "cut")) // the other end has its part still
			eventually(t, "it answers over the link", func() bool {
				_, err := p.RoundTrip(soon(t), webToBack, 5*time.Second)
				return err == nil
			})
		})
	}
}

// A helper that is killed takes its fault with it; that is seen.
func TestAKilledHelperLeavesNoFault(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	back := p.addresses(p.back)[0]
	must(t, p.Impair(soon(t), webToBack, "cut", target.LinkFault{Partition: true}))
	helpers, err := helpersOn(soon(t), p.project.engine, p.id, webToBack)
	if err != nil || len(helpers) != 2 {
		t.Fatalf("%d helpers, %v", len(helpers), err)
	}
	for _, h := range helpers {
		must(t, p.project.engine.ContainerKill(soon(t), h.ID, "SIGKILL"))
	}
	eventually(t, "the link is free", func() bool {
		_, failed := p.asks("web", back)
		return failed == "" && len(p.impaired()) == 0
	})
	must(t, p.Restore(soon(t), webToBack, "cut"))
}

// A runner that is killed leaves no fault on a link, and its undo sees that.
func TestAKilledRunnerLeavesNoFaultOnALink(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{"1": "Client.Timeout", "http": "503 0"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			leavesNoFault(t, "LINK="+kind, want)
		})
	}
}

// leavesNoFault kills a runner with a fault on a link, under which a request ends as it should.
func leavesNoFault(t *testing.T, fault, want string) {
	t.Helper()
	p := newPair(t)
	back := p.addresses(p.back)[0]
	must(t, p.Down(soon(t))) // it is the runner's
	cmd, undo, name, ref := p.runner(fault)
	if got := p.gets("web", back, "/health"); !strings.Contains(got, want) {
		t.Errorf("a call met %q", got)
	}
	must(t, cmd.Process.Kill())
	eventually(t, "calls are answered again", func() bool { return strings.HasPrefix(p.gets("web", back, "/health"), "200 ") })
	restorer := Attach(target.Ref{ID: ref}, helpers()).(target.LinkRestorer)
	for range 2 {
		must(t, restorer.Restore(soon(t), webToBack, name))
	}
	if names, err := restorer.Impaired(soon(t), webToBack); err != nil || len(names) > 0 {
		t.Errorf("on the link: %q, %v", names, err)
	}
	must(t, RevertEnvironment(soon(t), undo.Data))
}

// A runner that is stopped leaves no fault on a link for ever: it is silent, so the helpers take back what they did.
func TestAStoppedRunnerLeavesNoFaultOnALink(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	back := p.addresses(p.back)[0]
	must(t, p.Down(soon(t))) // it is the runner's
	cmd, undo, _, _ := p.runner("LINK=1")
	must(t, cmd.Process.Signal(syscall.SIGSTOP))
	if _, failed := p.asks("web", back); !strings.Contains(failed, "Client.Timeout") {
		t.Errorf("a call met %q", failed)
	}
	silent, cancel := context.WithTimeout(t.Context(), 30*time.Second) // they wait for ten seconds, and for two more
	defer cancel()
	must(t, poll(silent, func() (bool, error) { _, failed := p.asks("web", back); return failed == "", nil }))
	eventually(t, "the helpers are gone", func() bool {
		left, err := helpersOn(soon(t), p.project.engine, "killed/"+p.project.name, webToBack)
		return err == nil && len(left) == 0
	})
	must(t, cmd.Process.Kill())
	must(t, RevertEnvironment(soon(t), undo.Data))
}

// overIPv6 connects containers to a second network, with this subnet as well.
func (p pair) overIPv6(subnet string, ids ...string) {
	p.project.t.Helper()
	yes := true
	second, err := p.project.engine.NetworkCreate(soon(p.project.t), p.project.name+"-6", network.CreateOptions{
		EnableIPv6: &yes, IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet}}},
	})
	must(p.project.t, err)
	for _, id := range ids {
		must(p.project.t, p.project.engine.NetworkConnect(soon(p.project.t), second.ID, id, nil))
	}
	p.project.t.Cleanup(func() {
		ctx := context.Background()
		for _, id := range ids {
			must(p.project.t, p.project.engine.NetworkDisconnect(ctx, second.ID, id, true))
		}
		must(p.project.t, p.project.engine.NetworkRemove(ctx, second.ID))
	})
}

// Links are met in every network that both ends share, over IPv6 as well.
func TestALinkOverIPv6(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := pair{project: newProject(t)}
	p.web, p.back, p.other = p.add("web", 1, published), p.add("back", 1, published), p.add("other", 1, published)
	p.overIPv6("fd00:c4a0:5:1::/64", p.web, p.back)
	p.attach()
	all := p.addresses(p.back)
	if len(all) != 3 || !slices.ContainsFunc(all, netip.Addr.Is6) {
		t.Fatalf("addresses: %v", all)
	}
	must(t, p.Impair(soon(t), webToBack, "slow", target.LinkFault{Latency: target.Duration(80 * time.Millisecond), Direction: "request"}))
	for _, a := range all {
		if took := p.fastest("web", a); took < 80*time.Millisecond {
			t.Errorf("over %v a call took %v", a, took)
		}
	}
	must(t, p.Restore(soon(t), webToBack, "slow"))
	must(t, p.Impair(soon(t), webToBack, "twice", target.LinkFault{Duplicate: 1}))
	for _, a := range all {
		eventually(t, "over "+a.String()+" a datagram comes back four times", func() bool { return p.echoes("web", a) == "4" })
	}
	must(t, p.Restore(soon(t), webToBack, "twice"))
	must(t, p.Impair(soon(t), webToBack, "no", target.LinkFault{HTTP: unavailable}))
	for _, a := range all {
		eventually(t, "requests over "+a.String()+" are answered", func() bool { return p.gets("web", a, "/health") == "503 0" })
		if got := p.gets("other", all[0], "/health"); !strings.HasPrefix(got, "200 ") {
			t.Errorf("another met %q", got)
		}
	}
	must(t, p.Restore(soon(t), webToBack, "no"))
	for _, a := range all {
		eventually(t, "requests over "+a.String()+" pass", func() bool { return strings.HasPrefix(p.gets("web", a, "/health"), "200 ") })
	}
}

// Each pair of instances has a link of its own, and only those of the instances that were picked are hit.
func TestLinksOfAScaledService(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published)
	for n := range 3 {
		p.add("back", n+1)
	}
	w := p.worldOf(options(p.name, linked()))
	all, err := w.Links([]target.Target{w.one("web")}, "back", "")
	must(t, err)
	var names []string
	for _, l := range all {
		names = append(names, l.String())
	}
	if got := strings.Join(names, ", "); got != "web -> back-1, web -> back-2, web -> back-3" {
		t.Fatalf("links: %s", got)
	}
	must(t, w.Impair(soon(t), all[1], "slow", target.LinkFault{Latency: target.Duration(80 * time.Millisecond)}))
	for n, l := range all {
		if best := w.trip(l); best >= 80*time.Millisecond != (n == 1) {
			t.Errorf("%s: a round trip took %v", l, best)
		}
	}
	must(t, w.Restore(soon(t), all[1], "slow"))
}

// A fault on the link from outside meets traffic to the published port, on either way; neither other services, nor scrapes, nor readiness feel it.
func TestALinkFromOutside(t *testing.T) {
	t.Parallel()
	const delay = 80 * time.Millisecond
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
	get := func(base string) (time.Duration, error) { return fastestFrom(t, base) }
	for _, direction := range []string{"request", "response"} {
		must(t, p.Impair(soon(t), l, "slow", target.LinkFault{Latency: target.Duration(delay), Direction: direction}))
		since, err := p.Stats(soon(t), l, "slow")
		must(t, err)
		if took, err := p.RoundTrip(soon(t), l, 5*time.Second); err != nil || took < delay {
			t.Errorf("%s: a round trip took %v, %v", direction, took, err)
		}
		if now, err := p.Stats(soon(t), l, "slow"); err != nil || now != since {
			t.Errorf("%s: our round trip was counted: %+v, before %+v, %v", direction, now, since, err)
		}
		if took, err := get(base); err != nil || took < delay {
			t.Errorf("%s: traffic took %v, %v", direction, took, err)
		}
		if took, err := get(scraped); err != nil || took >= delay {
			t.Errorf("%s: a scrape took %v, %v", direction, took, err)
		}
		if took := p.fastest("web", back); took >= delay {
			t.Errorf("%s: the call of a service took %v", direction, took)
		}
		now, err := p.Stats(soon(t), l, "slow")
		if in, out := now.BytesIn > since.BytesIn, now.BytesOut > since.BytesOut; err != nil || in != (direction == "request") || out != (direction == "response") {
			t.Errorf("%s: counted %+v, %v", direction, now, err)
		}
	}
	for name, f := range map[string]target.LinkFault{"partition": {Partition: true}, "reset": {Reset: true}} {
		must(t, p.Impair(soon(t), l, "slow", f))
		if _, err := get(base); err == nil {
			t.Errorf("%s: traffic is answered", name)
		}
		if _, err := get(scraped); err != nil {
			t.Errorf("%s: a scrape met %v", name, err)
		}
		if st := p.status(p.one("back")); !st.Ready {
			t.Errorf("%s: it is taken for not ready", name)
		}
		if took := p.fastest("web", back); took >= delay {
			t.Errorf("%s: the call of a service took %v", name, took)
		}
	}
	must(t, p.Restore(soon(t), l, "slow"))
	if took, err := get(base); err != nil || took >= delay {
		t.Errorf("after its end traffic took %v, %v", took, err)
	}
}

// Neither scrapes nor readiness feel a fault on the link from outside, or count under it, in a network that has no way out either.
func TestAnInternalNetwork(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	l := target.Link{From: target.Outside, To: "web"}
	for _, alone := range []bool{true, false} {
		t.Run(fmt.Sprintf("alone %v", alone), func(t *testing.T) {
			p := newProject(t)
			internal, err := p.engine.NetworkCreate(soon(t), "a-"+p.name, network.CreateOptions{Internal: true}) // which comes first
			must(t, err)
			t.Cleanup(func() { must(t, p.engine.NetworkRemove(soonAfter(t), internal.ID)) })
			t.Cleanup(p.remove)
			id := p.add("web", 1, func(_ *container.Config, h *container.HostConfig) {
				if alone {
					h.NetworkMode = container.NetworkMode(internal.ID)
				}
			})
			if !alone {
				must(t, p.engine.NetworkConnect(soon(t), internal.ID, id, nil))
			}
			w := p.world("web")
			must(t, w.Impair(soon(t), l, "cut", target.LinkFault{Partition: true}))
			since, err := w.Stats(soon(t), l, "cut")
			must(t, err)
			for _, s := range w.Scrapes() {
				if _, err := fetchWithin(t, strings.TrimSuffix(s.URL, "/metrics")+"/health", 3*time.Second); err != nil {
					t.Errorf("a scrape met %v", err)
				}
			}
			if st := w.status(w.one("web")); !st.Ready {
				t.Error("it is taken for not ready")
			}
			if now, err := w.Stats(soon(t), l, "cut"); err != nil || now != since {
				t.Errorf("counted %+v, before %+v, %v", now, since, err)
			}
			must(t, w.Restore(soon(t), l, "cut"))
		})
	}
}

// What is no link, or one that nothing may be done to, is refused with a reason.
func TestLinksThatCannotBeHit(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published)
	p.add("back", 1, published, label(labelProtected, "true"))
	w := p.worldOf(options(p.name, linked()))
	_, err := w.Links([]target.Target{w.one("back")}, "web", "")
	wantError(t, err, "there is no link from back to web; there are outside -> back, outside -> web, web -> back")
	all, err := w.Links([]target.Target{w.one("back")}, "", "")
	if err != nil || len(all) != 2 || all[0].String() != "outside -> back" || all[1] != webToBack {
		t.Errorf("all links of back: %v, %v", all, err)
	}
	err = w.Impair(soon(t), webToBack, "cut", target.LinkFault{Partition: true})
	wantError(t, err, "back-1 is protected")
	if _, err := w.RoundTrip(soon(t), webToBack, 5*time.Second); err != nil {
		t.Errorf("what is protected may be looked at: %v", err)
	}
}

// A container in the network namespace of another one would be hit with it.
func TestALinkThatOthersShare(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newPair(t)
	p.project.add("sidecar", 1, func(c *container.Config, h *container.HostConfig) {
		c.ExposedPorts, h.NetworkMode = nil, container.NetworkMode("container:"+p.web)
		c.Cmd = []string{testProgram, "agent"} // it waits for its standard input, and listens to nothing
		c.OpenStdin = true
	})
	err := p.Impair(soon(t), webToBack, "cut", target.LinkFault{Partition: true})
	wantError(t, err, "has the network of web-1")
}

// Who shares no network has no link, whatever chaos.yaml says.
func TestALinkWithoutANetwork(t *testing.T) {
	t.Parallel()
	alone := newProject(t)
	alone.add("web", 1, published)
	alone.add("back", 1, func(_ *container.Config, h *container.HostConfig) { h.NetworkMode = "bridge" })
	apart := alone.worldOf(options(alone.name, linked()))
	_, err := apart.RoundTrip(soon(t), webToBack, 5*time.Second)
	wantError(t, err, "share no network")
}
