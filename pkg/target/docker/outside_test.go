package docker

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/target"
)

var outsideToBack = target.Link{From: target.Outside, To: "back"}

// The connections of a call.
const kept, fresh = "", "&fresh=1"

// crowd is a pair in whose networks others are as well: services of the project that chaos.yaml does not list, and a container of another project.
type crowd struct {
	pair
	billing string // protected
	batch   string // not protected
	relay   string // not protected, but somebody who is has its network
	foreign string
}

func newCrowd(t *testing.T) crowd {
	t.Helper()
	c := crowd{pair: pair{project: newProject(t)}}
	c.web, c.back, c.other = c.add("web", 1, published), c.add("back", 1, published), c.add("other", 1)
	c.billing = c.add("billing", 1, label(labelProtected, "true"))
	c.batch = c.add("batch", 1, label(labelProtected, "false"))
	c.relay = c.add("relay", 1)
	c.add("sidecar", 1, label(labelProtected, "true"), waits(container.NetworkMode("container:"+c.relay)))
	another := projectOf(t, "-another")
	c.foreign = another.add("back", 1)
	must(t, c.project.engine.NetworkConnect(soon(t), c.project.network, c.foreign, nil))
	for _, id := range []string{c.billing, c.batch, c.relay, c.foreign} {
		c.listens(id)
	}
	return c
}

// listens waits until a container that is no instance does.
func (p pair) listens(id string) {
	p.project.t.Helper()
	base := "http://" + netip.AddrPortFrom(p.addresses(id)[0], 8080).String()
	eventually(p.project.t, "it listens", func() bool {
		_, err := fetch(p.project.t, base+"/health")
		return err == nil
	})
}

// waits is a container in a network that is not its own, which listens to nothing.
func waits(mode container.NetworkMode) change {
	return func(c *container.Config, h *container.HostConfig) {
		c.ExposedPorts, h.NetworkMode = nil, mode
		c.Cmd, c.OpenStdin = []string{testProgram, "agent"}, true
	}
}

// reach says of each address of the back how a container's calls end that do not end well, on the connection that it keeps or on new ones.
func (c crowd) reach(id string, hows ...string) (failed []string) {
	c.project.t.Helper()
	for _, at := range c.addresses(c.back) {
		for _, how := range hows {
			if _, met := c.asksFrom(id, netip.AddrPortFrom(at, 8080), how); met != "" {
				failed = append(failed, met)
			}
		}
	}
	return failed
}

// What comes from outside is cut off, from the machine as from a service that chaos.yaml does not list, but nobody who is protected or of another project is: they keep their
// connections, and make new ones, over IPv4 and IPv6.
func TestWhoIsNotOutside(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	c := newCrowd(t)
	c.overIPv6("fd00:c4a0:5:2::/64", c.web, c.back, c.billing, c.batch, c.relay, c.foreign)
	c.attach()
	if all := c.addresses(c.back); len(all) != 3 {
		t.Fatalf("addresses: %v", all)
	}
	base, err := c.URL("back")
	must(t, err)
	spared := map[string]string{"protected": c.billing, "with a protected one in its network": c.relay, "of another project": c.foreign}
	hit := map[string]string{"that calls it": c.web, "not protected": c.batch}
	for _, kind := range []string{"network.partition", "network.reset"} {
		for name, id := range spared {
			eventually(t, kind+": before it all is well for one "+name, func() bool { return len(c.reach(id, kept)) == 0 })
		}
		f := c.fault(kind, "back", "", "", nil)
		_, err := f.Prepare(soon(t))
		must(t, err)
		if e, err := f.Inject(soon(t)); err != nil || !e.Proven {
			t.Fatalf("%s: injected: %+v, %v", kind, e, err)
		}
		for name, id := range spared {
			if failed := c.reach(id, kept, fresh); len(failed) > 0 {
				t.Errorf("%s: one %s met %q", kind, name, failed)
			}
		}
		for name, id := range hit {
			if failed := c.reach(id, fresh); len(failed) != len(c.addresses(c.back)) {
				t.Errorf("%s: of one %s failed only %q", kind, name, failed)
			}
		}
		if _, err := fetchWithin(t, base+"/health", 3*time.Second); err == nil {
			t.Errorf("%s: the machine is answered", kind)
		}
		if e, err := f.Check(soon(t)); err != nil || !e.Proven {
			t.Errorf("%s: checked: %+v, %v", kind, e, err)
		}
		if e, err := f.Revert(soon(t)); err != nil || !e.Proven {
			t.Errorf("%s: reverted: %+v, %v", kind, e, err)
		}
	}
}

