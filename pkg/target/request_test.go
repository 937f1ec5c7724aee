package target

import (
	"io"
	"strings"
	"testing"
)

func TestNewRequestStaysOnTheService(t *testing.T) {
	for path, want := range map[string]string{
		"/work":               "http://127.0.0.1:4000/work",
		"/work?n=1&m=a%20b":   "http://127.0.0.1:4000/work?n=1&m=a%20b",
		"//elsewhere.test/x":  "http://127.0.0.1:4000//elsewhere.test/x",
		"/@elsewhere.test":    "http://127.0.0.1:4000/@elsewhere.test",
		"/http://elsewhere/x": "http://127.0.0.1:4000/http://elsewhere/x",
	} {
		req, err := NewRequest(t.Context(), "http://127.0.0.1:4000", "GET", path, nil, "")
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if req.URL.String() != want || req.URL.Host != "127.0.0.1:4000" {
			t.Errorf("%s: got %s to host %s, want %s", path, req.URL, req.URL.Host, want)
		}
	}
}

func TestNewRequestCarriesHeadersAndBody(t *testing.T) {
	req, err := NewRequest(t.Context(), "http://127.0.0.1:4000", "POST", "/work", map[string]string{"x-caller": "chaos", "host": "shop.test"}, "hello")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil || string(body) != "hello" {
		t.Errorf("body: got %q, %v", body, err)
	}
	if req.Header.Get("X-Caller") != "chaos" || req.Host != "shop.test" {
		t.Errorf("got headers %v and host %s", req.Header, req.Host)
	}
}

func TestNewRequestSaysWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		base, method, path string
		headers            map[string]string
		want               string
	}{
		"relative path":  {"http://127.0.0.1:1", "GET", "work", nil, `path "work" does not begin with /`},
		"absolute URL":   {"http://127.0.0.1:1", "GET", "http://elsewhere.test/", nil, "does not begin with /"},
		"no host":        {"127.0.0.1", "GET", "/", nil, "is not the URL of a service"},
		"another scheme": {"file:///etc", "GET", "/", nil, "is not the URL of a service"},
		"method":         {"http://127.0.0.1:1", "GE T", "/", nil, "cannot make the request"},
		"header name":    {"http://127.0.0.1:1", "GET", "/", map[string]string{"a b": "c"}, `"a b"`},
		"header value":   {"http://127.0.0.1:1", "GET", "/", map[string]string{"a": "b\r\nc: d"}, "not a valid header"},
	} {
		_, err := NewRequest(t.Context(), c.base, c.method, c.path, c.headers, "")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", name, err, c.want)
		}
	}
}
