package api

import (
	"net/url"
	"time"

	"chaosgate/services/internal/config"
)

// Config of service-a. A zero duration or count is a protection switched off.
type Config struct {
	Host        string
	Port        int
	ServiceB    *url.URL
	Timeout     time.Duration // of one attempt
	Deadline    time.Duration // of the whole call, retries and waits included
	Retries     int
	Breaker     bool
	Fallback    bool
	MaxInflight int
	MaxConns    int // to service-b
}

// ReadConfig reads every setting; its error names all the bad ones, one a line.
func ReadConfig(lookup func(string) (string, bool)) (Config, error) {
	env := config.New(lookup)
	c := Config{
		Host:        env.String("HOST", "0.0.0.0"),
		Port:        env.Port("PORT", 5000),
		ServiceB:    env.URL("SERVICE_B_URL", "http://127.0.0.1:5001"),
		Timeout:     env.Duration("TIMEOUT", 250*time.Millisecond),
		Retries:     env.Count("RETRIES", 2),
		Breaker:     env.Switch("BREAKER"),
		Fallback:    env.Switch("FALLBACK"),
		MaxInflight: env.Count("MAX_INFLIGHT", 64),
		MaxConns:    env.Count("MAX_CONNS", 16),
	}
	deadline := 700 * time.Millisecond
	if c.Timeout == 0 {
		deadline = 0 // a call without a timeout may hang: the deadline would be one under another name
	}
	c.Deadline = env.Duration("DEADLINE", deadline)
	return c, env.Err()
}
