package probe

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/plan"
)

func get(path string) plan.Check {
	return check("http", plan.Probe{HTTP: &plan.HTTP{Service: "service-a", Method: "GET", Path: path}})
}

func TestHTTPBringsBackWhatTheServiceSays(t *testing.T) {
	long := strings.Repeat("x", 3*textLimit)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/health":
			_, _ = io.WriteString(w, "ok, token=s3cret")
		case "/broken":
			http.Error(w, "no database", http.StatusServiceUnavailable)
		case "/moved":
			http.Redirect(w, r, "/health", http.StatusFound)
		case "/long":
			_, _ = io.WriteString(w, long)
		case "/slow":
			time.Sleep(60 * time.Millisecond)
		}
	}))
	defer s.Close()
	d := at(s.URL)
	d.Secrets = secrets("s3cret")
	for path, want := range map[string]struct {
		status  float64
		body    string
		atLeast time.Duration
	}{
		"/health": {200, "ok, token=***", 0},
		"/broken": {503, "no database\n", 0},
		"/moved":  {302, "<a href=\"/health\">Found</a>.\n\n", 0},
		"/long":   {200, long[:textLimit], 0},
		"/slow":   {200, "", 60 * time.Millisecond},
	} {
		o := look(t, d, get(path))
		if o.Error != "" || o.Text["problem"] != "" || o.Numbers["status"] != want.status {
			t.Errorf("%s: got status %v, problem %q, error %q", path, o.Numbers["status"], o.Text["problem"], o.Error)
		}
		if o.Text["body"] != want.body {
			t.Errorf("%s: got a body of %d characters, want %d", path, len(o.Text["body"]), len(want.body))
		}
		if latency := o.Numbers["latency_seconds"]; latency < want.atLeast.Seconds() || latency <= 0 || latency > time.Duration(o.Took).Seconds() {
			t.Errorf("%s: latency %gs", path, latency)
		}
	}
}

func TestHTTPSendsWhatTheExperimentSays(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, strings.Join([]string{r.Method, r.URL.String(), r.Header.Get("X-Tenant"), string(body)}, " "))
	}))
	defer s.Close()
	o := look(t, at(s.URL), check("http", plan.Probe{HTTP: &plan.HTTP{
		Service: "service-a", Method: "PUT", Path: "/orders?n=1", Headers: map[string]string{"x-tenant": "t1"}, Body: "hello",
	}}))
	if o.Text["body"] != "PUT /orders?n=1 t1 hello" {
		t.Errorf("got %q (%s)", o.Text["body"], o.Error)
	}
}

// hangUp is a URL at which every connection is accepted and closed at once.
func hangUp(t *testing.T) string { return listen(t, func(c net.Conn) { c.Close() }) }

// answering reads a request and then does something with the connection.
func answering(t *testing.T, then func(net.Conn)) string {
	return listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 4096))
		then(c)
	})
}

