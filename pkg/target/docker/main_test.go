package docker

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/fault"
	"chaosgate/pkg/imagetest"
	"chaosgate/pkg/impair"
	"chaosgate/pkg/intercept"
	"chaosgate/pkg/internal/testkit"
	"chaosgate/pkg/spec"
	"chaosgate/pkg/target"
)

var (
	soon       = testkit.Soon
	eventually = testkit.Eventually
	must       = testkit.Must
	wantError  = testkit.WantError
	// For the engine's part of what other tests do as well.
	notUnderRace = testkit.NotUnderRace
)

// The test binary is also the services in the containers, the helper, and a runner that is killed.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 2 && os.Args[1] == "agent":
		if err := agent.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case os.Getenv("ROLE") == "web":
		web()
	case os.Getenv("ROLE") == "runner":
		runner()
	default:
		waitTogether()
		code := m.Run()
		removeTestImage()
		os.Exit(code)
	}
}

// waitTogether lets more tests run at once than there are processors, unless the command line says how many: they wait for the engine most of the time.
func waitTogether() {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if parallel := flag.Lookup("test.parallel"); !asked {
		_ = parallel.Value.Set(strconv.Itoa(2 * runtime.NumCPU())) // it is a number
	}
}

// web answers on 8080, and 9090: /health, /big with 3 MB, /call and /status with what another said, /exit ends it with the code of ?code. With STUBBORN it does not end on SIGTERM; after SIGTERM it DRAINS so long, in which it goes on serving, and /draining says true; it HOLDS so many MiB of memory; it ends at once if there is the file that UNLESS names; it is in good health only while the URL that it NEEDS answers, and ends at its start if the one that it ENDS_WITHOUT does not.
func web() {
	if os.Getenv("STUBBORN") != "" {
		signal.Ignore(syscall.SIGTERM)
	} else {
		ends := make(chan os.Signal, 1)
		signal.Notify(ends, syscall.SIGTERM)
		go drain(ends)
	}
	if delay, err := time.ParseDuration(os.Getenv("WARMUP")); err == nil {
		time.Sleep(delay)
	}
	if file := os.Getenv("UNLESS"); file != "" {
		if _, err := os.Stat(file); err == nil {
			fmt.Println("spoilt")
			os.Exit(3)
		}
	}
	if mib, err := strconv.Atoi(os.Getenv("HOLDS")); err == nil {
		held := make([]byte, mib<<20)
		for i := range held {
			held[i] = 1
		}
		defer runtime.KeepAlive(held)
	}
	if other := os.Getenv("ENDS_WITHOUT"); other != "" {
		if _, err := callers.Get(other); err != nil {
			fmt.Println(err)
			os.Exit(4)
		}
	}
	fmt.Println("serving")
	http.HandleFunc("/health", health)
	http.HandleFunc("/call", call)
	http.HandleFunc("/draining", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, draining.Load()) })
	http.HandleFunc("/word", word)
	go mirror()
	http.HandleFunc("/write", writeIn)
	http.HandleFunc("/hold", hold)
	http.HandleFunc("/go", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ok ", os.Chdir(r.FormValue("to"))) })
	http.HandleFunc("/status", tell)
	http.HandleFunc("/big", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 3_000_000)) })
	http.HandleFunc("/exit", func(_ http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.FormValue("code"))
		os.Exit(code)
	})
	for _, at := range []string{":9090", ":8080"} {
		l, err := net.Listen("tcp", at)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		go func() { fmt.Println(http.Serve(l, nil)); os.Exit(1) }()
	}
	select {}
}

// draining is whether the service, which is this program as well, was told to end.
var draining atomic.Bool

// drain ends the service some time after it was told to.
func drain(ends <-chan os.Signal) {
	<-ends
	draining.Store(true)
	if d, err := time.ParseDuration(os.Getenv("DRAINS")); err == nil {
		time.Sleep(d)
	}
	fmt.Println("ended in order")
	os.Exit(0)
}

// health answers with the host's name, unless it needs somebody who does not answer.
func health(w http.ResponseWriter, _ *http.Request) {
	if other := os.Getenv("NEEDS"); other != "" {
		resp, err := callers.Get(other)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_ = resp.Body.Close()
	}
	host, _ := os.Hostname()
	fmt.Fprint(w, host)
}

