package target

import (
	"encoding/json"
	"slices"
	"testing"
)

// A link to one port is another one than that to all, of which it is a part; what is to all is written as it always was.
func TestLinksToPorts(t *testing.T) {
	all := Link{From: "a", To: "b"}
	sql, admin, other := all, all, Link{From: "c", To: "b", Port: "sql"}
	sql.Port, admin.Port = "sql", "admin"
	for _, c := range []struct {
		x, y Link
		want bool
	}{{all, all, true}, {all, sql, true}, {sql, all, true}, {sql, sql, true}, {sql, admin, false}, {sql, other, false}, {all, other, false}} {
		if got := c.x.Overlaps(c.y); got != c.want {
			t.Errorf("%s overlaps %s: %v", c.x, c.y, got)
		}
	}
	for l, want := range map[Link]string{all: `{"from":"a","to":"b"}`, sql: `{"from":"a","to":"b","port":"sql"}`} {
		if text, err := json.Marshal(l); err != nil || string(text) != want {
			t.Errorf("%s is written as %s, %v", l, text, err)
		}
	}
}

// With a port and without a peer the links into a service are meant.
func TestFindLinks(t *testing.T) {
	all := []Link{{From: "a", To: "b"}, {From: "b", To: "c"}, {From: Outside, To: "b"}}
	targets := func(service string) []Target { return []Target{{Ref: Ref{Service: service, Instance: service + "-1"}}} }
	for _, c := range []struct {
		service, to, port string
		want              []string
		fails             string
	}{
		{"a", "b", "", []string{"a -> b"}, ""},
		{"a", "b", "sql", []string{"a -> b:sql"}, ""},
		{"b", "", "", []string{"a -> b", "b -> c", "outside -> b"}, ""},
		{"b", "", "sql", []string{"a -> b:sql", "outside -> b:sql"}, ""},
		{"a", "", "sql", nil, "no link leads to a, and so to its port sql; there are a -> b, b -> c, outside -> b"},
		{"a", "c", "sql", nil, "there is no link from a to c; there are a -> b, b -> c, outside -> b"},
		{"d", "", "", nil, "d has no links; there are a -> b, b -> c, outside -> b"},
	} {
		found, err := FindLinks(all, targets(c.service), c.to, c.port)
		var names []string
		for _, l := range found {
			names = append(names, l.String())
		}
		if !slices.Equal(names, c.want) || (err == nil) != (c.fails == "") || err != nil && err.Error() != c.fails {
			t.Errorf("of %s to %q, port %q: %q, %v", c.service, c.to, c.port, names, err)
		}
	}
}
