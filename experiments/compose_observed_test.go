package experiments

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/promtest"
)

// The Prometheus server of the Compose file measures a run on the services beside it, and every dashboard shows something of it.
func TestPrometheusOnCompose(t *testing.T) {
	dir, address := t.TempDir(), map[string]string{"SERVICE_A_PORT": promtest.FreeAddress(t), "SERVICE_B_PORT": promtest.FreeAddress(t), "PROMETHEUS_PORT": promtest.FreeAddress(t)}
	needsCompose(t)
	t.Setenv("PROMETHEUS_IMAGE", promtest.Image(t))
	for name, a := range address {
		t.Setenv(name, a[strings.LastIndexByte(a, ':')+1:])
	}
	folder := promtest.Configure(t, "..", dir, address["SERVICE_A_PORT"], address["SERVICE_B_PORT"])
	for _, name := range []string{"docker-compose.yml", "chaos.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(string(text), "127.0.0.1:9090", address["PROMETHEUS_PORT"])), 0o644))
	}
	must(t, os.MkdirAll(filepath.Join(dir, "bin", "images"), 0o755)) // nothing is built from it, but it must be there
	c := composeIn(t, dir, "compose-observed", 2)
	c.withCompose(dir, "--profile", "observability", "up", "-d", "prometheus")
	t.Cleanup(func() { c.withCompose(dir, "--profile", "observability", "rm", "-sf", "prometheus") })
	s := promtest.Server{URL: "http://" + address["PROMETHEUS_PORT"], Folder: filepath.Join(folder, "discovery")}
	s.Await(t)
	c.eventually("the engine says that the server is healthy", func() bool {
		return c.docker("ps", "-q", "--filter", "label=com.docker.compose.project="+c.project, "--filter", "label=com.docker.compose.service=prometheus", "--filter", "health=healthy") != ""
	})
	began := time.Now()
	code, r, said := decided(t, c.program, "--config", c.config, "--env", c.environment, "--seed", "2", "experiments/service-kill.yaml")
	if code != 0 || r.Gate != "OPEN" {
		t.Fatalf("exit code %d, gate %s:\n%s", code, r.Gate, said)
	}
	o := promtest.Observe(t, s, "..", began)
	o.Dashboards()
	o.Alerts()
	for _, one := range r.Scenarios {
		o.Recovered(r.RunID, one.Name, one.Recovery)
	}
	if o.Has(`up{job="services", service="service-a"} == 1`) == 0 || o.Has(`up{job="services", service="service-b"} == 1`) == 0 {
		t.Error("the services are not scraped where they are published")
	}
	s.Empty(t)
}

// withCompose has Compose, of whichever version, do something in a folder.
func (c composed) withCompose(dir string, args ...string) {
	c.t.Helper()
	command := []string{"docker-compose"}
	if exec.Command("docker", "compose", "version").Run() == nil {
		command = []string{"docker", "compose"}
	}
	command = slices.Concat(command, []string{"-f", filepath.Join(dir, "docker-compose.yml"), "-p", c.project}, args)
	if code, said := output(c.t, command[0], command[1:]...); code != 0 {
		c.t.Errorf("%s: exit code %d:\n%s", strings.Join(command, " "), code, said)
	}
}
