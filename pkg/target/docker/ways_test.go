package docker

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// apart is a network of the project that comes before its other one by name, and that this machine has no way into; the test removes it.
func (p *project) apart(subnet string) string {
	p.t.Helper()
	n, err := p.engine.NetworkCreate(soon(p.t), "a-"+p.name, network.CreateOptions{
		Driver: "macvlan", Options: map[string]string{"parent": "br-" + p.network[:12]}, IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet}}},
	})
	if err != nil {
		p.t.Skipf("it takes a kernel and an engine with macvlan: %v", err)
	}
	p.t.Cleanup(func() {
		p.remove()
		must(p.t, p.engine.NetworkRemove(soonAfter(p.t), n.ID))
	})
	return n.ID
}

// lies gives this machine an address in a subnet that it reaches no container in, as that of the network around it is.
func (p *project) lies(address string) {
	p.t.Helper()
	out, err := exec.Command("ip", "address", "add", address, "dev", "br-"+p.network[:12]).CombinedOutput() // which goes with the bridge
	if err != nil {
		p.t.Skipf("it takes `ip`, and root: %v %s", err, out)
	}
}

// A container is reached over that of its networks which this machine has a way into, whatever its name, by all who reach it: traffic, round trips, scrapes and who looks for a server.
func TestANetworkThatIsNotReachedFromHere(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	for name, c := range map[string]struct {
		subnet string
		how    func(*project)
	}{
		"in which this machine is not":             {"198.18.71.0/24", func(*project) {}},
		"in whose subnet this machine has another": {"198.18.72.0/24", func(p *project) { p.lies("198.18.72.200/24") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t)
			apart := p.apart(c.subnet)
			c.how(p)
			id := p.add("web", 1)
			must(t, p.engine.NetworkConnect(soon(t), apart, id, nil))
			w := p.world("web")
			w.reachable(id)
			must(t, p.engine.ContainerRestart(soon(t), id, container.StopOptions{}))
			eventually(t, "it is ready again", func() bool { return w.status(w.one("web")).Ready })
			w.reachable(id)
		})
	}
}

// reachable sees that web is reached from here in every way, and that a fault on the link from outside is felt by those who should.
func (w *world) reachable(id string) {
	t := w.t
	t.Helper()
	l := target.Link{From: target.Outside, To: "web"}
	answers := func(who, base string) {
		t.Helper()
		if said, err := fetchWithin(t, base+"/health", 3*time.Second); err != nil || said != id[:12] { // its name
			t.Errorf("%s, at %s, met %q, %v", who, base, said, err)
		}
	}
	base, err := w.URL("web")
	must(t, err)
	answers("traffic", base)
	of := w.one("web")
	at, err := w.FindServer(soon(t), target.Server{URL: "postgres://chaos@web:8080/orders", On: &of.Ref})
	must(t, err)
	answers("who looks for a server", "http://"+at)
	w.trip(l)
	must(t, w.Impair(soon(t), l, "cut", target.LinkFault{Partition: true}))
	if _, err := w.RoundTrip(soon(t), l, 300*time.Millisecond); !errors.Is(err, target.ErrUnanswered) {
		t.Errorf("a round trip under it met %v", err)
	}
	for _, s := range w.Scrapes() {
		answers("a scrape under it", strings.TrimSuffix(s.URL, "/metrics"))
	}
	if st := w.status(of); !st.Ready {
		t.Error("under it, it is taken for not ready")
	}
	must(t, w.Restore(soon(t), l, "cut"))
	w.trip(l)
}

// without4 is an engine of this machine that tells of no IPv4 addresses of its containers, as engines do of networks that have none.
func without4(t *testing.T, e Endpoint) Endpoint {
	t.Helper()
	proxy := proxyTo(t, e)
	proxy.ModifyResponse = hide4
	return onSocket(t, proxy)
}

