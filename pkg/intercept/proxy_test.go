package intercept

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Requests that are meant are answered without the callee, on the connection on which others pass; each is counted, but those of our own.
func TestAbort(t *testing.T) {
	var reached atomic.Int64
	callee := served(t, func(w http.ResponseWriter, r *http.Request) {
		reached.Add(1)
		said(w, r)
	})
	l := newLink(t, Fault{Method: "POST", Path: "/work*", Probability: 1, Status: 502}, callee)
	c := caller(t)
	for range 3 {
		if status, body := ask(t, c, "POST", "http://"+l.addr+"/work?key=1", "x"); status != 502 || body != "" {
			t.Errorf("got %d %q", status, body)
		}
		if status, body := ask(t, c, "GET", "http://"+l.addr+"/work", ""); status != 200 || body != "GET /work, " {
			t.Errorf("got %d %q", status, body)
		}
	}
	got := l.Counts()
	if got.Requests != 6 || got.Hit != 3 || got.Connections != 1 || got.Foreign != 0 || got.BytesIn < 300 || got.BytesOut < 300 || reached.Load() != 3 {
		t.Errorf("counted %+v, the callee %d", got, reached.Load())
	}
	from := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext}
	defer from.CloseIdleConnections()
	if status, _ := ask(t, &http.Client{Transport: from}, "POST", "http://"+l.addr+"/work", ""); status != 502 {
		t.Errorf("our own request got %d", status)
	}
	if now := l.Counts(); now != got {
		t.Errorf("our own request is counted: %+v after %+v", now, got)
	}
}

// Of many requests about the part is hit that was asked for.
func TestProbability(t *testing.T) {
	l := newLink(t, Fault{Probability: 0.3, Status: 500}, served(t, said))
	c := caller(t)
	const all = 600
	hit := 0
	for range all {
		if status, _ := ask(t, c, "GET", "http://"+l.addr+"/", ""); status == 500 {
			hit++
		}
	}
	if got := l.Counts(); hit < all/5 || hit > all*2/5 || got.Hit != int64(hit) || got.Requests != all {
		t.Errorf("%d of %d were hit; counted %+v", hit, all, got)
	}
}

// A delay holds the requests that are meant and no others, and what it holds at its end goes on at once.
func TestDelay(t *testing.T) {
	const delay = 100 * time.Millisecond
	callee := served(t, said)
	l := newLink(t, Fault{Path: "/slow", Probability: 1, Delay: delay, Jitter: 20 * time.Millisecond}, callee)
	c := caller(t)
	for path, least := range map[string]time.Duration{"/slow": delay - 20*time.Millisecond, "/fast": 0} {
		began := time.Now()
		status, _ := ask(t, c, "GET", "http://"+l.addr+path, "")
		if took := time.Since(began); status != 200 || took < least {
			t.Errorf("%s: %d after %v", path, status, took)
		}
	}
	if got := l.Counts(); got.Requests != 2 || got.Hit != 1 {
		t.Errorf("counted %+v", got)
	}
	l = newLink(t, Fault{Probability: 1, Delay: time.Minute}, callee)
	answered := make(chan string, 1)
	go func() {
		_, body := ask(t, c, "POST", "http://"+l.addr+"/held", "word")
		answered <- body
	}()
	eventually(t, "the request is held", func() bool { return l.Counts().Hit == 1 })
	must(t, l.Stop())
	if body := <-answered; body != "POST /held, word" {
		t.Errorf("what was held got %q", body)
	}
}

