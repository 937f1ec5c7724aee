package pgtest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chaosgate/pkg/imagetest"
)

// entry makes the data when there are none, as the official image does: with the scripts of a folder. After that it is the server.
const entry = `#!/bin/sh
set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	echo "$POSTGRES_PASSWORD" >/tmp/password
	initdb -U "$POSTGRES_USER" --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256 --no-sync -E UTF8 --locale=C
	echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
	pg_ctl -w -o "-c listen_addresses=" start
	psql -U "$POSTGRES_USER" -d postgres -c "CREATE DATABASE $POSTGRES_DB"
	for script in /docker-entrypoint-initdb.d/*.sh; do . "$script"; done
	pg_ctl -w -m fast stop
fi
exec "$@" -c listen_addresses=*
`

// Image makes an image of the machine's own PostgreSQL, which takes the same variables as the official one as far as the project uses them, and answers its name. It goes
// with the test.
func Image(t testing.TB) string {
	t.Helper()
	bin := Programs(t)
	programs := []string{"/bin/sh"}
	for _, name := range []string{"postgres", "initdb", "pg_ctl", "psql", "pg_isready"} {
		programs = append(programs, filepath.Join(bin, name))
	}
	modules, err := filepath.Glob(filepath.Join(filepath.Dir(bin), "lib", "*.so"))
	must(t, err)
	modules = slices.DeleteFunc(modules, func(m string) bool { return strings.HasPrefix(filepath.Base(m), "llvmjit") })
	return imagetest.Image{
		Name: "postgres", Programs: append(programs, modules...),
		Folders: []string{"/tmp", "/run", "/var/run", "/var/run/postgresql", "/var/lib/postgresql", "/var/lib/postgresql/data"},
		Texts: map[string]string{
			"/etc/passwd": fmt.Sprintf("postgres:x:%d:%[1]d::/tmp:/bin/sh\n", imagetest.User),
			"/entry.sh":   entry,
		},
		Trees:   []string{filepath.Join("/usr/share/postgresql", filepath.Base(filepath.Dir(bin)))},
		Changes: []string{`ENTRYPOINT ["/bin/sh", "/entry.sh"]`, `CMD ["postgres"]`, "ENV PATH=" + bin + " PGDATA=/var/lib/postgresql/data/pg TZ=UTC"},
	}.Import(t)
}
