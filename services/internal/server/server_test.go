package server

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func start(t *testing.T, handler http.Handler) (url string, stop context.CancelFunc, done <-chan error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	result := make(chan error, 1)
	go func() { result <- Serve(ctx, listener, handler, slog.New(slog.DiscardHandler)) }()
	return "http://" + listener.Addr().String(), cancel, result
}

func TestDrainLetsRequestsFinish(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	url, stop, done := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(inside)
		<-release
		io.WriteString(w, "finished")
	}))
	body := make(chan string, 1)
	go func() {
		resp, err := http.Get(url)
		if err != nil {
			body <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		body <- string(b)
	}()
	<-inside
	stop()
	waitRefused(t, strings.TrimPrefix(url, "http://"))
	close(release)
	if got := <-body; got != "finished" {
		t.Errorf("the request under way got %q", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestDrainIsBounded(t *testing.T) {
	inside := make(chan struct{})
	url, stop, done := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(inside)
		<-r.Context().Done()
	}))
	go http.Get(url)
	<-inside
	begun := time.Now()
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took < drainFor || took > drainFor+time.Second {
		t.Errorf("stopped after %v, want about %v", took, drainFor)
	}
}

// waitRefused waits until the address takes no more connections.
func waitRefused(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		conn.Close()
	}
	t.Fatal("still listening while draining")
}

func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	var stderr bytes.Buffer
	port := taken.Addr().(*net.TCPAddr).Port
	code := Run("service-x", "127.0.0.1", port, http.NotFoundHandler(), slog.New(slog.DiscardHandler), &stderr)
	message := stderr.String()
	if code != ExitError || !strings.HasPrefix(message, "service-x: listen tcp 127.0.0.1:") ||
		!strings.HasSuffix(message, "address already in use; HOST and PORT choose another address\n") {
		t.Errorf("exit %d, %q", code, message)
	}
}

func TestKey(t *testing.T) {
	for query, want := range map[string]string{
		"": "default", "?key=": "default", "?key=tea": "tea",
		"?key=" + strings.Repeat("k", 64): strings.Repeat("k", 64),
	} {
		if got, err := Key(httptest.NewRequest("GET", "/work"+query, nil)); got != want || err != nil {
			t.Errorf("Key of %q = %q, %v", query, got, err)
		}
	}
	if _, err := Key(httptest.NewRequest("GET", "/work?key="+strings.Repeat("k", 65), nil)); err == nil {
		t.Error("a key of 65 bytes was taken")
	}
}

func TestJSON(t *testing.T) {
	rec := httptest.NewRecorder()
	JSON(rec, 503, Failure{Error: "too busy", Kind: "shed"})
	if rec.Code != 503 || rec.Body.String() != `{"error":"too busy","kind":"shed"}`+"\n" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	rec = httptest.NewRecorder()
	JSON(rec, 200, func() {})
	if rec.Code != 500 {
		t.Errorf("unencodable: %d", rec.Code)
	}
}
