package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/mask"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

// place is an environment that says where services are and in what state; everything else of it must not be used.
type place struct {
	target.Environment
	urls   map[string]string
	status map[string]target.Status // by instance: service-a-1
}

func (p place) Name() string { return "test" }

func (p place) URL(service string) (string, error) {
	if u, ok := p.urls[service]; ok {
		return u, nil
	}
	return "", fmt.Errorf("there is no service %q", service)
}

func (p place) Scrapes() []target.Scrape {
	var all []target.Scrape
	for service := range p.urls {
		all = append(all, target.Scrape{Labels: map[string]string{"service": service}})
	}
	return all
}

// stateful is a place whose instances can be inspected.
type stateful struct{ place }

func (s stateful) Resolve(_ context.Context, sel target.Selection) ([]target.Target, error) {
	var all []target.Target
	for instance := range s.status {
		if strings.HasPrefix(instance, sel.Services[0]) && sel.Instances == "all" {
			all = append(all, target.Target{Ref: target.Ref{Service: sel.Services[0], Instance: instance}})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no service %q", sel.Services[0])
	}
	return all, nil
}

func (s stateful) Inspect(ctx context.Context, t target.Target) (target.Status, error) {
	if t.Instance == "service-hangs-1" {
		<-ctx.Done()
		return target.Status{}, ctx.Err()
	}
	return s.status[t.Instance], nil
}

func check(kind string, p plan.Probe) plan.Check {
	p.Kind = kind
	return plan.Check{ID: "c", Probe: p}
}

func at(url string) Deps { return Deps{Environment: place{urls: map[string]string{"service-a": url}}} }

func secrets(values ...string) *mask.Set {
	s := &mask.Set{}
	s.Add(values...)
	return s
}

func look(t *testing.T, d Deps, c plan.Check) journal.Observation {
	t.Helper()
	return Look(t.Context(), d, c, Window{Phase: journal.Steady})
}

// listen answers the URL of a listener whose connections are given to handle, which must end them.
func listen(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go handle(c)
		}
	}()
	return "http://" + l.Addr().String()
}

// refused is a URL at which nothing listens.
func refused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// hanging is a URL that accepts and never answers.
func hanging(t *testing.T) string {
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	return listen(t, func(c net.Conn) { <-done; c.Close() })
}

// reset ends a connection with a reset instead of an orderly end.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

func TestLookFillsWhatEveryObservationHas(t *testing.T) {
	before := time.Now()
	o := look(t, at(hangUp(t)), check("tcp", plan.Probe{TCP: &plan.TCP{Service: "service-a"}}))
	if o.Phase != journal.Steady || o.At.Before(before) || o.At.After(time.Now()) || o.Took <= 0 {
		t.Errorf("got phase %q, at %v, took %v", o.Phase, o.At, time.Duration(o.Took))
	}
}

func TestLookSaysWhichProbesThereAre(t *testing.T) {
	o := look(t, at(""), check("grpc", plan.Probe{}))
	if o.Error != `there is no probe "grpc", only promql, ratio, quantile, http, tcp, exec, state` {
		t.Errorf("got error %q", o.Error)
	}
}

func TestTheCatalogueIsDocumented(t *testing.T) {
	for _, k := range Catalogue() {
		if k.look == nil || !strings.HasSuffix(k.Doc, ".") {
			t.Errorf("%s: no look, or its doc is no sentence: %q", k.Name, k.Doc)
		}
	}
}

func TestAnInterruptedLookSaysNothingAboutTheService(t *testing.T) {
	for kind, p := range map[string]plan.Probe{
		"http":  {HTTP: &plan.HTTP{Service: "service-a", Method: "GET", Path: "/"}},
		"exec":  {Exec: &plan.Exec{Command: []string{"sleep", "60"}}},
		"state": {State: &plan.State{Service: "service-hangs"}},
	} {
		d := Deps{Environment: stateful{place{
			urls:   map[string]string{"service-a": hanging(t)},
			status: map[string]target.Status{"service-hangs-1": {}},
		}}}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(50*time.Millisecond, func() { cancel(errors.New("interrupted by SIGINT")) })
		o := Look(ctx, d, check(kind, p), Window{})
		if !strings.Contains(o.Error, "cut short: interrupted by SIGINT") || len(o.Numbers) > 0 {
			t.Errorf("%s: got error %q and numbers %v", kind, o.Error, o.Numbers)
		}
		if time.Duration(o.Took) > 2*time.Second {
			t.Errorf("%s: took %v to end", kind, time.Duration(o.Took))
		}
	}
}

func TestAHangingLookEndsWithItsTimeLimit(t *testing.T) {
	for kind, p := range map[string]plan.Probe{
		"exec":  {Exec: &plan.Exec{Command: []string{"sleep", "60"}}},
		"state": {State: &plan.State{Service: "service-hangs"}},
	} {
		d := Deps{Environment: stateful{place{status: map[string]target.Status{"service-hangs-1": {}}}}}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		o := Look(ctx, d, check(kind, p), Window{})
		cancel()
		if !strings.Contains(o.Error, "no answer within ") || time.Duration(o.Took) > 2*time.Second {
			t.Errorf("%s: got error %q after %v", kind, o.Error, time.Duration(o.Took))
		}
	}
}

// Of a service it is a fact that there was no answer; of what only tells about one, it is that we could not look.
func TestALookWithoutAnAnswer(t *testing.T) {
	const want = "no answer in 4.5s, until its phase was over"
	cut := journal.Observation{Phase: journal.Method, Offset: plan.Duration(time.Second), Error: "the look was cut short: its phase is over"}
	for kind, number := range map[string]string{"http": "status", "tcp": "connected"} {
		o := Unanswered(plan.Check{Probe: plan.Probe{Kind: kind}}, cut, 4500*time.Millisecond)
		if v, ok := o.Numbers[number]; o.Error != "" || o.Text["problem"] != want || !ok || v != 0 {
			t.Errorf("%s: %+v", kind, o)
		}
	}
	for _, kind := range []string{"exec", "state", "promql"} {
		o := Unanswered(plan.Check{Probe: plan.Probe{Kind: kind}}, cut, 4500*time.Millisecond)
		if o.Error != want || o.Offset != cut.Offset || o.Phase != cut.Phase || time.Duration(o.Took) != 4500*time.Millisecond {
			t.Errorf("%s: %+v", kind, o)
		}
	}
}

// Time that was over before anything was asked says nothing about who was to be asked.
func TestALookThatComesTooLateIsNoFact(t *testing.T) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if sentence, fact := ended(ctx, time.Now()); fact || sentence != "the time for the look was over before it could ask" {
		t.Errorf("got %q, a fact: %v", sentence, fact)
	}
	begun := time.Now().Add(-time.Second)
	ctx, cancel = context.WithDeadline(t.Context(), begun.Add(500*time.Millisecond))
	defer cancel()
	if sentence, fact := ended(ctx, begun); !fact || sentence != "no answer within 500ms" {
		t.Errorf("got %q, a fact: %v", sentence, fact)
	}
}