// What is passed on is as it was, both ways.
func TestWhatPassesIsUnchanged(t *testing.T) {
	var got *http.Request
	var trailer string
	callee := served(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got, trailer = r, r.Trailer.Get("X-Sum")
		w.Header()["Date"] = nil
		w.Header()["Content-Type"] = nil
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.Header().Set("Trailer", "X-End")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write(body)
		w.(http.Flusher).Flush()
		w.Header().Set("X-End", "over")
	})
	l := newLink(t, Fault{Path: "/none", Probability: 1, Status: 500}, callee)
	const asked = "POST /a%2Fb//c?q=%zz;x&e HTTP/1.1\r\nHost: shop.example:81\r\nX-Forwarded-For: 10.0.0.9\r\nForwarded: for=10.0.0.9\r\nX-Forwarded-Proto: https\r\n" +
		"Accept-Encoding: br\r\nConnection: close\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nword\r\n0\r\nX-Sum: 42\r\n\r\n"
	answers := map[string]string{}
	for name, addr := range map[string]string{"straight": callee, "through": l.addr} {
		conn, r := raw(t, addr)
		send(t, conn, asked)
		text, err := io.ReadAll(r)
		must(t, err)
		lines := strings.SplitAfter(string(text), "\r\n")
		slices.Sort(lines) // headers come in any order
		answers[name] = strings.Join(lines, "")
		if got.RequestURI != "/a%2Fb//c?q=%zz;x&e" || got.Host != "shop.example:81" || trailer != "42" || !got.Close || got.Header.Get("Accept-Encoding") != "br" ||
			got.Header.Get("X-Forwarded-For") != "10.0.0.9" || got.Header.Get("Forwarded") != "for=10.0.0.9" || got.Header.Get("X-Forwarded-Proto") != "https" || len(got.Header) != 5 {
			t.Errorf("%s: %s %s, trailer %q, close %v, headers %v", name, got.RequestURI, got.Host, trailer, got.Close, got.Header)
		}
	}
	if answers["straight"] != answers["through"] || !strings.Contains(answers["through"], "X-End: over") || !strings.Contains(answers["through"], "103 Early Hints") {
		t.Errorf("through the link there came\n%s\ninstead of\n%s", answers["through"], answers["straight"])
	}
}

// A stream passes as it comes, and large bodies of many callers at once pass whole, both ways.
func TestStreamsAndLargeBodies(t *testing.T) {
	next := make(chan struct{})
	callee := served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			_, _ = io.Copy(w, r.Body)
			return
		}
		for n := range 3 {
			fmt.Fprintf(w, "%d\n", n)
			w.(http.Flusher).Flush()
			<-next
		}
	})
	l := newLink(t, Fault{Path: "/none", Probability: 1, Status: 500}, callee)
	conn, r := raw(t, l.addr)
	send(t, conn, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
	answer, err := http.ReadResponse(r, nil)
	must(t, err)
	for n := range 3 {
		line := make([]byte, 2)
		if _, err := io.ReadFull(answer.Body, line); err != nil || string(line) != fmt.Sprintf("%d\n", n) {
			t.Fatalf("got %q, %v", line, err)
		}
		next <- struct{}{} // it was not sent before
	}
	c := caller(t)
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			sent := strings.Repeat(fmt.Sprintf("%d-abcdef", n), 1<<18) // 2 MiB
			if status, body := ask(t, c, "PUT", "http://"+l.addr+"/large", sent); status != 200 || body != sent {
				t.Errorf("%d: %d bytes of %d came back", status, len(body), len(sent))
			}
		})
	}
	all.Wait()
}

