package docker

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/fault"
	"chaosgate/pkg/intercept"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// ported is a web that calls a back with two ports, and a store that has no port named http.
type ported struct {
	pair
	store string
	// Where the back and the store are.
	http, sql, only netip.AddrPort
}

func newPorted(t *testing.T) ported {
	t.Helper()
	p := ported{pair: pair{project: newProject(t)}}
	p.web, p.back, p.store = p.add("web", 1, hardenedAlone), p.add("back", 1, hardenedAlone), p.add("store", 1, hardenedAlone)
	web, back := service(), service()
	web.Links, back.Ports = []string{"back", "store"}, map[string]string{"http": "8080", "sql": "9090"}
	store := spec.Service{Ports: map[string]string{"sql": "9090"}}
	p.world = p.worldOf(options(p.project.name, map[string]spec.Service{"web": web, "back": back, "store": store}))
	p.http, p.sql = netip.AddrPortFrom(p.addresses(p.back)[0], 8080), netip.AddrPortFrom(p.addresses(p.back)[0], 9090)
	p.only = netip.AddrPortFrom(p.addresses(p.store)[0], 9090)
	return p
}

// fault makes one of the catalogue on the links of a service.
func (p pair) fault(kind, service, to, port string, with map[string]string) fault.Fault {
	p.project.t.Helper()
	k, _ := fault.Find(kind)
	params, problems := k.CheckParams(with)
	if len(problems) > 0 {
		p.project.t.Fatal(problems)
	}
	f, err := k.New(fault.Request{ID: "it", Origin: "test", Runtime: p.Environment, Targets: []target.Target{p.one(service)}, To: to, Port: port, Params: params})
	must(p.project.t, err)
	return f
}

// meets says how a call of the web ends, on a connection that there was and on a new one: slow, fast, or by what it met.
func (p ported) meets(at netip.AddrPort, slow time.Duration) string {
	p.project.t.Helper()
	var all []string
	for _, how := range []string{"", "&fresh=1"} {
		took, failed := p.asksAt("web", at, how)
		switch {
		case failed != "":
			all = append(all, failed)
		case took >= slow:
			all = append(all, "slow")
		default:
			all = append(all, "fast")
		}
	}
	return strings.Join(all, ", ")
}

// A fault on one port is met there, on connections that there were and on new ones, and on no other port; only what passes there counts. It is proven, and its end verified, over
// that very port, also of a callee without HTTP, and nothing is left.
func TestAFaultOnOnePortOfALink(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	const delay = 150 * time.Millisecond
	p := newPorted(t)
	slow := func(direction string, delay time.Duration) map[string]string {
		return map[string]string{"delay": delay.String(), "direction": direction}
	}
	for _, c := range []struct {
		kind, to string
		with     map[string]string
		meets    string
	}{
		{"network.latency", "back", slow("request", delay), "^slow, slow$"},
		{"network.latency", "back", slow("response", delay), "^slow, slow$"},
		{"network.latency", "store", slow("both", delay), "^slow, slow$"},
		{"network.latency", "store", slow("both", 2400*time.Millisecond), "Client.Timeout.*, .*Client.Timeout"}, // the kernel begins anew meanwhile
		{"network.partition", "back", nil, "Client.Timeout.*, .*Client.Timeout"},
		{"network.partition", "store", nil, "Client.Timeout.*, .*Client.Timeout"},
		{"network.reset", "back", nil, "(reset by peer|broken pipe|EOF).*, .*(reset by peer|broken pipe|EOF)"},
		{"network.reset", "store", nil, "(reset by peer|broken pipe|EOF).*, .*(reset by peer|broken pipe|EOF)"},
		{"network.bandwidth", "store", map[string]string{"rate": "1kB/s"}, "^(slow|fast), (slow|fast)$"},
		{"network.duplicate", "back", map[string]string{"probability": "100%"}, "^fast, fast$"},
	} {
		hit := p.sql
		if c.to == "store" {
			hit = p.only
		}
		eventually(t, "calls are as usual", func() bool { return p.meets(hit, delay) == "fast, fast" && p.meets(p.http, delay) == "fast, fast" })
		f := p.fault(c.kind, "web", c.to, "sql", c.with)
		_, err := f.Prepare(soon(t))
		must(t, err)
		e, err := f.Inject(soon(t))
		if err != nil || !e.Proven {
			t.Fatalf("%s: injected: %+v, %v", c.kind, e, err)
		}
		t.Logf("%s: %s", c.kind, e.Summary)
		eventually(t, c.kind+": calls of the other port are as usual", func() bool { return p.meets(p.http, delay) == "fast, fast" })
		if e, err := f.Check(soon(t)); err != nil || e.Proven {
			t.Errorf("%s: proven by what passed to the other port: %+v, %v", c.kind, e, err)
		}
		eventually(t, c.kind+": calls of the port meet "+c.meets, func() bool { return regexp.MustCompile(c.meets).MatchString(p.meets(hit, delay)) })
		if e, err := f.Check(soon(t)); err != nil || !e.Proven || !strings.Contains(e.Summary, "web -> "+c.to+":sql") {
			t.Errorf("%s: %+v, %v", c.kind, e, err)
		}
		if e, err := f.Revert(soon(t)); err != nil || !e.Proven {
			t.Errorf("%s: reverted: %+v, %v", c.kind, e, err)
		}
		link := target.Link{From: "web", To: c.to, Port: "sql"}
		if names, err := p.Impaired(soon(t), link); err != nil || len(names) > 0 {
			t.Errorf("%s: on the link: %q, %v", c.kind, names, err)
		}
		eventually(t, "no helper of it is left", func() bool {
			left, err := helpersOn(soon(t), p.project.engine, p.id, link)
			return err == nil && len(left) == 0
		})
	}
}

