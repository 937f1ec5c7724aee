//go:build !race

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/journal"
	"chaosgate/pkg/pgtest"
	"chaosgate/pkg/verdict"
)

// serverPassword is the variable that chaos.yaml names.
const serverPassword = "ORDERS_DB_PASSWORD"

// serverProject is the shipped project with its orders in a PostgreSQL server that was there before.
func serverProject(t *testing.T, s *pgtest.Server) projectCopy {
	t.Helper()
	dir := shippedServices(t)
	path := filepath.Join(dir, configFile)
	config, err := os.ReadFile(path)
	must(t, err)
	text := string(config)
	at := fmt.Sprintf("%s:${secret.orders-db}@127.0.0.1:%d/orders", "%s", s.Port)
	text = replaceOnce(t, text, `DATABASE_PATH: "${data}/orders.db"`, fmt.Sprintf(`DATABASE_URL: "postgres://`+at+`"`, "service"))
	text = replaceOnce(t, text, `databases: {orders: "${data}/orders.db"}`, fmt.Sprintf(`databases: {orders: "postgres://`+at+`"}`, "chaos"))
	must(t, os.WriteFile(path, []byte(text), 0o644))
	return projectCopy{t: t, dir: dir, mark: marker + "=" + dir, more: []string{serverPassword + "=" + pgtest.Password}}
}

// serverExperiment is the shipped experiment on a locked database with other steps.
func (p projectCopy) serverExperiment(name, steps string) string {
	p.t.Helper()
	text, err := os.ReadFile(shipped(p.t, "database-failure")[0])
	must(p.t, err)
	head, rest, ok := strings.Cut(string(text), "steps:\n")
	_, end, found := strings.Cut(rest, "abortWhen:\n")
	if !ok || !found {
		p.t.Fatal("the shipped experiment has changed")
	}
	path := filepath.Join(p.dir, name+".yaml")
	must(p.t, os.WriteFile(path, []byte(strings.Replace(head, "name: database-failure", "name: "+name, 1)+"steps:\n"+steps+`
  - id: callers-see-no-errors
    during: hit
    ratio: {part: 'chaos_requests_total{to="service-a",status!~"2.."}', total: 'chaos_requests_total{to="service-a"}'}
    expect: {max: $errors}

abortWhen:
`+end), 0o644))
	return path
}

const terminated = `
  - id: hit
    fault: db.terminate
    target: {service: service-b}
    duration: 5s
  - id: b-feels-it
    during: hit
    promql: sum(increase(service_errors_total{service="service-b",kind="error"}[$window]))
    expect: {min: 1}
`

// Service-b keeps its connection, so that all others are taken is felt when it starts anew.
const exhausted = `
  - id: hit
    fault: db.exhaust
    target: {service: service-b, database: orders}
    duration: 6s
  - id: restart
    during: hit
    fault: service.kill
    target: {service: service-b}
  - id: b-feels-it
    during: hit
    promql: sum(increase(service_errors_total{service="service-b",kind="busy"}[$window]))
    expect: {min: 1}
`

const terminatedOnce = `
  - id: hit
    fault: service.pause
    target: {service: service-b}
    duration: 3s
  - id: sessions
    needs: [hit]
    fault: db.terminate
    target: {service: service-b}
`

// The real services on a real server: their protections hold, and without them the gate closes. Nothing of it is left on the server, and the password is nowhere.
func TestRunsOnPostgreSQL(t *testing.T) {
	s := pgtest.Start(t)
	p := serverProject(t, s)
	files := []string{
		shipped(t, "database-failure")[0], p.serverExperiment("terminated", terminated), p.serverExperiment("exhausted", exhausted), p.serverExperiment("terminated-once", terminatedOnce),
	}
	for name, c := range map[string]struct {
		args []string
		exit int
	}{
		"sound":    {files, 0},
		"weakened": {append(files[:1:1], "--weakened", "no-fallback"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			reports := t.TempDir()
			code, said := p.decided(append([]string{"run", "--seed", "2", "--reports", reports}, c.args...)...)
			if code != c.exit {
				t.Errorf("exit code %d, want %d:\n%s", code, c.exit, said)
			}
			t.Log(said)
			nothingOn(p, s)
			if strings.Contains(said, pgtest.Password) {
				t.Errorf("the password was said:\n%s", said)
			}
			nowhereBelow(t, reports, pgtest.Password)
		})
	}
}

// decided runs a command until it is decided, and answers how it ended.
func (p projectCopy) decided(args ...string) (code int, said string) {
	p.t.Helper()
	untilDecided(p.t, func() (string, bool) {
		cmd := p.command(args...)
		text, _ := cmd.CombinedOutput() // how it ended is looked at
		code, said = cmd.ProcessState.ExitCode(), string(text)
		return said, code != verdict.ExitInconclusive
	})
	return code, said
}

