package traffic

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// transport sends requests until stop ends; what is in flight then is given up.
type transport struct {
	stop  context.Context // kept here because the library that makes the requests gives them none
	inner *http.Transport
}

func newTransport(stop context.Context) *transport {
	return &transport{stop: stop, inner: &http.Transport{
		DialContext:         new(net.Dialer).DialContext,
		MaxIdleConnsPerHost: 100,
		IdleConnTimeout:     30 * time.Second,
		DisableCompression:  true,
	}}
}

// sender is the transport of one load, whose requests are counted from sending until their answer has been read.
type sender struct {
	*transport
	counts *counts
	to     *counter
}

// RoundTrip implements http.RoundTripper.
func (t sender) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	forget := context.AfterFunc(t.stop, cancel)
	ended := t.counts.send(t.to)
	release := sync.OnceFunc(func() { forget(); cancel(); ended() })
	req = req.Clone(ctx)
	req.Header.Del("X-Vegeta-Seq") // only what the experiment says is sent
	resp, err := t.inner.RoundTrip(req)
	if err != nil {
		release()
		return nil, err
	}
	resp.Body = &body{ReadCloser: resp.Body, release: release}
	return resp, nil
}

// body keeps the request's context alive until the answer has been read.
type body struct {
	io.ReadCloser
	release func()
}

func (b *body) Close() error {
	defer b.release()
	return b.ReadCloser.Close()
}
