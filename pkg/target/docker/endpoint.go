package docker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/docker/api/types/system"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/tlsconfig"

	"chaosgate/pkg/diag"
)

// Endpoint is where an engine is reached and how, as data: the undo of a fault names it, so that another process finds the same engine.
type Endpoint struct {
	Host     string `json:"host"`               // unix:///var/run/docker.sock, tcp://host:2376
	Certs    string `json:"certs,omitempty"`    // folder with ca.pem, cert.pem and key.pem; empty: no TLS
	Insecure bool   `json:"insecure,omitempty"` // the engine's certificate is not verified
}

// FindEndpoint answers the engine that the docker command would use: DOCKER_HOST, else the context DOCKER_CONTEXT or the current one of its configuration, else this
// machine's. Nothing is dialled.
func FindEndpoint(getenv func(string) string) (Endpoint, error) {
	if host := getenv(client.EnvOverrideHost); host != "" {
		e := Endpoint{Host: host}
		if verify := getenv(client.EnvTLSVerify) != ""; verify || getenv("DOCKER_TLS") != "" {
			e.Certs, e.Insecure = getenv(client.EnvOverrideCertPath), !verify
			if e.Certs == "" {
				e.Certs = configFolder(getenv)
			}
			var err error
			if e.Certs, err = filepath.Abs(e.Certs); err != nil { // an undo is carried out elsewhere
				return e, err
			}
		}
		return e, e.check()
	}
	dir := configFolder(getenv)
	name := getenv("DOCKER_CONTEXT")
	if name == "" {
		var err error
		if name, err = currentContext(dir); err != nil {
			return Endpoint{}, err
		}
	}
	if name == "" || name == "default" {
		return Endpoint{Host: client.DefaultDockerHost}, nil
	}
	return contextEndpoint(dir, name)
}

func configFolder(getenv func(string) string) string {
	if dir := getenv("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	return filepath.Join(getenv("HOME"), ".docker")
}

func currentContext(dir string) (string, error) {
	var config struct {
		CurrentContext string `json:"currentContext"`
	}
	err := readJSON(filepath.Join(dir, "config.json"), &config)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return config.CurrentContext, err
}

// contextEndpoint reads one context of the docker command's: its files are in folders named by the SHA-256 of its name.
func contextEndpoint(dir, name string) (Endpoint, error) {
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	var meta struct {
		Endpoints struct {
			Docker struct {
				Host          string
				SkipTLSVerify bool
			} `json:"docker"`
		}
	}
	if err := readJSON(filepath.Join(dir, "contexts", "meta", id, "meta.json"), &meta); err != nil {
		return Endpoint{}, fmt.Errorf("the Docker context %q: %w", name, err)
	}
	e := Endpoint{Host: meta.Endpoints.Docker.Host, Insecure: meta.Endpoints.Docker.SkipTLSVerify}
	certs := filepath.Join(dir, "contexts", "tls", id, "docker")
	if _, err := os.Stat(certs); err == nil {
		e.Certs = certs
	}
	if e.Host == "" {
		return e, fmt.Errorf("the Docker context %q names no host", name)
	}
	return e, e.check()
}

func readJSON(path string, into any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (e Endpoint) check() error {
	scheme, _, ok := strings.Cut(e.Host, "://")
	switch {
	case scheme == "ssh":
		return fmt.Errorf("the Docker engine at %s is reached over ssh, which is not supported", e.Host)
	case !ok:
		return fmt.Errorf("the Docker engine's address is %q, expected unix:///PATH or tcp://HOST:PORT", e.Host)
	}
	return nil
}

// Local says whether the engine is reached over a socket of this machine.
func (e Endpoint) Local() bool { return strings.HasPrefix(e.Host, "unix://") }

// command is the docker command for a person, of this engine.
func (e Endpoint) command() string {
	switch {
	case e.Host == client.DefaultDockerHost:
		return "docker"
	case e.Certs == "":
		return "DOCKER_HOST=" + diag.ShellWord(e.Host) + " docker"
	}
	tls := "DOCKER_TLS_VERIFY=1"
	if e.Insecure {
		tls = "DOCKER_TLS=1"
	}
	return tls + " DOCKER_CERT_PATH=" + diag.ShellWord(e.Certs) + " DOCKER_HOST=" + diag.ShellWord(e.Host) + " docker"
}

// name is the host on which the engine publishes ports, as seen from here.
func (e Endpoint) name() string {
	if u, err := url.Parse(e.Host); err == nil && !e.Local() && u.Hostname() != "" {
		return u.Hostname()
	}
	return "127.0.0.1"
}

// connect makes a client; it does not dial.
func (e Endpoint) connect(more ...client.Opt) (*client.Client, error) {
	opts := append([]client.Opt{client.WithHost(e.Host), client.WithAPIVersionNegotiation()}, more...)
	if e.Certs != "" {
		config, err := tlsconfig.Client(tlsconfig.Options{
			CAFile: filepath.Join(e.Certs, "ca.pem"), CertFile: filepath.Join(e.Certs, "cert.pem"), KeyFile: filepath.Join(e.Certs, "key.pem"),
			ExclusiveRootPools: true, InsecureSkipVerify: e.Insecure,
		})
		if err != nil {
			return nil, fmt.Errorf("the certificates of the Docker engine at %s: %w", e.Host, err)
		}
		// Before the host, which is added to the transport.
		opts = append([]client.Opt{client.WithHTTPClient(&http.Client{Transport: &http.Transport{TLSClientConfig: config}})}, opts...)
	}
	c, err := client.NewClientWithOpts(opts...)
	if err != nil {
		return nil, fmt.Errorf("the Docker engine at %s: %w", e.Host, err)
	}
	return c, nil
}

// pingTimeout bounds the first words with an engine.
const pingTimeout = 10 * time.Second

// meet connects and finds out whether this is an engine that we know to handle.
func (e Endpoint) meet(ctx context.Context, more ...client.Opt) (*client.Client, system.Info, error) {
	c, err := e.connect(more...)
	if err != nil {
		return nil, system.Info{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	info, err := greet(ctx, c)
	if err != nil {
		return nil, info, errors.Join(fmt.Errorf("the Docker engine at %s: %w", e.Host, err), c.Close())
	}
	return c, info, nil
}

func greet(ctx context.Context, c *client.Client) (system.Info, error) {
	version, err := c.ServerVersion(ctx)
	if err != nil {
		return system.Info{}, err
	}
	for _, part := range version.Components {
		if strings.Contains(part.Name, "Podman") {
			return system.Info{}, errors.New("this is Podman, which is not supported: its restart policies and events differ")
		}
	}
	info, err := c.Info(ctx)
	if err != nil {
		return info, err
	}
	return info, supported(info)
}

func supported(info system.Info) error {
	for _, option := range info.SecurityOptions {
		switch name, _, _ := strings.Cut(option, ","); name {
		case "name=rootless":
			return errors.New("this is a rootless engine, which is not supported: what faults need of the kernel cannot be had in it")
		case "name=userns":
			return errors.New("the users of its containers are mapped to others (userns-remap), which is not supported: what is started inside a container would not be the service's own user. Take an engine that is started without userns-remap")
		}
	}
	if info.OSType != "linux" {
		return fmt.Errorf("its containers are %s containers; only linux is supported", info.OSType)
	}
	return nil
}