func TestHTTPObservesWhatACallerWouldSuffer(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	say := func(text string, end func(net.Conn)) func(net.Conn) {
		return func(c net.Conn) {
			_, _ = io.WriteString(c, text)
			end(c)
		}
	}
	shut := func(c net.Conn) { c.Close() }
	wait := func(c net.Conn) { <-release; c.Close() }
	for name, c := range map[string]struct {
		url     string
		problem string
		status  float64
	}{
		"nothing listens":     {refused(t), "connection refused", 0},
		"reset":               {answering(t, reset), "connection reset", 0},
		"closed":              {answering(t, shut), "connection closed too early", 0},
		"silent":              {hanging(t), "no answer within ", 0},
		"no HTTP":             {answering(t, say("SSH-2.0-OpenSSH\r\n\r\n", shut)), "malformed HTTP", 0},
		"breaks off":          {answering(t, say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", shut)), "the answer broke off: connection closed too early", 200},
		"stops in the middle": {answering(t, say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", wait)), "the answer broke off: no answer within ", 200},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		o := Look(ctx, at(c.url), get("/"), Window{Phase: journal.Method})
		cancel()
		if o.Error != "" {
			t.Errorf("%s: what a service does is not an error of ours: %s", name, o.Error)
		}
		if !strings.Contains(o.Text["problem"], c.problem) {
			t.Errorf("%s: got problem %q, want %q", name, o.Text["problem"], c.problem)
		}
		if status, ok := o.Numbers["status"]; !ok || status != c.status {
			t.Errorf("%s: got status %v, want %v", name, o.Numbers["status"], c.status)
		}
		if o.Numbers["latency_seconds"] <= 0 {
			t.Errorf("%s: no latency", name)
		}
		if body, ok := o.Text["body"]; ok != (c.status != 0) || ok && body != "half" {
			t.Errorf("%s: got body %q", name, body)
		}
	}
}

// A body is cut, and where it is cut may be a secret: no part of it is left.
func TestHTTPCutsNoSecretInTwo(t *testing.T) {
	const canary = "canary-0123456789-canary"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before, _ := strconv.Atoi(strings.Trim(r.URL.Path, "/"))
		_, _ = io.WriteString(w, strings.Repeat("x", before)+canary+strings.Repeat("x", textLimit))
	}))
	defer s.Close()
	d := at(s.URL)
	d.Secrets = secrets(canary)
	for _, before := range []int{textLimit - 23, textLimit - 10, textLimit - 4, textLimit - 1, textLimit, 10} {
		o := look(t, d, get("/"+strconv.Itoa(before)))
		body := o.Text["body"]
		if strings.Trim(body, "x*") != "" || len(body) > textLimit || len(body) < textLimit-100 {
			t.Errorf("%d before: %d bytes, ending in %q", before, len(body), body[max(0, len(body)-30):])
		}
	}
}

// What is sent has the secret in it; what is told of it has not.
func TestHTTPRevealsSecretsToTheServiceOnly(t *testing.T) {
	got := make(chan string, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Authorization")
		_, _ = io.WriteString(w, "you are "+r.Header.Get("Authorization"))
	}))
	defer s.Close()
	d := at(s.URL)
	d.Secrets = secrets("s3cret")
	d.Reveal = func(header string) string { return strings.ReplaceAll(header, "${secret.token}", "s3cret") }
	c := get("/")
	c.Probe.HTTP.Headers = map[string]string{"Authorization": "Bearer ${secret.token}"}
	if o := look(t, d, c); o.Text["body"] != "you are Bearer ***" {
		t.Errorf("got %q, %q", o.Text["body"], o.Error)
	}
	if sent := <-got; sent != "Bearer s3cret" {
		t.Errorf("sent %q", sent)
	}
}

func TestHTTPSaysWhatWeDidWrong(t *testing.T) {
	d := at("http://127.0.0.1:1")
	for want, h := range map[string]plan.HTTP{
		`there is no service "service-z"`:           {Service: "service-z", Method: "GET", Path: "/"},
		`path "health" does not begin with /`:       {Service: "service-a", Method: "GET", Path: "health"},
		`"a b", or its value, is not a valid heade`: {Service: "service-a", Method: "GET", Path: "/", Headers: map[string]string{"a b": "c"}},
	} {
		o := look(t, d, check("http", plan.Probe{HTTP: &h}))
		if !strings.Contains(o.Error, want) || len(o.Numbers) > 0 {
			t.Errorf("got error %q and numbers %v, want %q", o.Error, o.Numbers, want)
		}
	}
}

func TestHTTPMakesANewConnectionForEachLook(t *testing.T) {
	var opened atomic.Int64
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	t.Setenv("HTTP_PROXY", refused(t)) // of the machine; not ours
	for range 3 {
		if o := look(t, at(s.URL), get("/")); o.Numbers["status"] != 200 {
			t.Fatalf("got %+v", o)
		}
	}
	if opened.Load() != 3 {
		t.Errorf("3 looks opened %d connections", opened.Load())
	}
}
