package target

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Polling for readiness begins fast, so that an environment is ready fast, and slows down so that a slow service is not kept busy.
const (
	pollFirst = 5 * time.Millisecond
	pollLast  = 50 * time.Millisecond
	pollTry   = time.Second // one attempt
)

// dialer makes a connection.
type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// fetch sends a GET on a fresh connection and reads the answer to its end. A redirect is an answer.
func fetch(ctx context.Context, dial dialer, url string) (*http.Response, error) {
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, DialContext: dial},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
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

// AskReady looks once whether something is ready: its URL answers 2xx or, where there is none, its address (host:port) takes a connection. It waits for at most a second.
func AskReady(ctx context.Context, url, address string) error {
	ctx, cancel := context.WithTimeout(ctx, pollTry)
	defer cancel()
	if url == "" {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	resp, err := fetch(ctx, (&net.Dialer{}).DialContext, url)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the answer was %s", resp.Status)
	}
	return nil
}

// PollReady asks until the answer is nil or ctx ends; it answers the last answer.
func PollReady(ctx context.Context, ask func(context.Context) error) error {
	for pause := pollFirst; ; pause = min(pause*3/2, pollLast) {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}
