package experiments

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"chaosgate/pkg/pgtest"
)

// composePostgres starts the shop with its orders in a server in a container.
func composePostgres(t *testing.T) composed {
	t.Helper()
	needsCompose(t)
	t.Setenv("POSTGRES_IMAGE", pgtest.Image(t))
	t.Setenv("ORDERS_DB_PASSWORD", serverPassword)
	return composeOf(t, "compose-postgres", 3)
}

const serverPassword = "Hn3kV5wQ8zXc"

// ours is how many sessions of faults the server has, seen from another database: a superuser on the one that is hit would not be refused, which db.exhaust says.
func (c composed) ours() int {
	c.t.Helper()
	code, said := output(c.t, "docker", "exec", c.inspect("db").ID, "psql", "-U", "admin", "-d", "postgres", "-Atqc",
		"SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'chaos/%'")
	n, err := strconv.Atoi(strings.TrimSpace(said))
	if code != 0 || err != nil {
		c.t.Fatalf("exit code %d: %s", code, said)
	}
	return n
}

// unharmed waits until nothing of a fault is left on the server and service-b writes.
func (c composed) unharmed() {
	c.t.Helper()
	c.eventually("no session of a fault is left", func() bool { return c.ours() == 0 })
	c.eventually("service-b writes", func() bool { return strings.Contains(c.fetch("service-b", "/work"), `"db":"ok"`) })
}

// manySessions says whether a fault has more than the session that looks.
func manySessions(c composed) bool { return c.ours() > 1 }

// journalOf is the journal of the only run.
func journalOf(t *testing.T, reports string) string {
	t.Helper()
	journals, err := filepath.Glob(filepath.Join(reports, "*", "journal.jsonl"))
	if err != nil || len(journals) != 1 {
		t.Fatalf("journals: %v, %v", journals, err)
	}
	text, err := os.ReadFile(journals[0])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The same file as on SQLite, and faults that only a server can have, on a server that is a container of the project; and what is left when their runner is killed.
func TestPostgreSQLOnCompose(t *testing.T) {
	c := composePostgres(t)
	t.Run("the gate opens", func(t *testing.T) {
		code, r, said := decided(t, c.program, "--env", c.environment, "experiments/database-failure.yaml", c.experiment("db.terminate, target: {service: service-b}", "3s"))
		if code != 0 || r.Gate != "OPEN" {
			t.Errorf("exit code %d, gate %s:\n%s", code, r.Gate, said)
		}
		c.unharmed()
	})
	t.Run("what is of SQLite is refused", func(t *testing.T) {
		code, said := output(t, c.program, "validate", "experiments/database-readonly.yaml", "--env", c.environment)
		if code != 3 || !strings.Contains(said, "db.readonly acts on databases of SQLite") {
			t.Errorf("exit code %d:\n%s", code, said)
		}
	})
	for _, fault := range []string{"db.lock", "db.exhaust"} {
		t.Run("a killed runner of "+fault, func(t *testing.T) {
			runner, reports := c.hit(fault, manySessions)
			_ = runner.Process.Kill()
			c.unharmed()
			c.eventually("the guard has seen that", func() bool { return strings.Contains(journalOf(t, reports), `"type":"undo.done"`) })
			if strings.Contains(journalOf(t, reports), serverPassword) {
				t.Error("the password is in the journal")
			}
		})
	}
	t.Run("a killed runner and guard, then rollback", func(t *testing.T) {
		runner, reports := c.hit("db.lock", manySessions)
		journals, err := filepath.Glob(filepath.Join(reports, "*", "journal.jsonl"))
		if err != nil || len(journals) != 1 {
			t.Fatalf("journals: %v, %v", journals, err)
		}
		killGuard(t, runner.Process.Pid, journals[0])
		_ = runner.Wait()
		if code, said := output(t, c.program, "rollback", "--reports", reports); code != 0 || !strings.Contains(said, "db.lock on service-b-1") {
			t.Errorf("exit code %d:\n%s", code, said)
		}
		c.unharmed()
	})
}
