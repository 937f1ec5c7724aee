package process_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
	"chaosgate/pkg/target/process"
)

// The project's own services, built and put under a partition, and their database file found.
func TestShippedServices(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	must(t, err)
	w := newWorld(t, map[string]spec.Service{
		"service-a": {
			Build: "./services/service-a", Ports: map[string]string{"http": "5000"}, Links: []string{"service-b"}, Metrics: "/metrics",
			Env:   map[string]string{"HOST": "127.0.0.1", "PORT": "${port.http}", "SERVICE_B_URL": "http://${link.service-b}", "FALLBACK": "off"},
			Ready: spec.Readiness{HTTP: "/health"},
		},
		"service-b": {
			Build: "./services/service-b", Ports: map[string]string{"http": "5001"}, Metrics: "/metrics",
			Env:   map[string]string{"HOST": "127.0.0.1", "PORT": "${port.http}", "DATABASE_PATH": "${data}/orders.db"},
			Ready: spec.Readiness{HTTP: "/health"}, Databases: map[string]string{"orders": "${data}/orders.db"}, Memory: "256MiB",
		},
	})
	w.opts.Root = root
	w.opts.Binaries, err = process.Build(t.Context(), root, w.opts.Spec, t.TempDir())
	must(t, err)
	s := newWorldOf(w.opts)
	must(t, s.Up(soon(t), s.record))
	t.Cleanup(func() { must(t, s.Down(context.Background())); s.checkNothingLeft(t) })
	if got := s.get(t, "service-a", "/work"); !strings.Contains(got, "receipt") {
		t.Errorf("got %s", got)
	}
	file, err := s.Database(s.target(t, "service-b"), "")
	must(t, err)
	if _, err := os.Stat(file.Path); err != nil {
		t.Error(err)
	}
	link := target.Link{From: "service-a", To: "service-b"}
	before, err := s.Stats(soon(t), link, "")
	must(t, err)
	must(t, s.Impair(soon(t), link, "cut", target.LinkFault{Partition: true}))
	if got := s.get(t, "service-a", "/work?key=new"); !strings.Contains(got, "timeout") {
		t.Errorf("under a partition: got %s", got)
	}
	must(t, s.Restore(soon(t), link, "cut"))
	eventually(t, "works again", func() bool { return strings.Contains(s.get(t, "service-a", "/work"), "receipt") })
	if after, err := s.Stats(soon(t), link, ""); err != nil || after.BytesIn <= before.BytesIn {
		t.Errorf("got %+v after %+v, %v", after, before, err)
	}
}
