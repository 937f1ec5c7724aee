// Package promtest has Prometheus servers for tests, and sees what the shipped dashboards and alerts show of a run.
package promtest

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/imagetest"
	"chaosgate/pkg/proc"
)

// patience is how long a server may take for what it is asked.
const patience = 30 * time.Second

// Nowhere is an address at which nobody listens.
const Nowhere = "127.0.0.1:1"

// Server is a real server of the machine's own package, which scrapes every 250 ms what is announced in a folder.
type Server struct {
	URL    string
	Folder string
}

// Program is where the machine has its server. Where there is none the test is skipped, in CI it fails.
func Program(t testing.TB) string {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("there is no prometheus here, and in CI there must be")
		}
		t.Skip("there is no prometheus here")
	}
	return program
}

// Start starts a server with the shipped configuration for one test, which scrapes no services but those that runs announce. Root is the folder of the project.
func Start(t testing.TB, root string) Server {
	t.Helper()
	program, dir := Program(t), t.TempDir()
	config := Configure(t, root, dir, Nowhere, Nowhere)
	s := Server{URL: "http://" + FreeAddress(t), Folder: filepath.Join(config, "discovery")}
	log, err := os.Create(filepath.Join(dir, "prometheus.log"))
	must(t, err)
	defer log.Close()
	cmd := exec.Command(program, "--config.file="+filepath.Join(config, "prometheus.yml"), "--storage.tsdb.path=data", "--web.listen-address="+strings.TrimPrefix(s.URL, "http://"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	p, err := proc.Start(cmd)
	must(t, err)
	t.Cleanup(func() {
		_ = p.Kill() // it may have ended
		<-p.Done()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("prometheus said:\n%s", text)
		}
	})
	s.Await(t)
	return s
}

// Await returns when the server is ready.
func (s Server) Await(t testing.TB) {
	t.Helper()
	eventually(t, "the Prometheus server is ready", func() bool { return answers(s.URL + "/-/ready") })
}

// Configure copies the shipped observability/ into a folder, with the addresses at which the services are, nothing announced, and readable by any user; it answers the path of
// the copy.
func Configure(t testing.TB, root, dir, serviceA, serviceB string) string {
	t.Helper()
	to := filepath.Join(dir, "observability")
	must(t, os.CopyFS(to, os.DirFS(filepath.Join(root, "observability"))))
	must(t, os.RemoveAll(filepath.Join(to, "discovery"))) // it may hold a run's of this moment
	must(t, os.Mkdir(filepath.Join(to, "discovery"), 0o755))
	path := filepath.Join(to, "prometheus.yml")
	text, err := os.ReadFile(path)
	must(t, err)
	for from, address := range map[string]string{"[127.0.0.1:5000]": serviceA, "[127.0.0.1:5001]": serviceB} {
		if strings.Count(string(text), from) != 1 {
			t.Fatalf("%s is not in %s exactly once", from, path)
		}
		text = []byte(strings.Replace(string(text), from, "["+address+"]", 1))
	}
	must(t, os.WriteFile(path, text, 0o644))
	return to
}

// Image makes an image of the machine's own Prometheus, which is started like the official one, and answers its name. It goes with the test.
func Image(t testing.TB) string {
	t.Helper()
	program := Program(t)
	tool, err := exec.LookPath("promtool") // of the same package
	must(t, err)
	return imagetest.Image{Name: "prometheus", Programs: []string{program, tool}, Folders: []string{"/tmp", "/prometheus"}, Changes: []string{`ENTRYPOINT ["` + program + `"]`}}.Import(t)
}

// FreeAddress is one of the loopback interface at which nobody listens for now.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// Empty fails if a run has left something in the folder that the server reads.
func (s Server) Empty(t testing.TB) {
	t.Helper()
	left, err := os.ReadDir(s.Folder)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the discovery folder: %v, %v", left, err)
	}
}

func answers(url string) bool {
	client := http.Client{Timeout: time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // to its end, so that the connection can be used again
	return resp.StatusCode == http.StatusOK
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