// A body that is announced is sent if the callee wants it, and if the request is answered instead nobody waits for it.
func TestExpectContinue(t *testing.T) {
	l := newLink(t, Fault{Path: "/hit", Probability: 1, Status: 503}, served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refused" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		said(w, r)
	}))
	for path, want := range map[string]string{"/wanted": "100 200", "/refused": "417", "/hit": "503"} {
		conn, r := raw(t, l.addr)
		send(t, conn, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
		answer, err := http.ReadResponse(r, nil)
		must(t, err)
		got := fmt.Sprint(answer.StatusCode)
		if answer.StatusCode == http.StatusContinue {
			send(t, conn, "word")
			answer, err = http.ReadResponse(r, nil)
			must(t, err)
			got += fmt.Sprint(" ", answer.StatusCode)
			if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "POST /wanted, word" {
				t.Errorf("%s: %q, %v", path, body, err)
			}
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

// An answer may begin before its request has ended, and neither breaks the other.
func TestAnAnswerBeforeTheEndOfItsRequest(t *testing.T) {
	l := newLink(t, Fault{Path: "/hit", Probability: 1, Status: 503}, served(t, func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).EnableFullDuplex(); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		_, _ = io.Copy(w, r.Body)
	}))
	conn, r := raw(t, l.addr)
	send(t, conn, "POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nword")
	answer, err := http.ReadResponse(r, nil)
	must(t, err)
	send(t, conn, "word")
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "wordword" {
		t.Errorf("got %q, %v", body, err)
	}
}

// A callee that waits for the body without a word gets it, as from callers that wait only so long. If it says it wants the body then, the caller does not hear so twice.
func TestACalleeThatSaysContinueLate(t *testing.T) {
	back, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer back.Close()
	go func() {
		c, err := back.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		for line := ""; line != "\r\n" && err == nil; {
			line, err = r.ReadString('\n')
		}
		body := make([]byte, 4)
		if _, err := io.ReadFull(r, body); err == nil {
			fmt.Fprintf(c, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%s", body)
		}
	}()
	l := newLink(t, Fault{Path: "/hit", Probability: 1, Status: 503}, back.Addr().String())
	conn, r := raw(t, l.addr)
	send(t, conn, "POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
	answer, err := http.ReadResponse(r, nil)
	must(t, err)
	if answer.StatusCode != http.StatusContinue {
		t.Fatalf("got %d", answer.StatusCode)
	}
	send(t, conn, "word")
	answer, err = http.ReadResponse(r, nil)
	must(t, err)
	if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != 200 || string(body) != "word" {
		t.Errorf("got %d %q, %v", answer.StatusCode, body, err)
	}
}

// A caller that ends its half of a connection after its request gets the answer. The callee hears of that end as of any other, and may do what it likes about it.
func TestACallerThatEnds(t *testing.T) {
	heard := make(chan string, 1)
	callee := served(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, "begun ")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		_, _ = w.Write(body)
		heard <- r.URL.Path
	})
	l := newLink(t, Fault{Path: "/held", Probability: 1, Delay: time.Minute}, callee)
	for path, end := range map[string]func(*net.TCPConn) error{
		"/half": (*net.TCPConn).CloseWrite, "/close": (*net.TCPConn).Close, "/reset": func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) },
	} {
		for _, addr := range []string{callee, l.addr} {
			conn, r := raw(t, addr)
			send(t, conn, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nword")
			answer, err := http.ReadResponse(r, nil)
			must(t, err)
			must(t, end(conn.(*net.TCPConn)))
			select {
			case got := <-heard:
				if got != path {
					t.Errorf("%s: the callee heard of the end of %s", path, got)
				}
			case <-soon(t).Done():
				t.Fatalf("%s: the callee hears nothing of it", path)
			}
			if path != "/half" {
				continue
			}
			if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "begun word" {
				t.Errorf("got %q, %v", body, err)
			}
			if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("after the answer: %v", err)
			}
		}
	}
	early, r := raw(t, l.addr)
	send(t, early, "GET /half HTTP/1.1\r\nHost: x\r\n\r\n")
	must(t, early.(*net.TCPConn).CloseWrite()) // at once
	if answer, err := io.ReadAll(r); err != nil || !strings.Contains(string(answer), "begun ") || <-heard != "/half" {
		t.Errorf("got %q, %v", answer, err)
	}
	held, r := raw(t, l.addr)
	send(t, held, "GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "it is held", func() bool { return l.Counts().Hit == 1 })
	must(t, held.(*net.TCPConn).CloseWrite())
	if _, err := r.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("what is held: %v", err)
	}
}

// An upgrade is passed on, and is the caller's and the callee's own from then on.
func TestUpgrade(t *testing.T) {
	l := newLink(t, Fault{Path: "/none", Probability: 1, Status: 500}, served(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_, _ = io.Copy(conn, rw)
		_ = conn.Close()
	}))
	conn, r := raw(t, l.addr)
	send(t, conn, "GET /up HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	answer, err := http.ReadResponse(r, nil)
	must(t, err)
	const word = "GET /none HTTP/1.1\r\n\r\n"
	send(t, conn, word)
	back := make([]byte, len(word))
	if _, err := io.ReadFull(r, back); err != nil || answer.StatusCode != 101 || string(back) != word {
		t.Errorf("got %d, %q, %v", answer.StatusCode, back, err)
	}
	must(t, l.Stop())
	if _, err := r.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("at the end of the fault: %v", err)
	}
}

