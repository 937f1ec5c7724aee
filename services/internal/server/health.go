package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// HealthCommand is the argument with which a service asks the one that runs beside it whether it serves. An image with nothing but the service in it has no other
// program that could.
const HealthCommand = "healthcheck"

// healthTimeout bounds the question.
const healthTimeout = 2 * time.Second

// CheckHealth asks /health of the service that listens on host and port of this machine, and returns ExitOK if it answers 200 within 2 s. It says on stderr what it
// met instead.
func CheckHealth(name, host string, port int, stderr io.Writer) int {
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	if err := askHealth(ctx, "http://"+net.JoinHostPort(reachable(host), fmt.Sprint(port))+"/health"); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return ExitError
	}
	return ExitOK
}

func askHealth(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DialContext: new(net.Dialer).DialContext}} // no proxy is between
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s, expected 200", url, resp.Status)
	}
	return nil
}

// reachable is the host to ask where one listens on all addresses.
func reachable(host string) string {
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return "localhost"
	}
	return host
}
