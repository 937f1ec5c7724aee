package probe

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
)

func TestTCP(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	greets := listen(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "220 hello\r\n")
		<-release
		c.Close()
	})
	for name, c := range map[string]struct {
		url       string
		connected float64
		problem   string
	}{
		"stays open":               {hanging(t), 1, ""},
		"greets":                   {greets, 1, ""},
		"nothing listens":          {refused(t), 0, "connection refused"},
		"accepted, then closed":    {hangUp(t), 0, "connection closed too early"},
		"accepted, then reset":     {listen(t, reset), 0, "connection reset"},
		"accepted, closed shortly": {listen(t, func(c net.Conn) { time.Sleep(20 * time.Millisecond); c.Close() }), 0, "connection closed too early"},
	} {
		var o journal.Observation
		for late, n := true, 0; late && n < 3; n++ { // a machine that stands still closes a connection late, and connects late
			o = look(t, at(c.url), check("tcp", plan.Probe{TCP: &plan.TCP{Service: "service-a"}}))
			late = o.Numbers["connected"] > c.connected || o.Numbers["latency_seconds"] >= settle.Seconds()
		}
		if o.Error != "" || o.Numbers["connected"] != c.connected || o.Text["problem"] != c.problem {
			t.Errorf("%s: got connected %v, problem %q, error %q", name, o.Numbers["connected"], o.Text["problem"], o.Error)
		}
		if l := o.Numbers["latency_seconds"]; l <= 0 || l >= settle.Seconds() {
			t.Errorf("%s: latency is %gs; the wait afterwards is none of it", name, l)
		}
	}
}

func TestTCPEndsWithItsTimeLimit(t *testing.T) {
	var o journal.Observation
	for n := 0; n < 3 && (o.Numbers["connected"] != 1 || time.Duration(o.Took) > settle); n++ { // a machine that stands still connects too late, or ends too late
		ctx, cancel := context.WithTimeout(t.Context(), settle/2)
		o = Look(ctx, at(hanging(t)), check("tcp", plan.Probe{TCP: &plan.TCP{Service: "service-a"}}), Window{})
		cancel()
	}
	if o.Numbers["connected"] != 1 || time.Duration(o.Took) > settle {
		t.Errorf("an accepted connection that is still open is connected: %+v after %v", o, time.Duration(o.Took))
	}
}

func TestTCPSaysWhatWeDidWrong(t *testing.T) {
	o := look(t, at("http://127.0.0.1:1"), check("tcp", plan.Probe{TCP: &plan.TCP{Service: "service-z"}}))
	if !strings.Contains(o.Error, `no service "service-z"`) || len(o.Numbers) > 0 {
		t.Errorf("got %+v", o)
	}
}

func TestHostPort(t *testing.T) {
	for base, want := range map[string]string{
		"http://127.0.0.1:4000": "127.0.0.1:4000",
		"http://[::1]:4000":     "[::1]:4000",
		"http://shop.test":      "shop.test:80",
		"https://shop.test":     "shop.test:443",
	} {
		if got, err := hostPort(base, nil); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", base, got, err, want)
		}
	}
	if _, err := hostPort("redis://shop.test", nil); err == nil {
		t.Error("redis://shop.test has no port, but that was no error")
	}
}
