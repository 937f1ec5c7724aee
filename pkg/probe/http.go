package probe

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/mask"
	"chaosgate/pkg/plan"
	"chaosgate/pkg/target"
)

const (
	textLimit  = 64 << 10 // of a text that is kept as evidence
	drainLimit = 1 << 20  // of a body that is read on, to see that it ends
)

// lookHTTP sends one request on a connection of its own, so that it sees the service as it is now. Redirects are answers and are not followed.
// The latency is from before the connection is made until the body has been read.
func lookHTTP(ctx context.Context, d Deps, c plan.Check, _ Window) journal.Observation {
	a, err := exchange(ctx, d, *c.Probe.HTTP)
	if err != nil {
		return failed(err)
	}
	o := journal.Observation{
		Numbers: map[string]float64{"status": float64(a.status), "latency_seconds": a.took.Seconds()},
		Text:    map[string]string{},
	}
	if a.status != 0 {
		o.Text["body"] = a.body
	}
	if a.problem != "" {
		o.Text["problem"] = a.problem
	}
	return o
}

// answer is what came of a request. Status is 0 if there was no answer; Problem says what a caller would have suffered.
type answer struct {
	status  int
	body    string
	problem string
	took    time.Duration
}

// exchange sends one request. An error means that nothing can be said about the service.
func exchange(ctx context.Context, d Deps, h plan.HTTP) (answer, error) {
	base, err := d.Environment.URL(h.Service)
	if err != nil {
		return answer{}, err
	}
	req, err := target.NewRequest(ctx, base, h.Method, h.Path, d.headers(h.Headers), h.Body)
	if err != nil {
		return answer{}, err
	}
	transport := &http.Transport{DialContext: new(net.Dialer).DialContext, DisableKeepAlives: true, DisableCompression: true}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var a answer
	begun := time.Now()
	resp, err := client.Do(req)
	if err == nil {
		a.status = resp.StatusCode
		a.body, err = readBody(resp.Body)
		a.body = d.Secrets.Head(a.body, textLimit)
	}
	a.took = time.Since(begun)
	if err == nil {
		return a, nil
	}
	sentence, ofService := problem(ctx, err, begun)
	if !ofService {
		return answer{}, errors.New(sentence)
	}
	if a.status != 0 {
		sentence = "the answer broke off: " + sentence
	}
	a.problem = sentence
	return a, nil
}

// headers are those of a request with its secrets filled in.
func (d Deps) headers(written map[string]string) map[string]string {
	if d.Reveal == nil {
		return written
	}
	all := make(map[string]string, len(written))
	for name, v := range written {
		all[name] = d.Reveal(v)
	}
	return all
}

// readBody keeps the first 64 KiB, and what it takes to recognize a secret at their end, and reads on for a bounded while.
func readBody(body io.ReadCloser) (string, error) {
	defer body.Close()
	kept, err := io.ReadAll(io.LimitReader(body, textLimit+mask.Spare))
	if err == nil {
		_, err = io.CopyN(io.Discard, body, drainLimit)
	}
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return string(kept), err
}

// problem puts an error of the network in a caller's words, and says whether it tells something about the service.
func problem(ctx context.Context, err error, begun time.Time) (sentence string, ofService bool) {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	var timeout net.Error
	switch {
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return ended(ctx, begun)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused", true
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset", true
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed too early", true
	default:
		return err.Error(), true
	}
}
