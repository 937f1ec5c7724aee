package services_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"chaosgate/pkg/imagetest"
)

// stack is docker-compose.yml as a project of its own, with ports of its own.
type stack struct {
	t       *testing.T
	compose []string // docker-compose, or docker compose
	project string
}

func newStack(t *testing.T) *stack {
	t.Helper()
	imagetest.NeedsDocker(t, exec.Command("docker", "version").Run())
	s := &stack{t: t, compose: composer(), project: fmt.Sprintf("chaosgate-test-%d", os.Getpid())}
	if s.compose == nil {
		imagetest.NeedsDocker(t, errors.New("there is neither docker-compose nor docker compose"))
	}
	return s
}

// composer is what runs compose files here, nil if nothing does.
func composer() []string {
	for _, command := range [][]string{{"docker-compose"}, {"docker", "compose"}} {
		if exec.Command(command[0], append(command[1:], "version")...).Run() == nil {
			return command
		}
	}
	return nil
}

func (s *stack) run(args ...string) string {
	s.t.Helper()
	out, err := s.try(s.t.Context(), args...)
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// try runs a command in the project's folder.
func (s *stack) try(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), "COMPOSE_PROJECT_NAME="+s.project, "SERVICE_A_PORT=0", "SERVICE_B_PORT=0")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *stack) do(args ...string) string {
	s.t.Helper()
	return s.run(append(s.compose, args...)...)
}

// list answers what of a kind ("container", "volume", "network") belongs to the project.
func (s *stack) list(kind string) []string {
	s.t.Helper()
	args := []string{"docker", kind, "ls", "-q", "--filter", "label=com.docker.compose.project=" + s.project}
	if kind == "container" {
		args = append(args, "-a")
	}
	return strings.Fields(s.run(args...))
}

// container is what the engine knows of a service's container.
type container struct {
	ID    string
	State struct {
		Health struct{ Status string }
	}
	Config     struct{ User string }
	HostConfig struct {
		ReadonlyRootfs   bool
		CapDrop          []string
		SecurityOpt      []string
		Memory, NanoCpus int64
		RestartPolicy    struct{ Name string }
	}
}

func (s *stack) inspect(service string) container {
	s.t.Helper()
	var all []container
	if err := json.Unmarshal([]byte(s.run("docker", "inspect", s.do("ps", "-q", service))), &all); err != nil || len(all) != 1 {
		s.t.Fatalf("%d containers of %s, %v", len(all), service, err)
	}
	return all[0]
}

// healthy waits until the engine says that a service is.
func (s *stack) healthy(service string) container {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		c := s.inspect(service)
		if c.State.Health.Status == "healthy" {
			return c
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s is %q after a minute:\n%s", service, c.State.Health.Status, s.do("logs", service))
		}
	}
}

// ask sends one request to a service from outside.
func (s *stack) ask(service, port, path string) map[string]any {
	s.t.Helper()
	status, answer := s.answer(service, port, path)
	if status != http.StatusOK {
		s.t.Fatalf("%s of %s: %d %v", path, service, status, answer)
	}
	return answer
}

// answer is what a service answers to one request from outside, whatever the status.
func (s *stack) answer(service, port, path string) (status int, answer map[string]any) {
	s.t.Helper()
	resp, err := http.Get("http://" + s.do("port", service, port) + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s of %s: %s %v", path, service, resp.Status, err)
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		s.t.Fatalf("%s of %s: %s %s: %v", path, service, resp.Status, body, err)
	}
	return resp.StatusCode, answer
}

// fresh waits until service-a has an answer of service-b's: on a busy machine the first ones may take longer than it waits for one.
func (s *stack) fresh() {
	s.t.Helper()
	const within = 30 * time.Second
	for deadline := time.Now().Add(within); ; time.Sleep(100 * time.Millisecond) {
		status, answer := s.answer("service-a", "5000", "/work?key=first")
		if status == http.StatusOK && answer["stale"] == false {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("service-a has no answer of service-b's after %v: %d %v", within, status, answer)
		}
	}
}

// Every service of the Compose files has a health check, a restart policy and limits, those beside the system under test as well.
func TestEveryServiceHasItsLimits(t *testing.T) {
	for _, name := range []string{"docker-compose.yml", "docker-compose.postgres.yml"} {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		var file struct{ Services map[string]map[string]any }
		if err := yaml.Unmarshal(text, &file); err != nil || len(file.Services) < 3 {
			t.Fatalf("%s: %d services, %v", name, len(file.Services), err)
		}
		for service, has := range file.Services {
			for _, key := range []string{"healthcheck", "restart", "mem_limit", "cpus"} {
				if has[key] == nil && has["extends"] == nil {
					t.Errorf("%s: %s has no %s", name, service, key)
				}
			}
		}
	}
}

// The services run in containers as they do without: images of nothing but a static binary, nothing to write to but the database's volume, no privileges, limits.
func TestTheComposeStack(t *testing.T) {
	s := newStack(t)
	s.run("make", "images")
	t.Cleanup(func() {
		if out, err := s.try(context.Background(), append(s.compose, "down", "-v", "--remove-orphans")...); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	s.do("up", "-d")
	for service, memory := range map[string]int64{"service-a": 128 << 20, "service-b": 256 << 20} {
		h := s.healthy(service)
		c := h.HostConfig
		if !c.ReadonlyRootfs || strings.Join(c.CapDrop, " ") != "ALL" || !strings.Contains(strings.Join(c.SecurityOpt, " "), "no-new-privileges") ||
			c.Memory != memory || c.NanoCpus != 1e9 || c.RestartPolicy.Name != "on-failure" || h.Config.User != "65534:65534" {
			t.Errorf("%s runs as %q with %+v", service, h.Config.User, c)
		}
	}
	s.fresh()
	before, _ := s.ask("service-b", "5001", "/work?key=kept")["orders"].([]any)
	s.do("rm", "-sf", "service-b")
	s.do("up", "-d", "service-b")
	s.healthy("service-b")
	after, _ := s.ask("service-b", "5001", "/work?key=kept")["orders"].([]any)
	if len(before) != 1 || len(after) != 2 {
		t.Errorf("a new container has the orders %v, the one before had %v: the database is not kept", after, before)
	}
	s.do("down", "-v")
	for _, kind := range []string{"container", "volume", "network"} {
		if left := s.list(kind); len(left) > 0 {
			t.Errorf("left of the stack: %s %q", kind, left)
		}
	}
}
