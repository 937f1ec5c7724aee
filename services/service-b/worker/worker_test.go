package worker

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chaosgate/services/internal/telemetry"
	"chaosgate/services/service-b/store"
)

// running is a worker behind a real listener, on a real database file.
type running struct {
	url, path string
	store     *store.Store
}

// start runs a worker with the settings of env over the defaults.
func start(t *testing.T, env ...string) running {
	t.Helper()
	path := filepath.Join(t.TempDir(), "b.db")
	env = append(env, "DATABASE_PATH="+path)
	c, err := ReadConfig(lookup(env))
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(path, store.Options{BusyTimeout: c.BusyTimeout, Synchronous: c.Synchronous})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(Handler(c, db, slog.New(slog.DiscardHandler)))
	t.Cleanup(func() { srv.Close(); db.Close() })
	return running{srv.URL, path, db}
}

func lookup(env []string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, pair := range slices.Backward(env) {
			if k, v, _ := strings.Cut(pair, "="); k == name {
				return v, true
			}
		}
		return "", false
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func work(t *testing.T, url string) (int, Answer) {
	t.Helper()
	status, body := get(t, url+"/work")
	var a Answer
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return status, a
}

func expect(t *testing.T, url string, status int, db store.Outcome, degraded bool) {
	t.Helper()
	if got, a := work(t, url); got != status || a.DB != db || a.Degraded != degraded {
		t.Errorf("status %d, db %s, degraded %t; want %d, %s, %t", got, a.DB, a.Degraded, status, db, degraded)
	}
}

func expectMetric(t *testing.T, url string, lines ...string) {
	t.Helper()
	_, text := get(t, url+"/metrics")
	for _, line := range lines {
		if !slices.Contains(strings.Split(text, "\n"), line) {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
}

// lock takes SQLite's exclusive lock through a connection of its own and returns its release.
func lock(t *testing.T, path string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("BEGIN EXCLUSIVE"); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() { db.Close() })
	t.Cleanup(release)
	return release
}

// setWriteVersion changes byte 18 of the file's header, above 2 is read-only, and the change counter at 24.
func setWriteVersion(t *testing.T, path string, version byte) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[18] = version
	binary.BigEndian.PutUint32(content[24:], binary.BigEndian.Uint32(content[24:])+1)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWorkWritesOneOrderForARequestID(t *testing.T) {
	b := start(t)
	for _, method := range []string{"POST", "POST", "GET"} {
		req, _ := http.NewRequest(method, b.url+"/work?key=tea", nil)
		req.Header.Set(RequestID, "once")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var a Answer
		err = json.NewDecoder(resp.Body).Decode(&a)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || a.ID != "once" || len(a.Orders) != 1 || a.DB != store.OK || a.Degraded {
			t.Errorf("%s: %d %+v %v", method, resp.StatusCode, a, err)
		}
	}
	expectMetric(t, b.url, `http_requests_total{path="/work",status="200"} 3`,
		`db_operation_duration_seconds_count{op="write",outcome="ok"} 3`)
}

func TestBadKey(t *testing.T) {
	if status, body := get(t, start(t).url+"/work?key="+strings.Repeat("k", 65)); status != 400 {
		t.Errorf("%d %s", status, body)
	}
}

func TestLockedDatabaseIsBusy(t *testing.T) {
	b := start(t, "DB_BUSY_TIMEOUT=20ms")
	release := lock(t, b.path)
	expect(t, b.url, 503, store.Busy, false)
	expectMetric(t, b.url, `service_errors_total{kind="busy"} 1`, `http_requests_total{path="/work",status="503"} 1`,
		`db_operation_duration_seconds_count{op="write",outcome="busy"} 1`)
	release()
	expect(t, b.url, 200, store.OK, false)
}

// A short lock is waited for; without the busy timeout it is an error at once.
func TestBusyTimeoutSwitch(t *testing.T) {
	for value, want := range map[string]int{"2s": 200, "off": 503} {
		b := start(t, "DB_BUSY_TIMEOUT="+value, "DB_TIMEOUT=off")
		release := lock(t, b.path)
		if want == 200 { // the other one must meet the lock, however late it comes
			time.AfterFunc(50*time.Millisecond, release)
		}
		if status, _ := work(t, b.url); status != want {
			t.Errorf("DB_BUSY_TIMEOUT=%s: status %d, want %d", value, status, want)
		}
	}
}

func TestReadOnlyFallbackSwitch(t *testing.T) {
	for value, status := range map[string]int{"on": 200, "off": 503} {
		b := start(t, "DB_READONLY_FALLBACK="+value)
		expect(t, b.url, 200, store.OK, false)
		setWriteVersion(t, b.path, 3)
		for range 2 {
			expect(t, b.url, status, store.ReadOnly, value == "on")
		}
		expectMetric(t, b.url, `service_errors_total{kind="readonly"} 2`)
		setWriteVersion(t, b.path, 1)
		if value == "off" {
			work(t, b.url) // the connection that saw the read-only file goes with this answer
		}
		expect(t, b.url, 200, store.OK, false)
	}
}

// A long lock is given up after DB_TIMEOUT; without it the worker waits as long as SQLite does.
func TestDBTimeoutSwitch(t *testing.T) {
	for value, want := range map[string]int{"30ms": 503, "off": 200} {
		b := start(t, "DB_TIMEOUT="+value, "DB_BUSY_TIMEOUT=5s")
		release := lock(t, b.path)
		if want == 200 {
			time.AfterFunc(200*time.Millisecond, release)
		}
		if status, a := work(t, b.url); status != want || want == 503 && a.DB != store.Timeout {
			t.Errorf("DB_TIMEOUT=%s: status %d, db %s; want %d", value, status, a.DB, want)
		}
	}
}

// Beyond MAX_INFLIGHT requests are refused at once; without it they wait with the others.
func TestMaxInflightSwitch(t *testing.T) {
	for value, refused := range map[string]int{"1": 2, "off": 0} {
		b := start(t, "MAX_INFLIGHT="+value, "DB_BUSY_TIMEOUT=10s", "DB_TIMEOUT=off")
		release := lock(t, b.path)
		statuses := make(chan int, 3)
		for range 3 {
			go func() {
				resp, err := http.Get(b.url + "/work")
				if err != nil {
					statuses <- 0
					return
				}
				resp.Body.Close()
				statuses <- resp.StatusCode
			}()
		}
		count := map[int]int{}
		for n := range 3 {
			if n == refused { // all that are to be refused have been, and the others wait, or come
				time.AfterFunc(150*time.Millisecond, release)
			}
			count[<-statuses]++
		}
		if count[503] != refused || count[200] != 3-refused {
			t.Errorf("MAX_INFLIGHT=%s: %v, want %d refused", value, count, refused)
		}
	}
}

func TestCallerWhoLeftIsNoError(t *testing.T) {
	b := start(t, "DB_BUSY_TIMEOUT=10s", "DB_TIMEOUT=off")
	lock(t, b.path)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // time enough to arrive
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", b.url+"/work", nil)
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Fatal("the locked worker answered")
	}
	const left = `http_requests_total{path="/work",status="499"} 1`
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		_, text := get(t, b.url+"/metrics")
		if strings.Contains(text, left) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s in\n%s", left, text)
		}
	}
	expectMetric(t, b.url, `service_errors_total{kind="busy"} 0`, `service_errors_total{kind="timeout"} 0`)
}

