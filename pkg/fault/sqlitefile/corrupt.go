package sqlitefile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	lib "modernc.org/sqlite/lib"
)

// The first byte of a b-tree page says of which kind it is (fileformat2, 1.6): one of four. With the damage on it, it is none, so that SQLite refuses to read the page,
// and to write it as well: nobody but Repair changes it. What it was is seen from it, which is why the undo needs no copy.
const damage = 0xc0

var pageKinds = []byte{0x02, 0x05, 0x0a, 0x0d}

func isDamaged(first byte) bool {
	return first&damage == damage && slices.Contains(pageKinds, first&^damage)
}

// IsCorrupt says whether an error is SQLITE_CORRUPT.
func IsCorrupt(err error) bool { return is(err, lib.SQLITE_CORRUPT) }

// root is where a table or an index begins.
type root struct {
	name string // of the table
	page int64
}

// Corrupt damages a table and its indexes, or with table empty all of them: whoever reads or writes one meets SQLITE_CORRUPT. It is a transaction like any other, also in
// WAL mode, and changes one byte of each. One that is damaged already is an error.
func Corrupt(ctx context.Context, path, table string) error {
	err := eachRoot(ctx, path, table, transaction.damage)
	if err != nil {
		return fmt.Errorf("damage the database %s: %w", path, err)
	}
	return nil
}

// Repair takes the damage of Corrupt off a table and its indexes, or with table empty off all that have it, and changes nothing else. Where there is no such table there is
// nothing to repair.
func Repair(ctx context.Context, path, table string) error {
	err := eachRoot(ctx, path, table, transaction.repair)
	if err != nil && !isAbsent(err) {
		return fmt.Errorf("repair the database %s: %w", path, err)
	}
	return nil
}

// CheckRepaired says why a repair is not to be seen: a table or one of its indexes has the damage still, or cannot be read. A table that is no longer there has none: a service
// may have begun a new file. It waits for no lock.
func CheckRepaired(ctx context.Context, path, table string) error {
	c, err := open(ctx, path)
	if err != nil {
		return err
	}
	err = checkRepaired(ctx, c.Conn, table)
	return errors.Join(err, c.close())
}

func checkRepaired(ctx context.Context, conn *sql.Conn, table string) error {
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil { // the pages are those that the schema names
		return err
	}
	roots, err := rootsOf(ctx, conn, table)
	switch {
	case isAbsent(err):
		return nil
	case err != nil:
		return err
	}
	for _, r := range roots {
		data, err := r.read(ctx, conn)
		if err != nil {
			return err
		}
		if isDamaged(data[0]) {
			return fmt.Errorf("the table %s has the damage still, on page %d", r.name, r.page)
		}
	}
	return readAll(ctx, conn, roots)
}

// absent is an error that says of what there is nothing to damage.
type absent string

func (a absent) Error() string { return string(a) }

func isAbsent(err error) bool {
	_, ok := errors.AsType[absent](err)
	return ok
}

// CheckCorruptible says why a table cannot be damaged: there is none, or what is there cannot be read or written to now.
func CheckCorruptible(ctx context.Context, path, table string) error {
	c, err := open(ctx, path)
	if err != nil {
		return err
	}
	err = retry(ctx, func() error {
		roots, err := rootsOf(ctx, c.Conn, table)
		if err == nil {
			err = readAll(ctx, c.Conn, roots)
		}
		return err
	})
	if err = errors.Join(err, c.close()); err != nil {
		return fmt.Errorf("the database %s cannot be damaged: %w", path, err)
	}
	if err := retry(ctx, func() error { return TryWrite(ctx, path) }); err != nil {
		return fmt.Errorf("the database %s cannot be damaged: %w", path, err)
	}
	return nil
}

// TryTables reads from a table, or from all, through a fresh connection, without waiting for locks.
func TryTables(ctx context.Context, path, table string) error {
	c, err := open(ctx, path)
	if err != nil {
		return err
	}
	roots, err := rootsOf(ctx, c.Conn, table)
	if err == nil {
		err = readAll(ctx, c.Conn, roots)
	}
	return errors.Join(err, c.close())
}

