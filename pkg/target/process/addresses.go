package process

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

// URL implements target.Environment.
func (e *Environment) URL(service string) (string, error) {
	l, ok := e.links[target.Link{From: target.Outside, To: service}]
	if !ok {
		return "", fmt.Errorf("service %q cannot be reached from outside: it needs a port named %s; those that have one: %s", service, spec.HTTPPort, strings.Join(e.reachable(), ", "))
	}
	return "http://" + l.address(), nil
}

func (e *Environment) reachable() []string {
	var names []string
	for l := range e.links {
		if l.From == target.Outside {
			names = append(names, l.To)
		}
	}
	slices.Sort(names)
	return names
}

// Scrapes implements target.Environment.
func (e *Environment) Scrapes() []target.Scrape {
	scrapes := []target.Scrape{}
	for _, name := range slices.Sorted(maps.Keys(e.services)) {
		s := e.services[name]
		if s.spec.Metrics == "" {
			continue
		}
		scrapes = append(scrapes, target.Scrape{
			URL:    fmt.Sprintf("http://127.0.0.1:%d%s", s.port(spec.HTTPPort), s.spec.Metrics),
			Labels: map[string]string{"service": name, "instance": s.instance},
		})
	}
	return scrapes
}

// Database implements target.Databaser. A path that is not absolute is below the instance's data folder.
func (e *Environment) Database(t target.Target, name string) (target.Database, error) {
	s, err := e.service(t)
	if err != nil {
		return target.Database{}, err
	}
	path, err := target.PickDatabase(s.name, s.spec.Databases, name)
	if err == nil {
		path, err = s.known().expand(path)
	}
	if err == nil && !filepath.IsAbs(path) {
		path = filepath.Join(s.data, path)
	}
	return target.Database{Path: path}, err
}