// hide4 takes the IPv4 addresses out of what an engine tells of one container.
func hide4(r *http.Response) error {
	if path := r.Request.URL.Path; !strings.Contains(path, "/containers/") || !strings.HasSuffix(path, "/json") || strings.HasSuffix(path, "/containers/json") || r.StatusCode != http.StatusOK {
		return nil
	}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	for _, n := range all["NetworkSettings"].(map[string]any)["Networks"].(map[string]any) {
		n := n.(map[string]any)
		n["IPAddress"], n["Gateway"], n["IPPrefixLen"] = "", "", 0
	}
	if text, err = json.Marshal(all); err != nil {
		return err
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	r.Header.Set("Content-Length", strconv.Itoa(len(text)))
	return nil
}

// A container that has IPv6 only is reached by that.
func TestAContainerWithoutIPv4(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	yes := true
	six, err := p.engine.NetworkCreate(soon(t), p.name+"-6", network.CreateOptions{
		EnableIPv6: &yes, IPAM: &network.IPAM{Config: []network.IPAMConfig{{Subnet: "fd00:c4a0:5:2::/64"}}},
	})
	must(t, err)
	t.Cleanup(func() {
		p.remove()
		must(t, p.engine.NetworkRemove(soonAfter(t), six.ID))
	})
	id := p.add("web", 1, func(_ *container.Config, h *container.HostConfig) { h.NetworkMode = container.NetworkMode(six.ID) })
	o := options(p.name, map[string]spec.Service{"web": service()})
	o.LogDir, o.Endpoint = t.TempDir(), without4(t, endpoint(t))
	w := p.worldOf(o)
	w.reachable(id)
}

// What is nearest comes first: this machine as the gateway, then an address of it in the subnet, which may be another network's, then what it has no part in.
func TestWaysByNearness(t *testing.T) {
	t.Parallel()
	own := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.168.1.7"), netip.MustParseAddr("172.18.0.1"), netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("fd00::1")}
	at := func(address, gateway string, bits int) *network.EndpointSettings {
		return &network.EndpointSettings{NetworkID: address, IPAddress: address, Gateway: gateway, IPPrefixLen: bits}
	}
	networks := map[string]*network.EndpointSettings{
		"a-overlay": at("10.9.0.2", "", 24), "b-macvlan": at("192.168.1.9", "192.168.1.1", 24), "c-internal": at("10.1.0.2", "", 24), "d-bridge": at("172.18.0.2", "172.18.0.1", 16),
		"e-six": {NetworkID: "six", GlobalIPv6Address: "fd00::2", IPv6Gateway: "fd00::1", GlobalIPv6PrefixLen: 64}, "f-none": {NetworkID: "none"}, "g-gone": nil,
	}
	info := container.InspectResponse{NetworkSettings: &container.NetworkSettings{Networks: networks}}
	var order []string
	for _, a := range byNearness(attachments(info), own) {
		order = append(order, a.address.String())
	}
	if want := []string{"172.18.0.2", "fd00::2", "192.168.1.9", "10.1.0.2", "10.9.0.2"}; !slices.Equal(order, want) {
		t.Errorf("got %q, want %q", order, want)
	}
	i := &instance{own: own, endpoint: Endpoint{Host: "unix:///x"}, name: "web-1"}
	for _, want := range []string{"172.18.0.2:80", "[fd00::2]:80", "192.168.1.9:80", "10.1.0.2:80", "10.9.0.2:80"} {
		if got, err := i.find(info, "80/tcp"); err != nil || got != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
		for name, n := range networks {
			if n != nil && strings.Contains(want, fmt.Sprint(n.IPAddress+n.GlobalIPv6Address)) && n.NetworkID != "none" {
				delete(networks, name)
			}
		}
	}
	_, err := i.find(info, "80/tcp")
	wantError(t, err, "web-1: its port 80 cannot be reached from here: publish it in the Compose file")
}

// The way that was found stays the way: over each start it has another address in the same network.
func TestTheWayStays(t *testing.T) {
	t.Parallel()
	both := func(v4, v6 string) container.InspectResponse {
		return container.InspectResponse{NetworkSettings: &container.NetworkSettings{Networks: map[string]*network.EndpointSettings{
			"a": {NetworkID: "1", IPAddress: "10.1.0.2", IPPrefixLen: 24}, "b": {NetworkID: "2", IPAddress: v4, IPPrefixLen: 24, GlobalIPv6Address: v6, GlobalIPv6PrefixLen: 64},
		}}}
	}
	i := &instance{spec: spec.Service{Ports: map[string]string{"http": "80"}}}
	i.way = attachments(both("10.2.0.2", "fd00::2"))[2]
	for v6, want := range map[string]string{"fd00::2": "[fd00::2]:80", "fd00::9": "[fd00::9]:80", "": "10.1.0.2:80"} {
		if got := i.insideOf(both("10.2.0.3", v6)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := i.insideOf(container.InspectResponse{NetworkSettings: &container.NetworkSettings{}}); got != "" {
		t.Errorf("while it does not run: %q", got)
	}
}
