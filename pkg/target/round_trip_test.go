package target

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// A connection that has met its deadline says so at times before the context does: it is silence all the same, and no error of the peer.
func TestADeadlineThatIsMetBeforeItsContext(t *testing.T) {
	early := &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	soon := 20 * time.Millisecond
	for name, c := range map[string]struct {
		whole, within time.Duration
		err, want     error
	}{
		"the limit's":          {time.Minute, soon, early, ErrUnanswered},
		"the whole's":          {soon, time.Minute, early, context.DeadlineExceeded},
		"an error of the peer": {time.Minute, time.Minute, refused, syscall.ECONNREFUSED},
	} {
		whole, cancel := context.WithTimeout(t.Context(), c.whole)
		defer cancel()
		limit, cancel := context.WithTimeout(whole, c.within)
		defer cancel()
		if err := unanswered(whole, limit, c.within, c.err); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}
