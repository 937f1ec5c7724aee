//go:build !race

package fault_test

import (
	"context"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/pgtest"
)

// What waits for the server's own time is not waited for once more with the race detector.

// Taking all connections of a server that is far away takes longer than it lets a silent session live.
func TestConnectionsAreHeldWhileOthersAreTaken(t *testing.T) {
	s := pgtest.Start(t, "max_connections=8")
	t.Setenv(passwordEnv, pgtest.Password)
	c := clientAt(s.URL("chaos", "orders"))
	by, err := c.Open(soon(t))
	must(t, err)
	defer by.Close(context.Background())
	find := c.Find
	c.Find = func(ctx context.Context) (string, error) {
		time.Sleep(4 * time.Second) // the way to it
		return find(ctx)
	}
	all, err := c.Exhaust(soon(t), by, 0, "orders")
	must(t, err)
	defer func() { must(t, all.Release(context.Background())) }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // without end, if the first are lost before the last are taken
	defer cancel()
	must(t, all.Take(ctx, by))
	if n := elsewhere(t, s, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'chaos/held'"); n < 5 {
		t.Errorf("%d sessions are left, the one that looks included", n)
	}
}

// Of a runner that is stopped nothing is heard, and the server ends its sessions by itself.
func TestTheServerEndsASilentSession(t *testing.T) {
	s := pgtest.Start(t)
	s.Exec("orders", "SET ROLE service; CREATE TABLE a (v int)")
	for what, meets := range map[string]string{"db.lock": lockedOut, "db.exhaust": full} {
		t.Run(what, func(t *testing.T) {
			cmd := startHolder(t, s, what)
			eventually(t, "it is felt", func() bool { return try(t, s, "INSERT INTO a VALUES (1)") == meets })
			must(t, cmd.Process.Signal(syscall.SIGSTOP))
			over := time.Now().Add(time.Minute)
			for try(t, s, "INSERT INTO a VALUES (1)") != "" {
				if time.Now().After(over) {
					t.Fatal("a stopped runner still holds it after a minute")
				}
				time.Sleep(50 * time.Millisecond) // a look costs the server a session
			}
		})
	}
}