// What does not speak HTTP/1.x passes as it is, and is counted.
func TestForeignConnectionsPass(t *testing.T) {
	back, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer back.Close()
	go func() {
		for {
			c, err := back.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	l := newLink(t, Fault{Probability: 1, Status: 500}, back.Addr().String())
	foreign := []string{"\x16\x03\x01\x00\xa5\x01", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "get / HTTP/1.1\r\n\r\n", "QUIT", " /", strings.Repeat("A", 100), "\r\n"}
	for n, text := range foreign {
		conn, r := raw(t, l.addr)
		send(t, conn, text)
		must(t, conn.(*net.TCPConn).CloseWrite())
		if got, err := io.ReadAll(r); err != nil || string(got) != text {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
		if got := l.Counts(); got.Foreign != int64(n+1) || got.Requests != 0 || got.Hit != 0 {
			t.Errorf("%q: counted %+v", text, got)
		}
	}
	conn, _ := raw(t, l.addr) // says nothing
	must(t, conn.Close())
	conn, r := raw(t, l.addr)
	send(t, conn, "\x00open")
	_, err = io.ReadFull(r, make([]byte, 5))
	must(t, err)
	must(t, l.Stop())
	if _, err := r.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("at the end of the fault: %v", err)
	}
}

// A callee that ends its connection ends the caller's: while it rests, after an answer, and in the middle of one, which does not look whole.
func TestTheCalleesEndIsPassedOn(t *testing.T) {
	l := newLink(t, Fault{Path: "/hit", Probability: 1, Status: 500}, served(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/last":
			w.Header().Set("Connection", "close")
		case "/half", "/never":
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			if r.URL.Path == "/half" {
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\nhalf of it")
				_ = conn.(*net.TCPConn).SetLinger(0)
			}
			_ = conn.Close()
		}
	}))
	conn, r := raw(t, l.addr)
	send(t, conn, "GET /last HTTP/1.1\r\nHost: x\r\n\r\n")
	answer, err := http.ReadResponse(r, nil)
	if err != nil || !answer.Close {
		t.Fatalf("got %+v, %v", answer, err)
	}
	if _, err := io.ReadAll(r); err != nil {
		t.Errorf("after the last answer: %v", err)
	}
	for _, path := range []string{"/half", "/never"} {
		conn, r := raw(t, l.addr)
		send(t, conn, "GET "+path+" HTTP/1.0\r\n\r\n")
		if got, err := io.ReadAll(r); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: got %q, %v, want a reset", path, got, err)
		}
	}
}

// A callee that stops ends its connections that rest, and so do the callers'.
func TestACalleeThatStops(t *testing.T) {
	s := &http.Server{Handler: http.HandlerFunc(said)}
	back, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go func() { _ = s.Serve(back) }()
	l := newLink(t, Fault{Path: "/hit", Probability: 1, Status: 500}, back.Addr().String())
	conn, r := raw(t, l.addr)
	send(t, conn, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
	answer, err := http.ReadResponse(r, nil)
	must(t, err)
	_, err = io.ReadAll(answer.Body)
	must(t, err)
	must(t, s.Close())
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the connection that rests: %v", err)
	}
}