// It is the same with requests: they are passed, on connections that there were.
func TestWhoseRequestsAreNotFromOutside(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	c := newCrowd(t)
	c.attach()
	back := c.addresses(c.back)[0]
	for _, id := range []string{c.billing, c.relay, c.foreign, c.batch} {
		c.getsFrom(id, back, "/health")
	}
	must(t, c.Impair(soon(t), outsideToBack, "no", target.LinkFault{HTTP: unavailable}))
	for _, id := range []string{c.billing, c.relay, c.foreign} {
		if got := c.getsFrom(id, back, "/health"); !strings.HasPrefix(got, "200 ") {
			t.Errorf("one that is not outside was answered with %q", got)
		}
	}
	if got := c.getsFrom(c.batch, back, "/health"); got != "503 0" {
		t.Errorf("a service that chaos.yaml does not list was answered with %q", got)
	}
	must(t, c.Restore(soon(t), outsideToBack, "no"))
}

// Who comes while a fault is at work, and is not outside, ends it at once: it is not proven, and what it has met is still known. A service of the project that comes is outside.
func TestWhoComesToAFaultFromOutside(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newPair(t)
	back := netip.AddrPortFrom(p.addresses(p.back)[0], 8080)
	f := p.fault("network.partition", "back", "", "", nil)
	_, err := f.Prepare(soon(t))
	must(t, err)
	if e, err := f.Inject(soon(t)); err != nil || !e.Proven {
		t.Fatalf("injected: %+v, %v", e, err)
	}
	batch := p.add("batch", 1)
	p.listens(batch)
	if _, met := p.asksFrom(batch, back, fresh); !strings.Contains(met, "Client.Timeout") {
		t.Errorf("a service that chaos.yaml does not list met %q", met)
	}
	before, err := f.Check(soon(t))
	if err != nil || !before.Proven {
		t.Errorf("checked: %+v, %v", before, err)
	}
	foreign := projectOf(t, "-another").add("back", 1, func(_ *container.Config, h *container.HostConfig) {
		h.NetworkMode = container.NetworkMode(p.project.network)
	})
	p.listens(foreign)
	for _, id := range []string{foreign, batch} { // the whole fault has ended
		eventually(t, "calls are answered", func() bool { _, met := p.asksFrom(id, back, fresh); return met == "" })
	}
	after, err := f.Check(soon(t))
	if err != nil || after.Proven || !strings.Contains(after.Summary, "is no longer on the link") {
		t.Errorf("checked: %+v, %v", after, err)
	}
	const met = "outside -> back: connections"
	if n := before.Readings[met]; n <= 0 || after.Readings[met] < n {
		t.Errorf("counted %v, before %v", after.Readings, before.Readings)
	}
	if e, err := f.Revert(soon(t)); err != nil || !e.Proven {
		t.Errorf("reverted: %+v, %v", e, err)
	}
}

// A program that runs in a container itself is no service, and outside as elsewhere: its load is what the fault is to meet.
func TestWhoRunsItIsOutside(t *testing.T) {
	service, other, own := netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3"), netip.MustParseAddr("10.0.0.4")
	all := insiders([]netip.Addr{service}, []netip.Addr{own, other, service}, []netip.Addr{own})
	if !slices.Equal(all, []netip.Addr{service, other}) {
		t.Errorf("not outside: %v", all)
	}
}

// Who is protected and has the machine's network cannot be told from the machine, so there is no fault on what comes from outside; those on other links are not refused.
func TestTheProtectedOnTheMachine(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newPair(t)
	cut := target.LinkFault{Partition: true}
	must(t, p.ArmLink(soon(t), outsideToBack, "cut", cut))
	p.add("billing", 1, label(labelProtected, "true"), waits("host"))
	wantError(t, p.Impair(soon(t), outsideToBack, "cut", cut), "billing is protected", "has the network of the machine", "name the other end of the link, with to")
	if names, err := p.Impaired(soon(t), outsideToBack); err != nil || len(names) > 0 {
		t.Errorf("on the link: %q, %v", names, err)
	}
	must(t, p.Impair(soon(t), webToBack, "cut", cut))
	must(t, p.Restore(soon(t), webToBack, "cut"))
	must(t, p.Restore(soon(t), outsideToBack, "cut"))
}
