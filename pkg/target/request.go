package target

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// NewRequest makes a request to a service. Base is the service's URL as Environment.URL answers it; path may have a query and cannot lead to
// another host. An error says what is wrong with the request, not with the service.
func NewRequest(ctx context.Context, base, method, path string, headers map[string]string, body string) (*http.Request, error) {
	u, err := join(base, path)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, u, strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("cannot make the request: %w", err)
	}
	for name, v := range headers {
		if name == "" || strings.ContainsAny(name, " :\r\n\x00") || strings.ContainsAny(v, "\r\n\x00") {
			return nil, fmt.Errorf("cannot make the request: %q, or its value, is not a valid header", name)
		}
		req.Header.Set(name, v)
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	return req, nil
}

func join(base, path string) (string, error) {
	if !strings.HasPrefix(path, "/") {
		return "", fmt.Errorf("path %q does not begin with /", path)
	}
	at, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	if at.Host == "" || at.Scheme != "http" && at.Scheme != "https" {
		return "", fmt.Errorf("%q is not the URL of a service: expected http(s)://host:port", base)
	}
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return "", err
	}
	u.Scheme, u.Host = at.Scheme, at.Host
	return u.String(), nil
}
