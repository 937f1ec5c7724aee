package spec

import (
	"strings"
	"testing"
)

func TestParseServer(t *testing.T) {
	for text, want := range map[string]struct {
		server Server
		url    string
	}{
		"postgres://chaos@db/orders":                             {Server{Role: "chaos", Host: "db", Port: "5432", Database: "orders"}, "postgres://chaos@db:5432/orders"},
		"postgresql://chaos:${secret.db-key}@127.0.0.1:6000/a":   {Server{Role: "chaos", Secret: "db-key", Host: "127.0.0.1", Port: "6000", Database: "a"}, "postgres://chaos@127.0.0.1:6000/a"},
		"postgres://it%27s@[::1]/a%20b?sslmode=verify-full":      {Server{Role: "it's", Host: "::1", Port: "5432", Database: "a b", SSLMode: "verify-full"}, "postgres://it%27s@[::1]:5432/a%20b?sslmode=verify-full"},
		"postgres://chaos:${secret.k}@db:5432/x?sslmode=require": {Server{Role: "chaos", Secret: "k", Host: "db", Port: "5432", Database: "x", SSLMode: "require"}, "postgres://chaos@db:5432/x?sslmode=require"},
	} {
		got, problem := ParseServer(text)
		if problem != "" || got != want.server {
			t.Errorf("%s: got %+v, %s", text, got, problem)
		}
		if again, problem := ParseServer(got.URL()); got.URL() != want.url || problem != "" || again.URL() != want.url {
			t.Errorf("%s: got the URL %s, and from it %+v, %s", text, got.URL(), again, problem)
		}
	}
	for text, want := range map[string]string{
		"postgres://db/orders":                                 "names no role",
		"postgres://@db/orders":                                "names no role",
		"postgres://chaos:hunter2@db/orders":                   "holds a password",
		"postgres://chaos:hunter2${secret.k}@db/orders":        "holds a password",
		"postgres://chaos:@db/orders":                          "holds a password",
		"postgres://chaos@/orders":                             "names not one host",
		"postgres://chaos@a,b/orders":                          "names not one host",
		"postgres://chaos@db":                                  "names no database",
		"postgres://chaos@db/a/b":                              "names no database",
		"postgres://chaos@db:port/a":                           "cannot be read",
		"postgres://chaos@db/a?host=elsewhere":                 "settings other than sslmode",
		"postgres://chaos@db/a?password=hunter2":               "settings other than sslmode",
		"postgres://chaos@db/a?sslmode=maybe":                  "none of disable",
		"postgres://chaos@db/a?sslmode=require&user=hunter2#x": "settings other than sslmode",
	} {
		if _, problem := ParseServer(text); !strings.Contains(problem, want) || strings.Contains(problem, "hunter2") {
			t.Errorf("%s: got %q, want %q", text, problem, want)
		}
	}
}

// FuzzParseServer: what was read can be written and read again, and says the same; and the password is nowhere in it.
func FuzzParseServer(f *testing.F) {
	f.Add("postgres://chaos:${secret.k}@db:5432/x?sslmode=require")
	f.Add("postgresql://a%3Ab@[::1]/%2F")
	f.Fuzz(func(t *testing.T, text string) {
		text = "postgres://" + text
		s, problem := ParseServer(text)
		if problem != "" {
			return
		}
		again, problem := ParseServer(s.URL())
		s.Secret = ""
		if problem != "" || again != s {
			t.Errorf("%q is %+v; written as %s it is %+v, %s", text, s, s.URL(), again, problem)
		}
	})
}