// At the end of a fault connections that rest are ended, an answer that is under way is finished, and what takes too long is reset.
func TestStop(t *testing.T) {
	finish := make(chan struct{})
	l := newLink(t, Fault{Path: "/hit", Probability: 1, Status: 500}, served(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "begun ")
		w.(http.Flusher).Flush()
		switch r.URL.Path {
		case "/short":
			<-finish
		case "/long":
			<-r.Context().Done()
		}
		_, _ = w.Write(bytes.Repeat([]byte("x"), 1<<20))
	}))
	read := map[string]*http.Response{}
	for _, path := range []string{"/rests", "/short", "/long"} {
		conn, r := raw(t, l.addr)
		send(t, conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		answer, err := http.ReadResponse(r, nil)
		must(t, err)
		_, err = io.ReadFull(answer.Body, make([]byte, len("begun ")))
		must(t, err)
		if path == "/rests" {
			_, err = io.Copy(io.Discard, answer.Body)
			must(t, err)
			answer.Body = io.NopCloser(r)
		}
		read[path] = answer
	}
	silent, _ := raw(t, l.addr)
	eventually(t, "all are carried", func() bool { return l.Counts().Connections == 4 })
	stopped := make(chan error, 1)
	began := time.Now()
	go func() { stopped <- l.Stop() }()
	if n, err := io.Copy(io.Discard, read["/rests"].Body); n != 0 || err != nil {
		t.Errorf("the one that rests: %d, %v", n, err)
	}
	close(finish)
	if n, err := io.Copy(io.Discard, read["/short"].Body); n != 1<<20 || err != nil {
		t.Errorf("the answer that was under way: %d bytes, %v", n, err)
	}
	if _, err := io.Copy(io.Discard, read["/long"].Body); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the one that takes too long: %v", err)
	}
	must(t, <-stopped)
	if took := time.Since(began); took < Grace || took > Grace+5*time.Second {
		t.Errorf("it took %v", took)
	}
	if _, err := silent.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the one that said nothing: %v", err)
	}
	must(t, l.Stop()) // once more
	late, err := net.Dial("tcp", l.addr)
	if err == nil { // it may be reset before it is known to be there
		_, err = late.Read(make([]byte, 1))
		_ = late.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a connection that comes too late: %v", err)
	}
}

// A transport that lets go of its connection, though the callee has not ended it, gets another one; but not for a request that was sent, nor after the end.
func TestAnotherConnectionToTheCallee(t *testing.T) {
	back, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer back.Close()
	accepted := make(chan net.Conn, 2)
	go func() {
		for range 2 {
			if c, err := back.Accept(); err == nil {
				accepted <- c
			}
		}
	}()
	p, err := New(Fault{Probability: 1, Status: 500}, func(net.Addr) bool { return false })
	must(t, err)
	defer func() { must(t, p.Stop()) }()
	c := newCarried(p, pipe(t), back.Addr().String())
	first, err := c.dial(soon(t), "", "")
	must(t, err)
	must(t, first.Close())
	_ = (<-accepted).Close()
	c.sends()
	if _, err := c.dial(soon(t), "", ""); !errors.Is(err, errGone) {
		t.Errorf("for a request that was sent: %v", err)
	}
	c.passing()
	second, err := c.dial(soon(t), "", "")
	must(t, err)
	_ = (<-accepted).Close()
	if _, err := second.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the callee has ended it: %v", err)
	}
	<-c.ended // as no request was under way
	if _, err := c.dial(soon(t), "", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// A callee that waits for its next request only so long does not wait for one that is held or answered: it is connected to when there is something to pass on, and again if it
// has ended its connection meanwhile.
func TestTheCalleeDoesNotWait(t *testing.T) {
	var conns atomic.Int64
	callee := httptest.NewUnstartedServer(http.HandlerFunc(said))
	callee.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	callee.Start()
	defer callee.Close()
	ends := func(t *testing.T, l link) {
		callee.CloseClientConnections()
		eventually(t, "the callee's end is seen", func() bool { return lone(l.Proxy) == 1 })
	}
	gets := func(r *bufio.Reader) string {
		answer, err := http.ReadResponse(r, nil)
		if err != nil {
			return err.Error()
		}
		body, err := io.ReadAll(answer.Body)
		must(t, err)
		return fmt.Sprint(answer.StatusCode, " ", string(body))
	}
	post := func(path string) string {
		return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nword"
	}
	t.Run("answered", func(t *testing.T) {
		conns.Store(0)
		l := newLink(t, Fault{Path: "/hit", Probability: 1, Status: 503}, callee.Listener.Addr().String())
		conn, r := raw(t, l.addr)
		for n, want := range []int64{0, 1, 1, 2} {
			path, wanted := "/hit", "503 "
			if n%2 == 1 {
				path, wanted = "/other", "200 POST /other, word"
			}
			send(t, conn, post(path))
			if got := gets(r); got != wanted || conns.Load() != want {
				t.Errorf("%d: got %q, and there were %d connections, want %d", n, got, conns.Load(), want)
			}
			if n == 2 {
				ends(t, l)
			}
		}
	})
	t.Run("held", func(t *testing.T) {
		conns.Store(0)
		l := newLink(t, Fault{Path: "/hit", Probability: 1, Delay: time.Minute}, callee.Listener.Addr().String())
		fresh, first := raw(t, l.addr)
		send(t, fresh, post("/hit"))
		eventually(t, "it is held", func() bool { return l.Counts().Hit == 1 })
		if n := conns.Load(); n != 0 {
			t.Errorf("the callee has %d connections", n)
		}
		kept, second := raw(t, l.addr)
		send(t, kept, post("/other"))
		if got := gets(second); got != "200 POST /other, word" {
			t.Errorf("got %q", got)
		}
		send(t, kept, post("/hit"))
		eventually(t, "it is held as well", func() bool { return l.Counts().Hit == 2 })
		ends(t, l)
		must(t, l.Stop())
		for _, r := range []*bufio.Reader{first, second} {
			if got := gets(r); got != "200 POST /hit, word" {
				t.Errorf("what was held got %q", got)
			}
		}
	})
}

// lone counts the connections whose callee has ended its own.
func lone(p *Proxy) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		c.mu.Lock()
		if c.lone {
			n++
		}
		c.mu.Unlock()
	}
	return n
}

