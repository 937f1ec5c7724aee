package metrics

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const vectorAnswer = `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"service":"a"},"value":[1700000000,"0.25"]}]}%s}`

func newRemote(t *testing.T, o RemoteOptions) *Remote {
	t.Helper()
	r, err := NewRemote(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestRemoteAnswers(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("query") != "x" || !strings.HasPrefix(r.FormValue("time"), "1700000000") {
			http.Error(w, "unexpected "+r.Form.Encode(), http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, vectorAnswer, `,"warnings":["half of it is missing"]`)
	})
	got, err := newRemote(t, RemoteOptions{URL: s.URL}).Query(t.Context(), "x", time.Unix(1700000000, 0))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Series) != 1 || got.Series[0].Points[0].V != 0.25 || got.Series[0].Labels["service"] != "a" || len(got.Warnings) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestRemoteTroubleIsASentence(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"503":  {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "starting", http.StatusServiceUnavailable) }, "503"},
		"HTML": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Grafana</html>") }, "is this the URL of a Prometheus server?"},
		"query": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(422)
			fmt.Fprint(w, `{"status":"error","errorType":"execution","error":"many-to-many"}`)
		}, "many-to-many"},
		"never": {func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); <-r.Context().Done() }, "did not answer within 50ms"},
		"moved": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "give the final URL"},
		"huge":  {func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxAnswer+2)) }, "longer than 8 MiB"},
		"text": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"status":"success","data":{"resultType":"string","result":[1,"x"]}}`)
		}, "string"},
		"a matrix": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[]}]}}`)
		}, "matrix"},
		"stale": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.Replace(fmt.Sprintf(vectorAnswer, ""), "1700000000", "1600000000", 1))
		}, "the answer is for 2020-09-13"},
	} {
		s := serve(t, c.answer)
		timeout := 5 * time.Second
		if name == "never" {
			timeout = 50 * time.Millisecond
		}
		_, err := newRemote(t, RemoteOptions{URL: s.URL, Timeout: timeout}).Query(t.Context(), "x", time.Unix(1700000000, 0))
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), s.URL) {
			t.Errorf("%s: got %v, want it to say %q and where", name, err, c.says)
		}
		s.CloseClientConnections()
	}
}

func TestRemoteCredentialsComeFromTheEnvironment(t *testing.T) {
	var seen string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Get("Authorization")
		http.Error(w, "no", http.StatusUnauthorized)
	})
	env := map[string]string{"TOKEN": "s3cret", "USER_NAME": "me", "PASSWORD": "hush"}
	getenv := func(k string) string { return env[k] }
	for want, o := range map[string]RemoteOptions{
		"Bearer s3cret":      {BearerTokenEnv: "TOKEN"},
		"Basic bWU6aHVzaA==": {UsernameEnv: "USER_NAME", PasswordEnv: "PASSWORD"},
	} {
		o.URL, o.Getenv = s.URL, getenv
		_, err := newRemote(t, o).Query(t.Context(), "x", time.Unix(1700000000, 0))
		if seen != want {
			t.Errorf("sent %q, want %q", seen, want)
		}
		if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "hush") {
			t.Errorf("the error shows a secret, or is none: %v", err)
		}
	}
	for _, o := range []RemoteOptions{
		{URL: s.URL, BearerTokenEnv: "UNSET", Getenv: getenv}, {URL: s.URL, UsernameEnv: "USER_NAME", Getenv: getenv},
		{URL: "http://me:s3cret@host"}, {URL: "prometheus:9090"}, {URL: "http://"}, {URL: "http://a b:%%s3cret"}, {URL: s.URL, CAFile: "none.pem"},
	} {
		if _, err := NewRemote(o); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: got %v", o, err)
		}
	}
}

func TestRemoteTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, vectorAnswer, "") }))
	s.Config.ErrorLog = nil
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	s.StartTLS()
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newRemote(t, RemoteOptions{URL: s.URL}).Query(t.Context(), "x", time.Now()); err == nil {
		t.Error("a server of an unknown authority was trusted")
	}
	if _, err := newRemote(t, RemoteOptions{URL: s.URL, CAFile: ca, ServerName: "example.com"}).Query(t.Context(), "x", time.Unix(1700000000, 0)); err != nil {
		t.Errorf("with its authority: %v", err)
	}
}

func TestRemoteCheck(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"status":"success","data":{"version":"3.1.0"}}`)
	})
	if v, err := newRemote(t, RemoteOptions{URL: s.URL}).Check(context.Background()); err != nil || v != "3.1.0" {
		t.Errorf("version %q, %v", v, err)
	}
}

// What several experiments make a server scrape at once is told apart by a label that every selector gets.
func TestRemoteAsksForItsOwnExperiment(t *testing.T) {
	var seen url.Values
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		seen = r.Form
		fmt.Fprintf(w, vectorAnswer, "")
	})
	r := newRemote(t, RemoteOptions{URL: s.URL, Experiment: "run/e", Interval: time.Second})
	if _, err := r.Query(t.Context(), `sum(rate(x{a="b"}[3s] @ 12.5)) / count(y) or vector(0)`, time.Unix(1700000000, 999_999)); err != nil {
		t.Fatal(err)
	}
	want := `sum(rate(x{a="b",chaos_experiment="run/e"}[3s] @ 12.500)) / count(y{chaos_experiment="run/e"}) or vector(0)`
	if seen.Get("query") != want || seen.Get("time") != "1700000000" || seen.Get("lookback_delta") != "4s" {
		t.Errorf("asked %q, want %q, at a whole millisecond and with four intervals of lookback: %v", seen.Get("query"), want, seen)
	}
}