// A run that is killed in the middle of each fault leaves nothing on the server, and its guard sees that; so does one whose guard was killed before it, once it is rolled
// back.
func TestAKilledRunLeavesNothingOnPostgreSQL(t *testing.T) {
	s := pgtest.Start(t)
	p := serverProject(t, s)
	for name, file := range map[string]string{"database-failure": shipped(t, "database-failure")[0], "exhausted": p.serverExperiment("exhausted", exhausted)} {
		t.Run(name, func(t *testing.T) {
			p := p
			p.t = t
			must(t, os.RemoveAll(filepath.Join(p.dir, "reports")))
			run := p.start("run", file)
			p.waitFor(journal.FaultActive)
			run.signal(syscall.SIGKILL)
			_ = run.cmd.Wait() // it was killed
			nothingOn(p, s)
			p.nothingIsLeft()
			p.nothingIsPending()
			nowhereBelow(t, filepath.Join(p.dir, "reports"), pgtest.Password)
		})
	}
	t.Run("and its guard", func(t *testing.T) {
		p := p
		p.t = t
		must(t, os.RemoveAll(filepath.Join(p.dir, "reports")))
		run := p.start("run", shipped(t, "database-failure")[0])
		p.waitFor(journal.FaultActive)
		run.signal(syscall.SIGSTOP) // it must not start another guard
		p.killGuard()
		run.signal(syscall.SIGKILL)
		_ = run.cmd.Wait() // it was killed
		poor := p
		poor.more = nil
		if said := poor.run(6, "rollback"); !strings.Contains(said, serverPassword) {
			t.Errorf("it does not say which variable is missing:\n%s", said)
		}
		p.run(0, "rollback")
		nothingOn(p, s)
		p.nothingIsLeft()
		p.nothingIsPending()
	})
}

// nothingOn waits until no session of a fault is left, and tries to write.
func nothingOn(p projectCopy, s *pgtest.Server) {
	p.t.Helper()
	p.eventually("no session of a fault is left", func() bool { return s.Sessions() == 0 })
	s.Exec("orders", "SET lock_timeout = '5s'; DELETE FROM orders")
}

// nowhereBelow fails if a text is in one of the files of a folder.
func nowhereBelow(t *testing.T, dir, text string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if strings.Contains(string(content), text) {
			t.Errorf("%q is in %s", text, path)
		}
		return err
	}))
}

// onOwnServer gives service-b ten seconds to reach a server that has only just begun.
const onOwnServer = `apiVersion: chaos/v1
name: own-server
traffic:
  - {service: service-b, path: /work, rate: 20/s}
steadyState:
  - {id: b-writes, promql: 'sum(increase(db_operation_duration_seconds_count{service="service-b",outcome="ok"}[$window]))', window: 10s, expect: {min: 1}}
recovery: {within: 30s, for: 1s}
steps:
  - {id: hit, fault: db.lock, target: {service: service-b}, duration: 4s}
  - {id: b-feels-it, during: hit, promql: 'sum(increase(service_errors_total{service="service-b",kind="busy"}[$window]))', expect: {min: 1}}
  - {id: ended, needs: [hit], fault: db.terminate, target: {service: service-b}}
`

// A server that is a service of the environment, begun by its command: faults reach it at its own port, and it ends with the environment, also if the runner is killed.
func TestPostgreSQLAsAService(t *testing.T) {
	bin, data, as := pgtest.Programs(t), pgtest.Folder(t), pgtest.User(t)
	dir := shippedServices(t)
	path := filepath.Join(dir, configFile)
	config, err := os.ReadFile(path)
	must(t, err)
	text := replaceOnce(t, string(config), `DATABASE_PATH: "${data}/orders.db"`, `DATABASE_URL: "postgres://admin@${link.db}/postgres"`)
	text = replaceOnce(t, text, `databases: {orders: "${data}/orders.db"}`, `databases: {orders: "postgres://admin@db:5432/postgres"}
        links: [db]`)
	text = replaceOnce(t, text, "\n    # Each takes protections away", fmt.Sprintf(`
      db:
        command: %s
        ports: {sql: 5432}
        ready: {within: 60s}
        stop: 2s

    # Each takes protections away`, strings.ReplaceAll(fmt.Sprintf("%q", append(as, "sh", "-c",
		fmt.Sprintf(`rm -rf %[1]s/data && %[2]s/initdb -D %[1]s/data -U admin --auth=trust --no-sync -E UTF8 --locale=C && exec %[2]s/postgres -D %[1]s/data -p ${port.sql} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off`,
			data, bin))), `" "`, `", "`)))
	must(t, os.WriteFile(path, []byte(text), 0o644))
	p := projectCopy{t: t, dir: dir, mark: marker + "=" + dir}
	own := filepath.Join(dir, "own.yaml")
	must(t, os.WriteFile(own, []byte(onOwnServer), 0o644))
	if code, said := p.decided("run", "--reports", t.TempDir(), own); code != verdict.ExitOpen {
		t.Fatalf("exit code %d:\n%s", code, said)
	}
	p.nothingIsLeft()
	run := p.start("run", own)
	slow := p
	slow.longer = time.Minute
	slow.waitFor(journal.EnvironmentUp) // the data are made anew
	slow.waitFor(journal.FaultActive)   // the steady state looks back for ten seconds
	run.signal(syscall.SIGKILL)
	_ = run.cmd.Wait() // it was killed
	p.nothingIsLeft()
	p.nothingIsPending()
}
