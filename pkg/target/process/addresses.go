package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
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

// Database implements target.Databaser. A path that is not absolute is below the instance's data folder. The host of a URL is a service of the environment, or else an
// address.
func (e *Environment) Database(t target.Target, name string) (target.Database, error) {
	s, err := e.service(t)
	if err != nil {
		return target.Database{}, err
	}
	path, err := target.PickDatabase(s.name, s.spec.Databases, name)
	if err == nil && spec.IsServer(path) {
		return e.server(path)
	}
	if err == nil {
		path, err = s.known().expand(path)
	}
	if err == nil && !filepath.IsAbs(path) {
		path = filepath.Join(s.data, path)
	}
	return target.Database{Path: path}, err
}

// MayHitDatabase implements target.Databaser. A path of the machine is the author's word: nothing says of a file whose it is as well.
func (e *Environment) MayHitDatabase(context.Context, target.Target, string) error { return nil }

func (e *Environment) server(text string) (target.Database, error) {
	at, problem := spec.ParseServer(text)
	if problem != "" {
		return target.Database{}, errors.New("the URL of a database " + problem)
	}
	found := &target.Server{URL: at.URL(), PasswordEnv: e.opts.SecretVariables[at.Secret]}
	if _, ok := e.services[at.Host]; ok {
		found.On = &target.Ref{Runtime: RuntimeName, Service: at.Host}
	}
	return target.Database{Server: found}, nil
}

// FindServer implements target.ServerFinder. That of a service is reached past all links, and has ended with its process.
func (e *Environment) FindServer(_ context.Context, s target.Server) (string, error) {
	if s.On == nil {
		return addressOf(s)
	}
	at, problem := spec.ParseServer(s.URL)
	service, ok := e.services[s.On.Service]
	if problem != "" || !ok {
		return "", fmt.Errorf("there is no service that %s could be on", s.URL)
	}
	port, _ := at.On(e.opts.Spec.Services)
	if port == "" {
		return "", fmt.Errorf("service %s has no port %s", service.name, at.Port)
	}
	if now, _ := service.look(); !now.alive() {
		return "", fmt.Errorf("%s does not run: %w", service.instance, target.ErrGone)
	}
	return fmt.Sprintf("127.0.0.1:%d", service.port(port)), nil
}

// addressOf is where a server is that is none of the environment's.
func addressOf(s target.Server) (string, error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return "", err
	}
	return u.Host, nil
}