// hold opens a file in the folder ?in and writes to it once a request; it is closed with ?close.
func hold(w http.ResponseWriter, r *http.Request) {
	holding.Lock()
	defer holding.Unlock()
	var err error
	if holding.file == nil {
		holding.file, err = os.Create(filepath.Join(r.FormValue("in"), "held"))
	}
	if err == nil {
		_, err = holding.file.WriteString("x")
	}
	if err == nil && r.FormValue("close") != "" {
		err = errors.Join(holding.file.Close(), os.Remove(holding.file.Name()))
		holding.file = nil
	}
	fmt.Fprint(w, "ok ", err)
}

// holding is what the service, which is this program as well, has open.
var holding struct {
	sync.Mutex
	file *os.File
}

// writeIn writes a page to a file in the folder ?in, and answers "ok", or what went wrong.
func writeIn(w http.ResponseWriter, r *http.Request) {
	file := filepath.Join(r.FormValue("in"), "written")
	err := os.WriteFile(file, make([]byte, 4096), 0o600)
	if removing := os.Remove(file); err == nil {
		err = removing
	}
	if err != nil {
		fmt.Fprint(w, err)
		return
	}
	fmt.Fprint(w, "ok")
}

// callers keep their connections, as services do.
var callers = http.Client{Timeout: 2 * time.Second}

// call asks the URL of ?url, on a connection of its own with ?fresh, and answers "ok 12ms", or what went wrong.
func call(w http.ResponseWriter, r *http.Request) {
	client := callers
	if r.FormValue("fresh") != "" {
		client.Transport = &http.Transport{DisableKeepAlives: true}
	}
	began := time.Now()
	resp, err := client.Get(r.FormValue("url"))
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	if err != nil {
		fmt.Fprint(w, err)
		return
	}
	fmt.Fprint(w, "ok ", time.Since(began))
}

// tell asks the URL of ?url and answers "200 15", its status and how many bytes came, or what went wrong.
func tell(w http.ResponseWriter, r *http.Request) {
	resp, err := callers.Get(r.FormValue("url"))
	var n int64
	if err == nil {
		n, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	if err != nil {
		fmt.Fprint(w, err)
		return
	}
	fmt.Fprint(w, resp.StatusCode, n)
}

// mirror sends every datagram back to where it came from.
func mirror() {
	c, err := net.ListenPacket("udp", ":8080")
	b := make([]byte, 64)
	for err == nil {
		var n int
		var from net.Addr
		if n, from, err = c.ReadFrom(b); err == nil {
			_, err = c.WriteTo(b[:n], from)
		}
	}
	fmt.Println(err)
}

// word sends a datagram to the mirror of ?to and answers how often it has come back.
func word(w http.ResponseWriter, r *http.Request) {
	n, err := echoes(r.FormValue("to"))
	if err != nil {
		fmt.Fprint(w, err)
		return
	}
	fmt.Fprint(w, n)
}

// echoes is how often a datagram comes back, until it has not for a while.
func echoes(from string) (n int, err error) {
	c, err := net.Dial("udp", from)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.Write([]byte("word")); err != nil {
		return 0, err
	}
	for {
		if err := c.SetReadDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			return n, err
		}
		if _, err := c.Read(make([]byte, 64)); err != nil {
			return n, nil
		}
		n++
	}
}

