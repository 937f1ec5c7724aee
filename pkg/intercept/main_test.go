package intercept

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"chaosgate/pkg/internal/testkit"
)

var (
	soon       = testkit.Soon
	eventually = testkit.Eventually
	must       = testkit.Must
	wantError  = testkit.WantError
)

// link is a port whose connections a proxy carries to a callee.
type link struct {
	*Proxy
	addr    string
	carried *sync.WaitGroup // one a connection
}

func newLink(t *testing.T, f Fault, callee string) link {
	t.Helper()
	p, err := New(f, func(caller net.Addr) bool { return strings.HasPrefix(caller.String(), "127.0.0.2:") })
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	carried := &sync.WaitGroup{}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			carried.Go(func() { p.Carry(near.(*net.TCPConn), callee) })
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		must(t, p.Stop())
	})
	return link{Proxy: p, addr: l.Addr().String(), carried: carried}
}

// served is where a handler answers.
func served(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// said answers "METHOD path, body", of what it was asked.
func said(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	_, _ = io.WriteString(w, r.Method+" "+r.URL.Path+", "+string(body))
}

// ask sends one request with a client that keeps its connections.
func ask(t *testing.T, c *http.Client, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(soon(t), method, url, strings.NewReader(body))
	must(t, err)
	resp, err := c.Do(req)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(text)
}

// caller keeps its connections, as services do.
func caller(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// raw is a connection on which a test says what it likes.
func raw(t *testing.T, addr string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	must(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	return c, bufio.NewReader(c)
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	must(t, err)
}