// Faults on two ports of one pair are beside each other, each with its own count and end. Where one is on all ports as well they tell of each other, and what bears no other fault
// is refused there.
func TestLinksToPortsAreApart(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	const delay = 150 * time.Millisecond
	p := newPorted(t)
	all := target.Link{From: "web", To: "back"}
	sql, http := all, all
	sql.Port, http.Port = "sql", "http"
	late, cut := target.LinkFault{Latency: target.Duration(delay), Direction: "request"}, target.LinkFault{Partition: true}
	must(t, p.Impair(soon(t), sql, "late", late))
	must(t, p.Impair(soon(t), http, "late", cut)) // of the same name
	if a, b := p.meets(p.sql, delay), p.meets(p.http, delay); a != "slow, slow" || strings.Count(b, "Client.Timeout") != 2 {
		t.Errorf("a call of the one port: %s, of the other: %s", a, b)
	}
	on := func(l target.Link, want ...string) {
		t.Helper()
		if names, err := p.Impaired(soon(t), l); err != nil || !slices.Equal(names, want) {
			t.Errorf("on %s: %q, %v, want %q", l, names, err, want)
		}
	}
	on(sql, "late")
	on(all, "late on web -> back:http", "late on web -> back:sql")
	before, err := p.Stats(soon(t), sql, "late")
	must(t, err)
	p.meets(p.http, delay)
	if now, err := p.Stats(soon(t), sql, "late"); err != nil || now != before || now.BytesIn == 0 {
		t.Errorf("counted %+v, before %+v, %v", now, before, err)
	}
	// As from another process, after this one has died.
	must(t, Attach(p.Ref(http), helpers()).(target.LinkRestorer).Restore(soon(t), http, "late"))
	on(http)
	must(t, p.Restore(soon(t), http, "late"))
	on(sql, "late")
	wantError(t, p.Impair(soon(t), all, "abort", target.LinkFault{HTTP: intercept.Fault{Status: 503, Probability: 1}}), "late on web -> back:sql is on it already")
	must(t, p.Restore(soon(t), all, "abort"))
	eventually(t, "after its end calls are as usual", func() bool { return p.meets(p.http, delay) == "fast, fast" })
	must(t, p.Restore(soon(t), sql, "late"))
	on(all)
	_, err = p.RoundTrip(soon(t), target.Link{From: "web", To: "back", Port: "grpc"}, time.Second)
	wantError(t, err, "back: there is no port named grpc; there are http, sql")
}

// Without the other end one port is met by all who call the service at it, from outside as well, and its calls of others are not.
func TestOnePortFromAllSides(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newPorted(t)
	found, err := p.Links([]target.Target{p.one("back")}, "", "sql")
	must(t, err)
	f := p.fault("network.latency", "back", "", "sql", map[string]string{"delay": "150ms"})
	_, err = f.Prepare(soon(t))
	must(t, err)
	e, err := f.Inject(soon(t))
	if err != nil || !e.Proven || len(found) != 2 || found[0].String() != "outside -> back:sql" || found[1].String() != "web -> back:sql" {
		t.Errorf("on %v: %+v, %v", found, e, err)
	}
	for at, slow := range map[netip.AddrPort]bool{p.sql: true, p.http: false} {
		if took, err := fastestFrom(t, "http://"+at.String()); err != nil || took >= 150*time.Millisecond != slow {
			t.Errorf("from outside %v took %v, %v", at, took, err)
		}
	}
	if e, err := f.Check(soon(t)); err != nil || !e.Proven {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err := f.Revert(soon(t)); err != nil || !e.Proven {
		t.Errorf("reverted: %+v, %v", e, err)
	}
}
