// Package intercept does something to the HTTP requests of a link: it answers some of them instead of the callee, or holds them before they are passed on. It knows nothing
// of chaos, nor of how connections come to it.
//
// What is passed on is as it was: headers, Host, bodies as they stream, trailers, Expect: 100-continue and upgrades. Each connection of a caller has one to the callee, which is
// made when there is something to pass on, and ends with it. A connection that does not speak HTTP/1.x (TLS, HTTP/2, gRPC) passes untouched, and is counted as such.
package intercept

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// Fault is what becomes of which requests. The zero value is none.
type Fault struct {
	// Which requests: of a method, if one is given, and to a path: exactly that one or, with a * at its end, all that begin so. A path is compared as it is once it is
	// decoded, without the query.
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
	// Probability is of each of these by itself, above 0 and at most 1.
	Probability float64 `json:"probability,omitempty"`

	Status int           `json:"status,omitempty"` // they are answered with
	Delay  time.Duration `json:"delay,omitempty"`  // they are held for, before they are passed on
	Jitter time.Duration `json:"jitter,omitempty"` // up and down, evenly distributed
}

// On says whether it is a fault at all.
func (f Fault) On() bool { return f != Fault{} }

// maxDelay keeps a request from being held longer than any caller waits.
const maxDelay = 10 * time.Minute

// Check says whether a fault makes sense.
func (f Fault) Check() error {
	switch {
	case math.IsNaN(f.Probability) || f.Probability <= 0 || f.Probability > 1:
		return fmt.Errorf("probability is %v, expected a part above 0 and at most 1", f.Probability)
	case f.Status != 0 && f.Delay != 0, f.Status == 0 && f.Delay == 0:
		return errors.New("requests are either answered or held: expected a status or a delay")
	case f.Status != 0 && (f.Status < 400 || f.Status > 599):
		return fmt.Errorf("status is %d, expected 400 to 599", f.Status)
	case f.Delay < 0 || f.Delay > maxDelay:
		return fmt.Errorf("delay is %v, expected at most %v", f.Delay, maxDelay)
	case f.Jitter < 0 || f.Jitter > f.Delay:
		return fmt.Errorf("jitter is %v, expected at most the delay of %v", f.Jitter, f.Delay)
	}
	return CheckPath(f.Path)
}

// CheckPath says whether a path is one that a request can have; empty is any.
func CheckPath(path string) error {
	switch {
	case path == "":
		return nil
	case !strings.HasPrefix(path, "/"):
		return fmt.Errorf("path %q does not begin with /", path)
	case strings.Contains(strings.TrimSuffix(path, "*"), "*"):
		return fmt.Errorf("path %q has a * that is not its end: with one at its end it means all paths that begin so", path)
	case strings.ContainsAny(path, "?#"):
		return fmt.Errorf("path %q has a query: requests are told by their path without it", path)
	}
	return nil
}

// Matches says whether requests of a method to a path are meant.
func (f Fault) Matches(method, path string) bool {
	if f.Method != "" && f.Method != method {
		return false
	}
	beginning, all := strings.CutSuffix(f.Path, "*")
	return f.Path == "" || path == f.Path || all && strings.HasPrefix(path, beginning)
}

// hits says whether a request meets the fault: by what it is, and by chance.
func (f Fault) hits(method, path string) bool {
	return f.Matches(method, path) && (f.Probability >= 1 || rand.Float64() < f.Probability)
}

// hold is how long one request is held.
func (f Fault) hold() time.Duration {
	return f.Delay + time.Duration((2*rand.Float64()-1)*float64(f.Jitter))
}

// Counts is what has passed so far, without connections of our own.
type Counts struct {
	Connections int64 `json:"connections"`
	Requests    int64 `json:"requests"`
	Hit         int64 `json:"hit"`     // requests that were answered or held
	Foreign     int64 `json:"foreign"` // connections that do not speak HTTP/1.x
	BytesIn     int64 `json:"bytes_in"`
	BytesOut    int64 `json:"bytes_out"`
}