// readAll reads a row of each table.
func readAll(ctx context.Context, conn *sql.Conn, roots []root) error {
	var last string
	for _, r := range roots {
		if r.name == last {
			continue
		}
		last = r.name
		if _, err := conn.ExecContext(ctx, "SELECT 1 FROM "+identifier(r.name)+" NOT INDEXED LIMIT 1"); err != nil {
			return fmt.Errorf("read from the table %s: %w", r.name, err)
		}
	}
	return nil
}

func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// rootsOf answers where tables and their indexes begin, by the names of the tables. Of SQLite's own tables none is meant; virtual ones have no pages.
func rootsOf(ctx context.Context, conn *sql.Conn, table string) (roots []root, err error) {
	rows, err := conn.QueryContext(ctx, `SELECT tbl_name, rootpage FROM sqlite_schema
		WHERE type IN ('table', 'index') AND rootpage > 1 AND substr(tbl_name, 1, 7) <> 'sqlite_' ORDER BY tbl_name, type DESC`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var names []string
	for rows.Next() {
		var r root
		if err := rows.Scan(&r.name, &r.page); err != nil {
			return nil, err
		}
		if names = append(names, r.name); table == "" || strings.EqualFold(table, r.name) {
			roots = append(roots, r)
		}
	}
	switch err := rows.Err(); {
	case err != nil:
		return nil, err
	case len(names) == 0:
		return nil, absent("it has no tables")
	case len(roots) == 0:
		return nil, absent(fmt.Sprintf("it has no table %s; there are %s", table, strings.Join(slices.Compact(names), ", ")))
	}
	return roots, nil
}

// transaction is one that has the lock to write.
type transaction struct{ conn *sql.Conn }

// eachRoot does something to each root in one transaction, which is committed as soon as nobody reads any more, and rolled back after an error.
func eachRoot(ctx context.Context, path, table string, do func(transaction, context.Context, root) error) error {
	c, err := open(ctx, path)
	if err != nil {
		return err
	}
	run := func(statement string) error {
		return retry(ctx, func() error { _, err := c.ExecContext(ctx, statement); return err })
	}
	err = run("BEGIN IMMEDIATE")
	var roots []root
	if err == nil {
		roots, err = rootsOf(ctx, c.Conn, table)
	}
	for _, r := range roots {
		if err == nil {
			err = do(transaction{c.Conn}, ctx, r)
		}
	}
	if err == nil {
		err = run("COMMIT")
	}
	return errors.Join(err, c.close()) // which rolls back what was not committed
}

// read answers its page as SQLite sees it, wherever it is kept.
func (r root) read(ctx context.Context, conn *sql.Conn) (data []byte, err error) {
	err = conn.QueryRowContext(ctx, "SELECT data FROM sqlite_dbpage WHERE pgno = ?", r.page).Scan(&data)
	if err == nil && len(data) == 0 {
		err = fmt.Errorf("page %d of the table %s is empty", r.page, r.name)
	}
	return data, err
}

func (tx transaction) write(ctx context.Context, r root, data []byte) error {
	_, err := tx.conn.ExecContext(ctx, "UPDATE sqlite_dbpage SET data = ? WHERE pgno = ?", data, r.page)
	return err
}

func (tx transaction) damage(ctx context.Context, r root) error {
	data, err := r.read(ctx, tx.conn)
	if err != nil {
		return err
	}
	if !slices.Contains(pageKinds, data[0]) {
		return fmt.Errorf("the table %s is damaged already", r.name)
	}
	data[0] |= damage
	return tx.write(ctx, r, data)
}

func (tx transaction) repair(ctx context.Context, r root) error {
	data, err := r.read(ctx, tx.conn)
	if err != nil || !isDamaged(data[0]) {
		return err
	}
	data[0] &^= damage
	return tx.write(ctx, r, data)
}
