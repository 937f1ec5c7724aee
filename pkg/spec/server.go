package spec

import (
	"cmp"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Server is a database of a PostgreSQL server as chaos.yaml writes it: postgres://ROLE[:${secret.NAME}]@HOST[:PORT]/DATABASE[?sslmode=MODE]. Host is a service of the
// environment, or where a server is.
type Server struct {
	Role, Secret         string // Secret is its name; empty is no password
	Host, Port, Database string
	SSLMode              string // empty is the usual
}

// defaultServerPort is the usual one of PostgreSQL.
const defaultServerPort = "5432"

// IsServer says whether an entry of databases is one of a server, and not a file.
func IsServer(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// sslModes are what sslmode can be.
var sslModes = []string{"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}

var secretOnly = regexp.MustCompile(`^\$\{secret\.([^}]+)\}$`)

// ParseServer reads an entry for which IsServer holds. The problem is the end of a sentence, empty if there is none, that does not repeat what was written: there may be a
// password in it.
func ParseServer(text string) (s Server, problem string) {
	const want = "write postgres://ROLE:${secret.NAME}@HOST:5432/DATABASE"
	_, rest, _ := strings.Cut(text, "://")
	login, at, ok := strings.Cut(rest, "@")
	role, password, hasPassword := strings.Cut(login, ":")
	if !ok || role == "" {
		return s, "names no role: " + want
	}
	u, err := url.Parse("postgres://" + role + "@" + at)
	if err != nil {
		return s, "cannot be read: " + want
	}
	query := u.Query()
	s = Server{Role: u.User.Username(), Host: u.Hostname(), Port: cmp.Or(u.Port(), defaultServerPort), Database: strings.TrimPrefix(u.Path, "/"), SSLMode: query.Get("sslmode")}
	if hasPassword {
		m := secretOnly.FindStringSubmatch(password)
		if m == nil {
			return s, "holds a password, which must be in no file: declare it under secrets and " + want
		}
		s.Secret = m[1]
	}
	query.Del("sslmode")
	switch {
	case s.Host == "" || strings.ContainsAny(s.Host, ",/"):
		return s, "names not one host: " + want
	case s.Database == "" || strings.Contains(s.Database, "/"):
		return s, "names no database: " + want
	case len(query) > 0 || u.Fragment != "":
		return s, "has settings other than sslmode"
	case s.SSLMode != "" && !slices.Contains(sslModes, s.SSLMode):
		return s, "has an sslmode that is none of " + strings.Join(sslModes, ", ")
	}
	return s, ""
}

// URL is it without its password.
func (s Server) URL() string {
	u := url.URL{Scheme: "postgres", User: url.User(s.Role), Host: net.JoinHostPort(s.Host, s.Port), Path: "/" + s.Database}
	if s.SSLMode != "" {
		u.RawQuery = "sslmode=" + s.SSLMode
	}
	return u.String()
}

// On says whether the host is one of some services, and under which name that has the port; empty if it has none of that number.
func (s Server) On(services map[string]Service) (port string, is bool) {
	service, is := services[s.Host]
	for _, name := range slices.Sorted(maps.Keys(service.Ports)) {
		if service.Ports[name] == s.Port {
			return name, true
		}
	}
	return "", is
}
