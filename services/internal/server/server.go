// Package server runs an HTTP service from its listener to its drained end, the same way for both services.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"
)

// Exit codes of the services.
const (
	ExitOK    = 0
	ExitError = 1 // the service could not run, for example because its port is taken
	ExitUsage = 2 // a setting is wrong
)

// drainFor is how long requests under way may still take once the service was told to stop.
const drainFor = 2 * time.Second

// Run serves handler on host and port until SIGTERM or SIGINT, drains, and returns an exit code. A second signal ends the
// process at once. Problems go to stderr as sentences, events as JSON lines through log.
func Run(name, host string, port int, handler http.Handler, log *slog.Logger, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop)
	listener, err := net.Listen("tcp", net.JoinHostPort(host, fmt.Sprint(port)))
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v; HOST and PORT choose another address\n", name, err)
		return ExitError
	}
	if err := Serve(ctx, listener, handler, log); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return ExitError
	}
	return ExitOK
}

// Serve answers on listener until ctx ends, then stops listening and gives requests under way 2 s to finish; what is left
// after that is cut off and logged. It closes the listener.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, log *slog.Logger) error {
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute, // longer than any client keeps an idle connection, so that the client closes first
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelError),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(listener) }()
	log.Info("listening", "addr", listener.Addr().String())
	select {
	case err := <-served:
		return fmt.Errorf("serving on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	log.Info("stopping", "drain", drainFor.String())
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainFor)
	defer cancel()
	switch err := srv.Shutdown(drain); {
	case errors.Is(err, context.DeadlineExceeded):
		log.Warn("requests were cut off after the drain")
		return srv.Close()
	case err != nil:
		return fmt.Errorf("shutting down: %w", err)
	}
	log.Info("stopped")
	return nil
}

// JSON answers with body as JSON. A body that cannot be encoded is a defect of the service and answers 500.
func JSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "encoding the answer: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(b, '\n')) // an error here means that the caller is gone
}

// Failure is the body of every answer that is not a success.
type Failure struct {
	Error string `json:"error"`
	Kind  string `json:"kind"`
}

// MaxKey is the longest key and request id taken, in bytes.
const MaxKey = 64

// Key is the request's key parameter, by default "default"; an error when it is too long.
func Key(r *http.Request) (string, error) {
	key := r.URL.Query().Get("key")
	if key == "" {
		key = "default"
	}
	if len(key) > MaxKey {
		return "", fmt.Errorf("key has %d bytes, want at most %d", len(key), MaxKey)
	}
	return key, nil
}
