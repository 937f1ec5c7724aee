package process

import (
	"context"
	"fmt"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// probeReady looks once whether the service is ready: its path answers 2xx, or its port takes connections. It goes to the service itself, past all links.
func (s *service) probeReady(ctx context.Context) error {
	if _, ok := entrance(s.spec); !ok && s.spec.Ready.HTTP == "" {
		return nil // without a port to ask for, started is ready
	}
	return target.AskReady(ctx, s.readyURL(), s.upstream())
}

// readyURL is what answers 2xx when the service is ready; empty if its port is all there is to ask.
func (s *service) readyURL() string {
	if s.spec.Ready.HTTP == "" {
		return ""
	}
	return fmt.Sprintf("http://127.0.0.1:%d%s", s.port(spec.HTTPPort), s.spec.Ready.HTTP)
}

// readyTried says what probeReady does.
func (s *service) readyTried() string {
	if url := s.readyURL(); url != "" {
		return "GET " + url
	}
	return "a TCP connection to " + s.upstream()
}