func TestHealthSaysWhatTheDatabaseDid(t *testing.T) {
	b := start(t, "DB_BUSY_TIMEOUT=off")
	expectHealth := func(want string) {
		t.Helper()
		if status, body := get(t, b.url+"/health"); status != 200 || strings.TrimSpace(body) != want {
			t.Errorf("%d %s, want 200 %s", status, body, want)
		}
	}
	expectHealth(`{"db":"ok","ready":true,"service":"service-b","status":"ok"}`)
	release := lock(t, b.path)
	work(t, b.url)
	expectHealth(`{"db":"busy","ready":false,"service":"service-b","status":"ok"}`)
	release()
	work(t, b.url)
	expectHealth(`{"db":"ok","ready":true,"service":"service-b","status":"ok"}`)
}

func TestServesOverADatabaseThatIsLockedFromTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	release := lock(t, path)
	c, err := ReadConfig(lookup([]string{"DATABASE_PATH=" + path, "DB_BUSY_TIMEOUT=off"}))
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(path, store.Options{Synchronous: "off"})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var log strings.Builder
	srv := httptest.NewServer(Handler(c, db, slog.New(slog.NewTextHandler(&log, nil))))
	defer srv.Close()
	if !strings.Contains(log.String(), "outcome=busy") {
		t.Errorf("the log does not say that the database is busy: %s", log.String())
	}
	expect(t, srv.URL, 503, store.Busy, false)
	release()
	expect(t, srv.URL, 200, store.OK, false)
}