// runner attaches to the project PROJECT, or starts it as a copy of the Compose file COPY, arms a helper for its web-1, says so, and waits to be killed.
func runner() {
	services := map[string]spec.Service{"web": service()}
	if os.Getenv("LINK") != "" {
		services = linked()
	}
	o := options(os.Getenv("PROJECT"), services)
	o.RunID = os.Getenv("RUN")
	if file := os.Getenv("COPY"); file != "" {
		o = copied(o, file)
	}
	e := New(o)
	go func() {
		for range e.Events() { //nolint:revive // somebody must read them
		}
	}()
	err := e.Up(context.Background(), func(u target.Undo) error { return json.NewEncoder(os.Stdout).Encode(u) })
	of := target.Target{Ref: target.Ref{Service: "web", Instance: "web-1"}}
	switch {
	case err != nil:
	case os.Getenv("LOAD") != "":
		err = putToWork(e, agent.CPUJob, agent.CPUConfig{Load: 1})
	case os.Getenv("READONLY") != "":
		err = makeReadOnly(e, os.Getenv("READONLY"))
	case os.Getenv("FILL") != "":
		err = putToWork(e, agent.DiskFillJob, agent.DiskFillConfig{Path: os.Getenv("FILL")})
	case os.Getenv("LINK") != "":
		l := target.Link{From: "web", To: "back"}
		f := target.LinkFault{Partition: true}
		if os.Getenv("LINK") == "http" {
			f = target.LinkFault{HTTP: unavailable}
		}
		err = e.Impair(context.Background(), l, "cut", f)
		fmt.Println("load", "cut", e.Ref(l).ID)
	default:
		err = e.Arm(context.Background(), of, "SIGKILL")
	}
	fmt.Println("armed", err)
	time.Sleep(time.Minute)
	os.Exit(1)
}

// putToWork has a helper at work in web-1, and says which.
func putToWork(e *Environment, job string, config any) error {
	all, err := e.Resolve(context.Background(), target.Selection{Services: []string{"web"}})
	if err != nil {
		return err
	}
	h, err := e.Host(context.Background(), all[0], job, config)
	if err == nil {
		_, err = h.Call(context.Background(), agent.Inject)
		fmt.Println("load", h.ID(), all[0].ID)
	}
	return err
}

// makeReadOnly has a fault on a directory of web-1, and says what undoes it.
func makeReadOnly(e *Environment, path string) error {
	ctx := context.Background()
	all, err := e.Resolve(ctx, target.Selection{Services: []string{"web"}})
	if err != nil {
		return err
	}
	k, _ := fault.Find("disk.readonly")
	f, err := k.New(fault.Request{ID: "the-step", Runtime: e, Targets: all, Params: fault.Params{"path": path, "open": "none"}})
	if err != nil {
		return err
	}
	undos, err := f.Prepare(ctx)
	if err == nil {
		_, err = f.Inject(ctx)
		fmt.Println("load", string(undos[0].Data), all[0].ID)
	}
	return err
}

// endpoint is this machine's engine.
func endpoint(t *testing.T) Endpoint {
	t.Helper()
	e, err := FindEndpoint(os.Getenv)
	must(t, err)
	c, _, err := e.meet(soon(t))
	imagetest.NeedsDocker(t, err)
	must(t, c.Close())
	return e
}

// proxyTo passes requests on to an engine of this machine.
func proxyTo(t *testing.T, e Endpoint) *httputil.ReverseProxy {
	t.Helper()
	if !e.Local() {
		t.Skip("the engine is not on a socket of this machine")
	}
	to, err := url.Parse("http://docker")
	must(t, err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.FlushInterval = -1 // what it tells of events is not held back
	proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(e.Host, "unix://"))
	}}
	return proxy
}

// onSocket is an engine of this machine that a handler makes of another: one that is reached in another way is not on this machine.
func onSocket(t *testing.T, h http.Handler) Endpoint {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	must(t, server.Listener.Close())
	path := t.TempDir() + "/engine.sock"
	var err error
	server.Listener, err = net.Listen("unix", path)
	must(t, err)
	server.Start()
	t.Cleanup(server.Close)
	return Endpoint{Host: "unix://" + path}
}

func dial(t *testing.T) *client.Client {
	t.Helper()
	c, err := endpoint(t).connect()
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

const testProgram = "/chaos"

// testImage is this program as an image, made once.
var testImage = sync.OnceValues(func() (string, error) {
	name := fmt.Sprintf("chaosgate/test:%d", os.Getpid())
	e, err := FindEndpoint(os.Getenv)
	if err != nil {
		return "", err
	}
	c, err := e.connect()
	if err != nil {
		return "", err
	}
	defer c.Close()
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	files, err := closure(self)
	if err != nil {
		return "", err
	}
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(pack(w, files)) }()
	answer, err := c.ImageImport(context.Background(), image.ImportSource{Source: r, SourceName: "-"}, name, image.ImportOptions{})
	if err != nil {
		return "", err
	}
	return name, imported(answer)
})

