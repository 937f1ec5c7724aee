package sqlitefile_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"chaosgate/pkg/fault/sqlitefile"
	"chaosgate/pkg/target"
)

func read(db *sql.DB, table string) error {
	_, err := db.Exec("SELECT * FROM " + table)
	return err
}

// Everybody meets the damage, on connections that have read the tables before as well, and nobody does after the repair; the rows are the same.
func TestCorruptIsMetByEverybody(t *testing.T) {
	for _, journal := range []string{"DELETE", "TRUNCATE", "PERSIST", "MEMORY", "WAL"} {
		t.Run(journal, func(t *testing.T) {
			file := database(t, "orders.db", journal)
			old := other(t, file)
			must(t, read(old, "a"))
			must(t, insert(old))
			_, err := old.Exec("INSERT INTO b VALUES (1)")
			must(t, err)
			before := dump(t, file)
			must(t, sqlitefile.CheckCorruptible(soon(t), file, ""))
			must(t, sqlitefile.Corrupt(soon(t), file, ""))
			for name, err := range map[string]error{
				"an existing connection reads": read(old, "a"), "it writes": insert(old), "a new one reads": read(other(t, file), "b"), "it writes as well": insert(other(t, file)),
				"a try": sqlitefile.TryTables(soon(t), file, ""),
			} {
				if !sqlitefile.IsCorrupt(err) {
					t.Errorf("%s: %v", name, err)
				}
			}
			wantError(t, sqlitefile.CheckCorruptible(soon(t), file, ""), "cannot be damaged", "malformed")
			wantError(t, sqlitefile.Corrupt(soon(t), file, ""), "the table a is damaged already")
			for range 2 {
				must(t, sqlitefile.Repair(soon(t), file, ""))
				must(t, sqlitefile.CheckRepaired(soon(t), file, ""))
			}
			checkIntact(t, file)
			if after := dump(t, file); after != before {
				t.Errorf("the rows were\n%s\nand are\n%s", before, after)
			}
			must(t, read(old, "a"))
			must(t, insert(old))
			must(t, sqlitefile.TryTables(soon(t), file, ""))
		})
	}
}

// dump is all rows of both tables.
func dump(t *testing.T, file string) string {
	t.Helper()
	var text string
	must(t, other(t, file).QueryRow("SELECT (SELECT group_concat(v) FROM a) || ' ' || (SELECT group_concat(v) FROM b)").Scan(&text))
	return text
}

// One table is damaged with its indexes, and nothing else; a repair of all needs not be told which. Damage of somebody else's is left alone.
func TestOneTableIsCorrupt(t *testing.T) {
	file := database(t, "orders.db", "DELETE")
	db := other(t, file)
	_, err := db.Exec(`CREATE INDEX av ON a (v); CREATE TABLE "odd ""name" (k PRIMARY KEY) WITHOUT ROWID; INSERT INTO "odd ""name" VALUES (1); CREATE VIRTUAL TABLE words USING fts5 (w)`)
	must(t, err)
	must(t, sqlitefile.Corrupt(soon(t), file, "A"))
	if err := read(db, "a"); !sqlitefile.IsCorrupt(err) {
		t.Errorf("the table met %v", err)
	}
	if _, err := db.Exec("SELECT v FROM a INDEXED BY av WHERE v > ''"); !sqlitefile.IsCorrupt(err) {
		t.Errorf("its index met %v", err)
	}
	must(t, read(db, "b"))
	must(t, sqlitefile.TryTables(soon(t), file, "b"))
	must(t, sqlitefile.Corrupt(soon(t), file, `odd "name`))
	if err := sqlitefile.TryTables(soon(t), file, `odd "name`); !sqlitefile.IsCorrupt(err) {
		t.Errorf("the table with an odd name met %v", err)
	}
	must(t, sqlitefile.Repair(soon(t), file, ""))
	checkIntact(t, file)
	must(t, sqlitefile.Corrupt(soon(t), file, "")) // the tables behind the virtual one as well
	must(t, sqlitefile.Repair(soon(t), file, ""))
	checkIntact(t, file)

	var page int64
	must(t, db.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = 'b'").Scan(&page))
	_, err = db.Exec("UPDATE sqlite_dbpage SET data = zeroblob(4096) WHERE pgno = ?", page)
	must(t, err)
	wantError(t, sqlitefile.Corrupt(soon(t), file, ""), "the table b is damaged already")
	must(t, read(db, "a"))
	before, err := os.ReadFile(file)
	must(t, err)
	must(t, sqlitefile.Repair(soon(t), file, ""))
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a repair of what was never damaged has changed the file, %v", err)
	}
}

// Two tables are damaged by two, each of which repairs its own with the indexes.
func TestARepairOfOneTable(t *testing.T) {
	file := database(t, "orders.db", "DELETE")
	_, err := other(t, file).Exec("CREATE INDEX av ON a (v)")
	must(t, err)
	must(t, sqlitefile.Corrupt(soon(t), file, "a"))
	must(t, sqlitefile.Corrupt(soon(t), file, "b"))
	for range 2 {
		must(t, sqlitefile.Repair(soon(t), file, "B"))
	}
	must(t, sqlitefile.CheckRepaired(soon(t), file, "b"))
	must(t, read(other(t, file), "b"))
	if err := read(other(t, file), "a"); !sqlitefile.IsCorrupt(err) {
		t.Errorf("the table that another has damaged met %v", err)
	}
	for _, table := range []string{"A", ""} {
		wantError(t, sqlitefile.CheckRepaired(soon(t), file, table), "the table a has the damage still, on page ")
	}
	must(t, sqlitefile.Repair(soon(t), file, "c")) // nor is it another's
	wantError(t, sqlitefile.CheckRepaired(soon(t), file, "a"), "has the damage still")
	must(t, sqlitefile.Repair(soon(t), file, "a"))
	must(t, sqlitefile.CheckRepaired(soon(t), file, ""))
	checkIntact(t, file)
}

