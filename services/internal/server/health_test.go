package server

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

func TestCheckHealth(t *testing.T) {
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
	}))
	host, text, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	check := func(host string, code int, says string) {
		t.Helper()
		var stderr strings.Builder
		if got := CheckHealth("service-x", host, port, &stderr); got != code || !strings.Contains(stderr.String(), says) {
			t.Errorf("host %q: exit %d, %q; want %d and %q", host, got, stderr.String(), code, says)
		}
	}
	check(host, ExitOK, "")
	check("0.0.0.0", ExitOK, "")
	status = http.StatusServiceUnavailable
	check(host, ExitError, "service-x: http://127.0.0.1:"+text+"/health answered 503")
	s.Close()
	check(host, ExitError, "connection refused")
}
