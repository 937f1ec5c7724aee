package docker

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

func TestDatabasesOnServers(t *testing.T) {
	services := map[string]spec.Service{"web": {Ports: map[string]string{"http": "8080"}}, "db": {Ports: map[string]string{"sql": "5432"}}}
	for text, want := range map[string]string{
		"/data/orders.db":                                   "",
		"orders.db":                                         "is not a path inside the container",
		"postgres://chaos@db/orders":                        "",
		"postgres://chaos@db:6000/orders":                   "service db has no port 6000",
		"postgres://chaos@127.0.0.1/orders":                 `no service "127.0.0.1" here: a database is hit on a server of the same project only`,
		"postgres://chaos@db.example.com/orders":            `no service "db.example.com" here`,
		"postgres://chaos@host.docker.internal/x":           `no service "host.docker.internal" here`,
		"postgres://chaos:${secret.k}@db/o?sslmode=require": "",
	} {
		errs := CheckService(spec.Service{Ports: map[string]string{"http": "8080"}, Databases: map[string]string{"orders": text}}, services)
		if said := fmt.Sprint(errs); (want == "") != (len(errs) == 0) || !strings.Contains(said, want) {
			t.Errorf("%s: got %v, want %q", text, errs, want)
		}
	}
}

// A server is found in its container from this process and from a fresh one, after a start on another port too; one that has ended is gone, and a protected one is not hit.
func TestAServerIsFound(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	p := newProject(t)
	p.add("web", 1, published)
	id := p.add("db", 1, published)
	p.add("safe", 1, label(labelProtected, "true"))
	web := service()
	web.Databases = map[string]string{"orders": "postgres://chaos:${secret.key}@db:8080/orders", "safe": "postgres://chaos@safe:8080/orders"}
	o := options(p.name, map[string]spec.Service{"web": web, "db": service(), "safe": service()})
	o.LogDir, o.SecretVariables = t.TempDir(), map[string]string{"key": "THE_KEY"}
	w := p.worldOf(o)
	of := w.one("web")
	if _, err := w.Database(of, "safe"); err == nil || !strings.Contains(err.Error(), "safe-1 is protected by its label") {
		t.Errorf("the protected: %v", err)
	}
	found, err := w.Database(of, "orders")
	must(t, err)
	s := found.Server
	if s == nil || s.URL != "postgres://chaos@db:8080/orders" || s.PasswordEnv != "THE_KEY" || s.On == nil || s.On.Instance != "db-1" {
		t.Fatalf("got %+v", s)
	}
	for range 2 {
		for who, finder := range map[string]target.ServerFinder{"the run": w, "a fresh process": Attach(of.Ref, helpers()).(target.ServerFinder)} {
			at, err := finder.FindServer(soon(t), *s)
			must(t, err)
			conn, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatalf("%s: %v", who, err)
			}
			must(t, conn.Close())
		}
		must(t, p.engine.ContainerRestart(soon(t), id, container.StopOptions{}))
	}
	must(t, p.engine.ContainerStop(soon(t), id, container.StopOptions{}))
	if _, err := Attach(of.Ref, helpers()).(target.ServerFinder).FindServer(soon(t), *s); !errors.Is(err, target.ErrGone) {
		t.Errorf("one that does not run: %v", err)
	}
	must(t, p.engine.ContainerStart(soon(t), id, container.StartOptions{}))
	if _, err := w.FindServer(soon(t), target.Server{URL: "postgres://chaos@127.0.0.1/x"}); err == nil || !strings.Contains(err.Error(), "no server of the project") {
		t.Errorf("one of nobody: %v", err)
	}
}
