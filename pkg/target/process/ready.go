package process

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"chaosgate/pkg/spec"
)

// Polling for readiness begins fast, so that an environment starts fast, and slows down so that a slow service is not kept busy.
const (
	pollFirst = 5 * time.Millisecond
	pollLast  = 50 * time.Millisecond
	pollTry   = time.Second // one attempt
)

// probeReady looks once whether the service is ready: its path answers 2xx, or its port takes connections. It goes to the service itself, past all links.
func (s *service) probeReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollTry)
	defer cancel()
	if s.spec.Ready.HTTP != "" {
		return get(ctx, fmt.Sprintf("http://127.0.0.1:%d%s", s.port(spec.HTTPPort), s.spec.Ready.HTTP))
	}
	if _, ok := entrance(s.spec); !ok {
		return nil // without a port to ask for, started is ready
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.upstream())
	if err != nil {
		return err
	}
	return conn.Close()
}

// readyTried says what probeReady does.
func (s *service) readyTried() string {
	if s.spec.Ready.HTTP != "" {
		return fmt.Sprintf("GET http://127.0.0.1:%d%s", s.port(spec.HTTPPort), s.spec.Ready.HTTP)
	}
	return "a TCP connection to " + s.upstream()
}

// get asks on a fresh connection and is nil only for a 2xx answer.
func get(ctx context.Context, url string) error {
	resp, err := fetch(ctx, nil, url)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the answer was %s", resp.Status)
	}
	return nil
}

// fetch asks on a fresh connection, from an address of this machine (nil: any), and reads the answer to its end.
func fetch(ctx context.Context, from net.Addr, url string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{LocalAddr: from}).DialContext},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if closing := resp.Body.Close(); err == nil {
		err = closing
	}
	return resp, err
}

// pollReady looks until the service is ready or ctx ends; it answers whether it is.
func (s *service) pollReady(ctx context.Context) bool {
	for pause := pollFirst; ; pause = min(pause*3/2, pollLast) {
		if s.probeReady(ctx) == nil {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}
