package docker

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/system"

	"chaosgate/pkg/internal/testkit"
)

// config writes the docker command's configuration, with one context, and answers its folder.
func config(t *testing.T, current, host string, skip bool, certs bool) string {
	t.Helper()
	dir := t.TempDir()
	sum := sha256.Sum256([]byte("far"))
	id := hex.EncodeToString(sum[:])
	write(t, filepath.Join(dir, "config.json"), `{"auths":{},"currentContext":"`+current+`"}`)
	insecure := map[bool]string{true: "true", false: "false"}[skip]
	write(t, filepath.Join(dir, "contexts", "meta", id, "meta.json"), `{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"`+host+`","SkipTLSVerify":`+insecure+`}}}`)
	if certs {
		write(t, filepath.Join(dir, "contexts", "tls", id, "docker", "ca.pem"), "")
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	testkit.Must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	testkit.Must(t, os.WriteFile(path, []byte(text), 0o600))
}

// The engine is the one that the docker command would use.
func TestFindEndpoint(t *testing.T) {
	far := config(t, "far", "tcp://far:2376", true, true)
	for name, c := range map[string]struct {
		env  map[string]string
		want Endpoint
		err  string
	}{
		"nothing said":             {map[string]string{"HOME": t.TempDir()}, Endpoint{Host: "unix:///var/run/docker.sock"}, ""},
		"a host":                   {map[string]string{"DOCKER_HOST": "tcp://x:1", "DOCKER_CONFIG": far}, Endpoint{Host: "tcp://x:1"}, ""},
		"a host with certificates": {map[string]string{"DOCKER_HOST": "tcp://x:1", "DOCKER_CERT_PATH": "/c", "DOCKER_TLS_VERIFY": "1"}, Endpoint{Host: "tcp://x:1", Certs: "/c"}, ""},
		"certificates unverified":  {map[string]string{"DOCKER_HOST": "tcp://x:1", "DOCKER_CERT_PATH": "/c", "DOCKER_TLS": "1"}, Endpoint{Host: "tcp://x:1", Certs: "/c", Insecure: true}, ""},
		"certificates alone":       {map[string]string{"DOCKER_HOST": "tcp://x:1", "DOCKER_CERT_PATH": "/c"}, Endpoint{Host: "tcp://x:1"}, ""},
		"the usual certificates":   {map[string]string{"DOCKER_HOST": "tcp://x:1", "DOCKER_CONFIG": "/d", "DOCKER_TLS_VERIFY": "1"}, Endpoint{Host: "tcp://x:1", Certs: "/d"}, ""},
		"the current context": {map[string]string{"DOCKER_CONFIG": far},
			Endpoint{Host: "tcp://far:2376", Insecure: true, Certs: "contexts"}, ""},
		"a context that is named":  {map[string]string{"DOCKER_CONFIG": config(t, "", "unix:///far.sock", false, false), "DOCKER_CONTEXT": "far"}, Endpoint{Host: "unix:///far.sock"}, ""},
		"the default context":      {map[string]string{"DOCKER_CONFIG": far, "DOCKER_CONTEXT": "default"}, Endpoint{Host: "unix:///var/run/docker.sock"}, ""},
		"a context that is not":    {map[string]string{"DOCKER_CONFIG": far, "DOCKER_CONTEXT": "near"}, Endpoint{}, `the Docker context "near"`},
		"a context without a host": {map[string]string{"DOCKER_CONFIG": config(t, "far", "", false, false)}, Endpoint{}, "names no host"},
		"ssh":                      {map[string]string{"DOCKER_HOST": "ssh://me@far"}, Endpoint{}, "over ssh, which is not supported"},
		"no address":               {map[string]string{"DOCKER_HOST": "far:2375"}, Endpoint{}, "expected unix:///PATH or tcp://HOST:PORT"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := FindEndpoint(func(v string) string { return c.env[v] })
			if c.err != "" {
				testkit.WantError(t, err, c.err)
				return
			}
			if strings.Contains(c.want.Certs, "contexts") { // the folder is named by a hash
				c.want.Certs = got.Certs
				if _, err := os.Stat(filepath.Join(got.Certs, "ca.pem")); err != nil {
					t.Error(err)
				}
			}
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestABrokenConfigurationIsAnError(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "config.json"), "{")
	_, err := FindEndpoint(func(v string) string { return map[string]string{"DOCKER_CONFIG": dir}[v] })
	testkit.WantError(t, err, "config.json")
}

// An engine behind TLS is met with the certificates of its endpoint, and not without them.
func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(proxyTo(t, endpoint(t)))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // it says that somebody came without a certificate
	server.StartTLS()
	t.Cleanup(server.Close)
	server.TLS.ClientAuth = tls.RequireAnyClientCert
	dir := t.TempDir()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	must(t, err)
	certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
	write(t, filepath.Join(dir, "ca.pem"), certificate)
	write(t, filepath.Join(dir, "cert.pem"), certificate)
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	host := "tcp://" + server.Listener.Addr().String()
	c, info, err := Endpoint{Host: host, Certs: dir}.meet(soon(t))
	must(t, err)
	if info.ID == "" {
		t.Errorf("got %+v", info)
	}
	must(t, c.Close())
	_, _, err = Endpoint{Host: host}.meet(soon(t))
	wantError(t, err, "the Docker engine at "+host)
	_, err = Endpoint{Host: host, Certs: t.TempDir()}.connect()
	wantError(t, err, "the certificates of the Docker engine at "+host)
}

func TestWhichEnginesAreSupported(t *testing.T) {
	for want, info := range map[string]system.Info{
		"":             {OSType: "linux", SecurityOptions: []string{"name=seccomp,profile=default", "name=cgroupns"}},
		"rootless":     {OSType: "linux", SecurityOptions: []string{"name=seccomp,profile=builtin", "name=rootless"}},
		"userns-remap": {OSType: "linux", SecurityOptions: []string{"name=seccomp,profile=default", "name=userns"}},
		"containers":   {OSType: "windows"},
	} {
		if err := supported(info); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

// Podman speaks the same API, and its engine says who it is.
func TestPodmanIsRefused(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("API-Version", "1.41")
		_, _ = w.Write([]byte(`{"Components":[{"Name":"Podman Engine","Version":"5.4.0"}],"ApiVersion":"1.41"}`))
	}))
	t.Cleanup(server.Close)
	_, _, err := Endpoint{Host: "tcp://" + server.Listener.Addr().String()}.meet(soon(t))
	wantError(t, err, "this is Podman, which is not supported")
}

func TestTheCommandForAPerson(t *testing.T) {
	for want, e := range map[string]Endpoint{
		"docker": {Host: "unix:///var/run/docker.sock"},
		"DOCKER_HOST='unix:///run/x.sock' docker":                                {Host: "unix:///run/x.sock"},
		"DOCKER_HOST='unix:///a b.sock' docker":                                  {Host: "unix:///a b.sock"},
		"DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH=/c DOCKER_HOST='tcp://x:1' docker": {Host: "tcp://x:1", Certs: "/c"},
		"DOCKER_TLS=1 DOCKER_CERT_PATH=/c DOCKER_HOST='tcp://x:1' docker":        {Host: "tcp://x:1", Certs: "/c", Insecure: true},
	} {
		if got := e.command(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
