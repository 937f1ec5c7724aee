package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/docker/docker/client"
	"golang.org/x/sys/unix"

	"chaosgate/pkg/target"
)

// An engine that goes away in the middle of a run is waited for so long, because it is most often started again at once, and only then can be undone what it has done.
const (
	returnsWithin = 15 * time.Second
	dialAgain     = 100 * time.Millisecond
)

// attendance makes connections to an engine, and waits for one that is away. It is safe for concurrent use.
type attendance struct {
	network, address string
	lost             func(error) // is told once of each absence

	mu    sync.Mutex
	met   bool      // before that nobody is waited for
	since time.Time // it is away; zero: it is not
}

// attend answers how to connect to an engine with its absences noticed.
func (e Endpoint) attend(lost func(error)) (*attendance, error) {
	at, err := client.ParseHostURL(e.Host)
	if err != nil {
		return nil, err
	}
	return &attendance{network: at.Scheme, address: at.Host, lost: lost}, nil
}

// dial is a client's: whatever address is asked for, it is the engine's.
func (a *attendance) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, a.network, a.address)
		if err == nil || !absent(err) {
			a.there(err)
			return conn, err
		}
		if !a.waits(err) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(dialAgain):
		}
	}
}

// absent says whether an error means that nobody listens.
func absent(err error) bool { return errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.ENOENT) }

// meet notes that the engine was there.
func (a *attendance) meet() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.met = true
}

func (a *attendance) there(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.since = time.Time{}
	}
}

// waits notes that the engine is away, and answers whether it is waited for.
func (a *attendance) waits(err error) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.met {
		return false
	}
	if a.since.IsZero() {
		a.since = time.Now()
		a.lost(err)
	}
	return time.Since(a.since) < returnsWithin
}

// lost tells, once, that the engine is away or was: what happens to the containers meanwhile nobody sees, and without live restore it ends them.
func (e *Environment) lost(err error) {
	e.loss.Do(func() {
		e.events.Add(target.Event{Time: time.Now(), Type: target.Lost, Detail: fmt.Sprintf("the Docker engine at %s went away: %v", e.opts.Endpoint.Host, err)})
	})
}