func removeTestImage() {
	e, err := FindEndpoint(os.Getenv)
	if err != nil {
		return
	}
	if c, err := e.connect(); err == nil {
		_, _ = c.ImageRemove(context.Background(), fmt.Sprintf("chaosgate/test:%d", os.Getpid()), image.RemoveOptions{Force: true})
		_ = c.Close()
	}
}

// project is containers with the labels that Compose gives, in a network of their own; the test ends them.
type project struct {
	t       *testing.T
	engine  *client.Client
	name    string
	network string
}

func newProject(t *testing.T) *project { return projectOf(t, "") }

// projectOf is one of several of a test, which differ in the end of their names.
func projectOf(t *testing.T, end string) *project {
	t.Helper()
	name := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name()))
	p := &project{t: t, engine: dial(t), name: fmt.Sprintf("chaos-test-%d-%s%s", os.Getpid(), name, end)}
	n, err := p.engine.NetworkCreate(soon(t), p.name, network.CreateOptions{})
	must(t, err)
	p.network = n.ID
	t.Cleanup(func() {
		p.remove()
		must(t, p.engine.NetworkRemove(soonAfter(t), p.network))
	})
	return p
}

// soonAfter is soon for what is done when the test has ended.
func soonAfter(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// remove removes the containers that there are.
func (p *project) remove() {
	ctx := soonAfter(p.t)
	all, err := p.engine.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelProject+"="+p.name))})
	must(p.t, err)
	for _, c := range all {
		must(p.t, p.engine.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true}))
	}
}

type change func(*container.Config, *container.HostConfig)

// add starts a container of a service.
func (p *project) add(service string, number int, changes ...change) string {
	p.t.Helper()
	img, err := testImage()
	must(p.t, err)
	config := &container.Config{
		Image: img, Cmd: []string{testProgram}, Env: []string{"ROLE=web"}, ExposedPorts: nat.PortSet{"8080/tcp": {}},
		Labels: map[string]string{labelProject: p.name, labelService: service, labelNumber: strconv.Itoa(number), labelOneOff: "False"},
	}
	host := &container.HostConfig{NetworkMode: container.NetworkMode(p.network)}
	for _, c := range changes {
		c(config, host)
	}
	made, err := p.engine.ContainerCreate(soon(p.t), config, host, nil, nil, "")
	must(p.t, err)
	must(p.t, p.engine.ContainerStart(soon(p.t), made.ID, container.StartOptions{}))
	return made.ID
}

// published lets the engine choose the port, which changes with each start.
func published(_ *container.Config, h *container.HostConfig) {
	h.PortBindings = nat.PortMap{"8080/tcp": {{HostIP: "127.0.0.1"}}}
}

func restarts(policy container.RestartPolicyMode) change {
	return func(_ *container.Config, h *container.HostConfig) {
		h.RestartPolicy = container.RestartPolicy{Name: policy}
	}
}

func variable(v string) change {
	return func(c *container.Config, _ *container.HostConfig) { c.Env = append(c.Env, v) }
}

func label(name, value string) change {
	return func(c *container.Config, _ *container.HostConfig) { c.Labels[name] = value }
}

func service() spec.Service {
	return spec.Service{Ports: map[string]string{"http": "8080"}, Ready: spec.Readiness{HTTP: "/health", Within: "60s"}, Metrics: "/metrics"}
}

func options(project string, services map[string]spec.Service) Options {
	e, err := FindEndpoint(os.Getenv)
	if err != nil {
		panic(err)
	}
	return Options{
		RunID: fmt.Sprintf("run%d", os.Getpid()), Experiment: project, Endpoint: e, Project: project, Spec: spec.Environment{Services: services}, LogDir: os.TempDir(), Helpers: helpers(),
	}
}