// A callee that is down is not needed for what is answered; what is passed on to it is reset.
func TestACalleeThatIsDown(t *testing.T) {
	down, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, down.Close())
	l := newLink(t, Fault{Path: "/hit", Probability: 1, Status: 503}, down.Addr().String())
	conn, r := raw(t, l.addr)
	send(t, conn, "GET /hit HTTP/1.1\r\nHost: x\r\n\r\n")
	if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != 503 {
		t.Errorf("got %+v, %v", answer, err)
	}
	send(t, conn, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := r.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("what was passed on: %v", err)
	}
	conn, r = raw(t, l.addr)
	send(t, conn, "\x16\x03")
	if _, err := r.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("what is not HTTP: %v", err)
	}
	if got := l.Counts(); got.Requests != 2 || got.Hit != 1 || got.Foreign != 1 || got.Connections != 2 {
		t.Errorf("counted %+v", got)
	}
}

// The end of a fault does not wait for a callee that takes no connections for longer than for one that does not answer.
func TestStopWhileConnecting(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	must(t, err)
	defer syscall.Close(fd)
	must(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(t, syscall.Listen(fd, 0)) // one connection fills it
	at, err := syscall.Getsockname(fd)
	must(t, err)
	callee := fmt.Sprintf("127.0.0.1:%d", at.(*syscall.SockaddrInet4).Port)
	raw(t, callee)
	l := newLink(t, Fault{Path: "/hit", Probability: 1, Status: 503}, callee)
	request, asked := raw(t, l.addr)
	send(t, request, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n")
	foreign, said := raw(t, l.addr)
	send(t, foreign, "\x16\x03")
	eventually(t, "both have come", func() bool { got := l.Counts(); return got.Requests == 1 && got.Foreign == 1 })
	began := time.Now()
	must(t, l.Stop())
	l.carried.Wait() // as whoever has the connections carried does
	if took := time.Since(began); took < Grace || took > Grace+2*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, r := range []*bufio.Reader{asked, said} {
		if _, err := r.ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v", err)
		}
	}
}

// pipe is an end of a connection whose other end is kept open.
func pipe(t *testing.T) *net.TCPConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	raw(t, l.Addr().String())
	c, err := l.Accept()
	must(t, err)
	return c.(*net.TCPConn)
}
