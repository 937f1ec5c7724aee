package experiments

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fullDatabase has a service meet a full database, in memory that is its container's own: a project beside the usual one, whose database is on a disk.
func (c composed) fullDatabase(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("COMPOSE_PROJECT_NAME", c.project+"-full")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	shipped := func(name string, times int, from, to string) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join("..", name))
		if n := strings.Count(string(text), from); err != nil || n != times {
			t.Fatalf("%s: %q is in it %d times, want %d, %v", name, from, n, times, err)
		}
		write(name, regexp.MustCompile(`\n +build: {context[^\n]*`).ReplaceAllString(strings.ReplaceAll(string(text), from, to), ""))
	}
	shipped("docker-compose.yml", 1, "DATABASE_PATH: /data/orders.db", "DATABASE_PATH: /tmp/orders.db")
	shipped("chaos.yaml", 2, "databases: {orders: /data/orders.db}", "databases: {orders: /tmp/orders.db}")
	write("full.yaml", `apiVersion: chaos/v1
name: full
traffic:
  - {service: service-a, path: /work, rate: 40/s}
steadyState:
  - {id: up, http: {service: service-a, path: /health}, expect: {status: 200}}
recovery: {within: 10s, for: 1s}
steps:
  - {id: hit, fault: db.full, target: {service: service-b}, duration: 3s}
  - {id: met, during: hit, promql: 'sum(increase(db_operation_duration_seconds_count{service="service-b",outcome="full"}[$window]))', expect: {min: 1}}
`)
	args := []string{"--config", filepath.Join(dir, "chaos.yaml"), "--env", "compose", filepath.Join(dir, "full.yaml")}
	code, r, said := decided(t, c.program, append(args, "--up")...)
	if want := "service-b-1: /tmp has 0B free of 16MiB"; code != 0 || r.Gate != "OPEN" || !strings.Contains(said, want) {
		t.Errorf("exit code %d, gate %s, want %q:\n%s", code, r.Gate, want, said)
	}
	if code, said := output(t, c.program, "env", "down", "--config", args[1], "--env", "compose", "--volumes"); code != 0 {
		t.Errorf("exit code %d:\n%s", code, said)
	}
}