// A repair is to be seen where nothing can have the damage, and not where one page has it, or where a table cannot be read for another reason.
func TestWhenARepairIsToBeSeen(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.db")
	must(t, os.WriteFile(empty, nil, 0o600))
	must(t, sqlitefile.CheckRepaired(soon(t), empty, ""))
	must(t, sqlitefile.CheckRepaired(soon(t), empty, "a"))
	file := database(t, "orders.db", "DELETE")
	must(t, sqlitefile.CheckRepaired(soon(t), file, "c"))
	db := other(t, file)
	_, err := db.Exec("CREATE INDEX av ON a (v)")
	must(t, err)
	var page int64
	must(t, db.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = 'av'").Scan(&page))
	var before []byte
	must(t, db.QueryRow("SELECT data FROM sqlite_dbpage WHERE pgno = ?", page).Scan(&before))
	spoil := func(first byte) {
		t.Helper()
		data := bytes.Clone(before)
		data[0] = first
		_, err := db.Exec("UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?", data, page)
		must(t, err)
	}
	spoil(before[0] | 0xc0)
	must(t, sqlitefile.TryTables(soon(t), file, "a")) // whose index is not read
	wantError(t, sqlitefile.CheckRepaired(soon(t), file, "a"), fmt.Sprintf("the table a has the damage still, on page %d", page))
	must(t, sqlitefile.Repair(soon(t), file, "a"))
	must(t, sqlitefile.CheckRepaired(soon(t), file, "a"))
	must(t, db.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = 'b'").Scan(&page))
	spoil(0)
	if err := sqlitefile.CheckRepaired(soon(t), file, ""); !sqlitefile.IsCorrupt(err) {
		t.Errorf("what somebody else has damaged met %v", err)
	}
}

func TestWhatCannotBeCorrupt(t *testing.T) {
	file := database(t, "orders.db", "DELETE")
	for _, err := range []error{sqlitefile.CheckCorruptible(soon(t), file, "c"), sqlitefile.Corrupt(soon(t), file, "c")} {
		wantError(t, err, "it has no table c; there are a, b")
	}
	must(t, sqlitefile.MarkReadOnly(soon(t), file))
	wantError(t, sqlitefile.CheckCorruptible(soon(t), file, "a"), "cannot be damaged", "readonly")
	wantError(t, sqlitefile.Corrupt(soon(t), file, "a"), "readonly")
	must(t, sqlitefile.ClearReadOnly(soon(t), file))
	_, err := other(t, file).Exec("DROP TABLE a; DROP TABLE b")
	must(t, err)
	wantError(t, sqlitefile.CheckCorruptible(soon(t), file, ""), "it has no tables")
	must(t, sqlitefile.Repair(soon(t), file, ""))
	must(t, sqlitefile.Repair(soon(t), file, "a"))
	for _, err := range []error{sqlitefile.CheckCorruptible(soon(t), file+"x", ""), sqlitefile.Corrupt(soon(t), file+"x", ""), sqlitefile.Repair(soon(t), file+"x", ""), sqlitefile.CheckRepaired(soon(t), file+"x", ""), sqlitefile.TryTables(soon(t), file+"x", "")} {
		if !errors.Is(err, target.ErrGone) {
			t.Errorf("a file that is not there: %v", err)
		}
	}
	wantError(t, sqlitefile.Edit("none").Make(soon(t), file, ""), `edit is "none", expected read-only or corrupt`)
}

// A writer and a reader of another process are waited for until the context ends; then nothing has changed and nothing is held.
func TestCorruptWaitsForOthers(t *testing.T) {
	for name, begin := range map[string][]string{"a writer": {"BEGIN IMMEDIATE"}, "a reader": {"BEGIN", "SELECT count(*) FROM a"}} {
		t.Run(name, func(t *testing.T) {
			file := database(t, "orders.db", "DELETE")
			end := child(t, "holder", file, begin...)
			wantError(t, sqlitefile.Corrupt(short(t), file, ""), "damage the database", "time is over")
			must(t, sqlitefile.TryTables(soon(t), file, ""))
			end()
			must(t, sqlitefile.Corrupt(soon(t), file, ""))
			must(t, sqlitefile.Repair(soon(t), file, ""))
			checkIntact(t, file)
		})
	}
}

// While tables are damaged and repaired, another process that writes without pause sees nothing but SQLITE_BUSY and SQLITE_CORRUPT, and nothing is lost or torn.
func TestWriterOfAnotherProcessLosesNothing(t *testing.T) {
	for _, journal := range []string{"DELETE", "WAL"} {
		t.Run(journal, func(t *testing.T) {
			file := database(t, "orders.db", journal)
			end := child(t, "writer", file)
			for range 30 {
				must(t, sqlitefile.Corrupt(soon(t), file, ""))
				if err := sqlitefile.TryTables(soon(t), file, ""); !sqlitefile.IsCorrupt(err) && !sqlitefile.IsBusy(err) {
					t.Fatalf("a try met %v", err)
				}
				must(t, sqlitefile.Repair(soon(t), file, ""))
			}
			var wrote, refused int
			_, err := fmt.Sscan(end(), &wrote, &refused)
			must(t, err)
			if refused == 0 {
				t.Errorf("the writer wrote %d times and was never refused", wrote)
			}
			checkIntact(t, file)
			if n, err := count(other(t, file)); err != nil || n != 10+wrote {
				t.Errorf("%d rows, %v, want %d", n, err, 10+wrote)
			}
		})
	}
}
