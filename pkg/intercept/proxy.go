package intercept

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"
)

// Grace is how long requests that are under way when a fault ends may take until their connections are reset.
const Grace = 2 * time.Second

// expectLimit is how long a callee may take to say whether it wants a body that its caller has announced, before it gets it anyway: as long as callers wait. Many never say it.
const expectLimit = time.Second

// Proxy carries connections and does to their requests what its fault says. It is safe for concurrent use.
type Proxy struct {
	fault   Fault
	ours    func(caller net.Addr) bool
	server  *http.Server
	forward *httputil.ReverseProxy
	spoken  *handover // connections that speak HTTP/1.x

	done    chan struct{} // closed when the fault ends
	stop    sync.Once
	failure error
	busy    sync.WaitGroup

	mu   sync.Mutex
	open map[*carried]struct{} // nil after the end

	connections, requests, hit, foreign, in, out atomic.Int64
}

// New makes a proxy, which must be stopped. Connections of callers that are ours meet the fault and are not counted.
func New(f Fault, ours func(caller net.Addr) bool) (*Proxy, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	silent := slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // what goes wrong on a connection its caller sees
	p := &Proxy{fault: f, ours: ours, spoken: newHandover(), done: make(chan struct{}), open: map[*carried]struct{}{}}
	p.forward = &httputil.ReverseProxy{
		Rewrite: rewrite, Transport: toCallee{}, FlushInterval: -1, ErrorLog: silent, ModifyResponse: exact,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	p.server = &http.Server{
		Handler: p, ErrorLog: silent, DisableGeneralOptionsHandler: true,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, carriedKey{}, c) },
		ConnState:   func(c net.Conn, s http.ConnState) { c.(*carried).became(s) },
	}
	p.busy.Go(func() { _ = p.server.Serve(p.spoken) }) // it returns when it is stopped
	return p, nil
}

// Carry carries a connection of a caller until it ends, and closes it. To is the callee's address, to which it connects once there is something to pass on: a callee does not
// wait for what is held or answered, and need not be there. One that does not take the connection shows to the caller as a reset.
func (p *Proxy) Carry(near *net.TCPConn, to string) {
	c := newCarried(p, near, to)
	if !p.add(c) {
		c.reset()
		return
	}
	defer p.remove(c)
	switch spoken, err := speaksHTTP(c.from); {
	case err != nil:
		_ = c.Close() // it has ended before it said anything
	case !spoken:
		p.count(c, &p.foreign)
		c.pass()
	case !p.spoken.give(c):
		c.pass() // the fault has ended meanwhile
	}
	<-c.ended
}

func (p *Proxy) add(c *carried) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		return false
	}
	p.open[c] = struct{}{}
	p.count(c, &p.connections)
	return true
}

func (p *Proxy) remove(c *carried) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// count counts one more, unless the connection is ours.
func (p *Proxy) count(c *carried, what *atomic.Int64) {
	if !c.ours {
		what.Add(1)
	}
}

// Counts answers what has passed so far.
func (p *Proxy) Counts() Counts {
	return Counts{
		Connections: p.connections.Load(), Requests: p.requests.Load(), Hit: p.hit.Load(), Foreign: p.foreign.Load(), BytesIn: p.in.Load(), BytesOut: p.out.Load(),
	}
}

// ServeHTTP implements http.Handler: it answers a request, or holds it and passes it on, or only passes it on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := of(r.Context())
	defer func() {
		if broken := recover(); broken != nil {
			c.reset() // an answer that is not whole must not look as if it was
			panic(broken)
		}
	}()
	p.count(c, &p.requests)
	if p.over() || !p.fault.hits(r.Method, r.URL.Path) {
		p.pass(w, r)
		return
	}
	p.count(c, &p.hit)
	if p.fault.Status != 0 {
		c.answers()
		w.WriteHeader(p.fault.Status)
		return
	}
	held := time.NewTimer(p.fault.hold())
	defer held.Stop()
	select {
	case <-held.C:
	case <-p.done: // what is held when the fault ends goes on at once
	case <-r.Context().Done(): // its caller has said its last, as it does when it waits no longer
		panic(http.ErrAbortHandler)
	}
	p.pass(w, r)
}

// over says whether the fault has ended.
func (p *Proxy) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// pass passes a request on. It lasts as long as the connection: a caller that has said its last, for which a server of HTTP gives up, may still wait for the answer.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request) {
	c := of(r.Context())
	c.answer = w.Header()
	c.passing()
	_ = http.NewResponseController(w).EnableFullDuplex() // else an answer waits for the end of its request, and closes its body; every HTTP/1.x can
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	p.forward.ServeHTTP(once{w}, r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: c.sends, WroteRequest: c.wrote})))
}

// once is an answer on which 100 Continue is said once: the server says it when the body is read, which is when the callee has said it or has had its time.
type once struct{ http.ResponseWriter }

// Unwrap is for flushing and upgrades.
func (o once) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (o once) WriteHeader(status int) {
	if status != http.StatusContinue {
		o.ResponseWriter.WriteHeader(status)
	}
}

// Stop ends the fault. What is held goes on, and connections end after the answers that are under way, within Grace; what remains then, and what does not speak HTTP/1.x or no
// longer does, is reset. It is idempotent and returns when no connection is left.
func (p *Proxy) Stop() error {
	p.stop.Do(func() {
		close(p.done)
		ctx, cancel := context.WithTimeout(context.Background(), Grace)
		defer cancel()
		err := p.server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = nil
		}
		p.mu.Lock()
		left := p.open
		p.open = nil
		p.mu.Unlock()
		for c := range left {
			c.reset()
		}
		p.failure = errors.Join(err, p.server.Close())
		for c := range left {
			<-c.ended
		}
		p.busy.Wait()
	})
	return p.failure
}

// rewrite gives a request the form in which it came.
func rewrite(r *httputil.ProxyRequest) {
	r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.RawQuery = "http", of(r.In.Context()).to, r.In.URL.RawQuery
	r.Out.Host, r.Out.Close, r.Out.Trailer = r.In.Host, r.In.Close, r.In.Trailer
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := r.In.Header[name]; ok {
			r.Out.Header[name] = values
		}
	}
}

// exact passes on that the callee ends the connection after an answer. What the callee does not say about its answer nobody says for it.
func exact(answer *http.Response) error {
	own := of(answer.Request.Context()).answer
	own["Date"], own["Content-Type"] = nil, nil
	if answer.Close {
		answer.Header.Set("Connection", "close")
	}
	return nil
}

// toCallee sends a request on its connection's own way.
type toCallee struct{}

// RoundTrip implements http.RoundTripper.
func (toCallee) RoundTrip(r *http.Request) (*http.Response, error) {
	return of(r.Context()).way.RoundTrip(r)
}