func TestMetricsAreTheFourFamiliesAndCountOnlyWork(t *testing.T) {
	b := start(t)
	for _, path := range []string{"/health", "/metrics", "/nothing-here"} {
		get(t, b.url+path)
	}
	_, text := get(t, b.url+"/metrics")
	var names []string
	for _, match := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(text, -1) {
		names = append(names, match[1])
	}
	want := []string{"db_operation_duration_seconds", "http_request_duration_seconds", "http_requests_total", "service_errors_total"}
	if !slices.Equal(names, want) {
		t.Errorf("families %q, want %q", names, want)
	}
	for _, status := range []string{"200", "400", "499", "500", "503"} {
		expectMetric(t, b.url, `http_requests_total{path="/work",status="`+status+`"} 0`)
	}
	for _, kind := range []string{"busy", "readonly", "full", "corrupt", "timeout", "error", "shed"} {
		expectMetric(t, b.url, `service_errors_total{kind="`+kind+`"} 0`)
	}
	if n := strings.Count(text, "http_requests_total{"); n != 5 {
		t.Errorf("%d series of requests, want 5: something other than /work was counted", n)
	}
}

func TestReceiptSwitch(t *testing.T) {
	for value, want := range map[string]int{"3": 64, "off": 0} {
		if status, a := work(t, start(t, "RECEIPT_ROUNDS="+value).url); status != 200 || len(a.Receipt) != want {
			t.Errorf("RECEIPT_ROUNDS=%s: %d, receipt %q", value, status, a.Receipt)
		}
	}
}

func TestReceipt(t *testing.T) {
	// printf abc | sha256sum | cut -c1-64 | xxd -r -p | sha256sum
	const twice = "4f8b42c22dd3729b519ba6f68d2da7cc5b2d606d05daed5ad5128cc03e6c6358"
	if got, err := receipt(t.Context(), "abc", 2); got != twice || err != nil {
		t.Errorf("receipt %s, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := receipt(ctx, "abc", 1<<40); err != context.Canceled {
		t.Errorf("error %v, want an early end", err)
	}
}

func TestFailStatuses(t *testing.T) {
	w := &worker{metrics: telemetry.New()}
	for outcome, want := range map[store.Outcome]int{
		store.Busy: 503, store.ReadOnly: 503, store.Timeout: 503, store.Full: 503,
		store.Corrupt: 500, store.Failed: 500, store.Canceled: 499,
	} {
		rec := httptest.NewRecorder()
		w.fail(rec, outcome, io.ErrUnexpectedEOF)
		if rec.Code != want {
			t.Errorf("%s: status %d, want %d", outcome, rec.Code, want)
		}
	}
}

func TestReadConfig(t *testing.T) {
	c, err := ReadConfig(lookup(nil))
	want := Config{"0.0.0.0", 5001, "./service-b.db", "", "off", 200 * time.Millisecond, 500 * time.Millisecond, 64, true, 10_000, 0}
	if err != nil || c != want {
		t.Errorf("defaults %+v, %v", c, err)
	}
	missing := filepath.Join(t.TempDir(), "no", "b.db")
	_, err = ReadConfig(lookup([]string{"DB_SYNCHRONOUS=maybe", "DATABASE_PATH=" + missing}))
	wantErr := `DB_SYNCHRONOUS="maybe": want one of off, normal, full
DATABASE_PATH="` + missing + `": want a file in a folder that exists; there is no folder ` + filepath.Dir(missing)
	if err == nil || err.Error() != wantErr {
		t.Errorf("error %v\n want %s", err, wantErr)
	}
	c, err = ReadConfig(lookup([]string{"DATABASE_URL=postgres://a:b@host/orders"}))
	if err != nil || c.DatabaseURL != "postgres://a:b@host/orders" || c.DatabasePath != "" {
		t.Errorf("a server: %+v, %v", c, err)
	}
	_, err = ReadConfig(lookup([]string{"DATABASE_URL=mysql://a:topsecret@host/orders", "DATABASE_PATH=./b.db"}))
	wantErr = `DATABASE_PATH="./b.db": want either a file or, in DATABASE_URL, a server, and both are given
DATABASE_URL="...": want an address such as postgres://USER:PASSWORD@HOST:5432/DATABASE`
	if err == nil || err.Error() != wantErr {
		t.Errorf("error %v\n want %s", err, wantErr)
	}
}