func helpers() Helpers {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return Helpers{
		Self: self, Connect: func(in io.WriteCloser, out io.Reader, lost func()) target.HelperClient {
			return agent.NewWatching(in, out, lost)
		},
		Jobs: Jobs{
			Memory: []string{agent.MemoryJob, agent.DiskFillJob}, Self: agent.SelfJob,
			Signal: func(container, signal string) (string, any) {
				return agent.SignalJob, agent.SignalConfig{Container: container, Signal: signal}
			},
			Score: func(score *int) (string, any) { return agent.ScoreJob, agent.ScoreConfig{Score: score} },
			Link: func(l impair.Link, f impair.Fault) (string, any) {
				return agent.LinkJob, agent.LinkConfig{Link: l, Fault: f}
			},
			Requests: func(l impair.Link, f intercept.Fault) (string, any) {
				return agent.HTTPJob, agent.HTTPConfig{Link: l, Fault: f}
			},
			RoundTrip: func(url string, from impair.Range) (string, any) {
				return agent.RoundTripJob, agent.RoundTripConfig{URL: url, Ports: from}
			},
		},
	}
}

// world is an environment that is up, and what it has said.
type world struct {
	*Environment
	t     *testing.T
	undos []target.Undo

	mu     sync.Mutex
	events []target.Event
	read   chan struct{} // closed when there are no more events
}

func (p *project) world(services ...string) *world {
	p.t.Helper()
	all := map[string]spec.Service{}
	for _, name := range services {
		all[name] = service()
	}
	o := options(p.name, all)
	o.LogDir = p.t.TempDir()
	return p.worldOf(o)
}

// worldOf brings an environment up; the test takes it down and sees that nothing of it is left.
func (p *project) worldOf(o Options) *world {
	p.t.Helper()
	w := begin(p.t, o)
	must(p.t, w.Up(soon(p.t), w.record))
	p.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		must(p.t, w.Down(ctx))
		left, err := ours(ctx, p.engine, w.id)
		if err != nil || len(left) > 0 {
			p.t.Errorf("left of the environment: %v %v", left, err)
		}
		images, err := p.engine.ImageList(ctx, image.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", labelOurs+"="+mark(w.id)))})
		if err != nil || len(images) > 0 {
			p.t.Errorf("left of its images: %v %v", images, err)
		}
		must(p.t, w.Close())
		<-w.read
	})
	return w
}

func begin(t *testing.T, o Options) *world {
	w := &world{Environment: New(o), t: t, read: make(chan struct{})}
	go func() {
		defer close(w.read)
		for e := range w.Events() {
			w.mu.Lock()
			w.events = append(w.events, e)
			w.mu.Unlock()
		}
	}()
	return w
}

func (w *world) record(u target.Undo) error { w.undos = append(w.undos, u); return nil }

func (w *world) one(service string) target.Target {
	w.t.Helper()
	all, err := w.Resolve(soon(w.t), target.Selection{Services: []string{service}})
	must(w.t, err)
	if len(all) != 1 {
		w.t.Fatalf("%d instances of %s, want 1", len(all), service)
	}
	return all[0]
}

func (w *world) status(t target.Target) target.Status {
	w.t.Helper()
	st, err := w.Inspect(soon(w.t), t)
	must(w.t, err)
	return st
}

// said answers the types of what was said of an instance.
func (w *world) said(instance string) []target.EventType {
	var types []target.EventType
	for _, e := range w.of(instance) {
		types = append(types, e.Type)
	}
	return types
}

func (w *world) of(instance string) []target.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []target.Event
	for _, e := range w.events {
		if e.Instance == instance {
			all = append(all, e)
		}
	}
	return all
}

func (w *world) awaitEvents(instance string, want ...target.EventType) {
	w.t.Helper()
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("said of %s: %+v", instance, w.of(instance))
		}
	})
	eventually(w.t, fmt.Sprintf("%s: %v", instance, want), func() bool { return slices.Equal(w.said(instance), want) })
}

// get asks a service over the address that callers get.
func (w *world) get(service, path string) (string, error) {
	w.t.Helper()
	base, err := w.URL(service)
	must(w.t, err)
	return fetch(w.t, base+path)
}

// fetch is longer than what is asked may be, of callers.
func fetch(t *testing.T, url string) (string, error) { return fetchWithin(t, url, 15*time.Second) }

func fetchWithin(t *testing.T, url string, limit time.Duration) (string, error) {
	c := http.Client{Timeout: limit, Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	must(t, err)
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}
