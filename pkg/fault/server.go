package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"chaosgate/pkg/fault/postgres"
	"chaosgate/pkg/target"
)

// onServer is a fault on a database of a PostgreSQL server, by sessions of this process: they end with it, and what they hold ends with them.
type onServer struct {
	instance // the first that uses the database
	kind     string
	label    string // service/database
	client   postgres.Client
	looker   *postgres.Session // nil before Prepare
	// databases are the names of those that the fault's targets have where it is felt.
	databases map[string]bool
}

// serverUndo is enough to end the sessions of a fault from a fresh process.
type serverUndo struct {
	Server   *target.Server `json:"server,omitempty"`
	Sessions string         `json:"sessions,omitempty"` // their name
}

// scope is where a fault on a server is felt: answers that are equal are one place.
type scope func(*url.URL) string

func wholeServer(u *url.URL) string { return strings.ToLower(u.Host) }
func oneDatabase(u *url.URL) string { return wholeServer(u) + u.Path }

// eachDatabase makes the subjects of a fault on databases: one for each instance that has a file, and one for each place on a server, however many instances use it, and as
// whom. File is nil if there can be no files.
func eachDatabase(r Request, kind string, file func(instance) (subject, error), felt scope, server func(onServer) subject) (Fault, error) {
	dbs, err := able[target.Databaser](r.Runtime, target.CanDatabase)
	if err != nil {
		return nil, err
	}
	var g group
	seen := map[string]map[string]bool{}
	for _, t := range r.Targets {
		i, err := newInstance(r, t)
		if err != nil {
			return nil, err
		}
		at, err := dbs.Database(t, r.Params.Text("database"))
		if err != nil {
			return nil, err
		}
		if at.Server == nil {
			if file == nil {
				return nil, fmt.Errorf("%s is for databases of a server, and that of %s is a file", kind, t.Instance)
			}
			s, err := file(i)
			if err != nil {
				return nil, err
			}
			g = append(g, s)
			continue
		}
		u, err := url.Parse(at.Server.URL)
		if err != nil {
			return nil, err
		}
		place, name := felt(u), strings.TrimPrefix(u.Path, "/")
		if seen[place] != nil {
			seen[place][name] = true
			continue
		}
		on, err := newOnServer(r, i, kind, *at.Server)
		if err != nil {
			return nil, err
		}
		on.databases = map[string]bool{name: true}
		seen[place] = on.databases
		g = append(g, server(on))
	}
	return g, nil
}

func newOnServer(r Request, i instance, kind string, s target.Server) (onServer, error) {
	client, err := clientOf(r.Runtime, s, postgres.Name(r.Origin, r.ID))
	return onServer{instance: i, kind: kind, label: "the database of " + i.Service, client: client}, err
}

func clientOf(rt target.Runtime, s target.Server, name string) (postgres.Client, error) {
	finder, err := able[target.ServerFinder](rt, target.CanDatabase)
	if err != nil {
		return postgres.Client{}, err
	}
	return postgres.Client{Server: s, Name: name, Find: func(ctx context.Context) (string, error) { return finder.FindServer(ctx, s) }}, nil
}

// begin connects one session that only looks, and answers the undo of all that will have its name.
func (o *onServer) begin(ctx context.Context) ([]target.Undo, error) {
	if err := o.look(ctx); err != nil {
		return nil, err
	}
	if _, err := o.eye(ctx); err != nil {
		return nil, err
	}
	manual := rollback
	if s := o.client.Server; s.On == nil {
		manual = fmt.Sprintf("psql %s -c %s", quote(s.URL), quote("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '"+o.client.Name+"'"))
	}
	return o.undo(o.kind, serverUndo{Server: &o.client.Server, Sessions: o.client.Name}, manual)
}

// eye is the session that looks. One that has been lost, with the server or by the fault of another, is replaced.
func (o *onServer) eye(ctx context.Context) (*postgres.Session, error) {
	if o.looker.Alive() {
		return o.looker, nil
	}
	s, err := o.client.Open(ctx)
	if err != nil {
		return nil, err
	}
	o.looker = s
	return s, nil
}

// end verifies that none of the fault's sessions is left, after what they did has been ended: with the session that looks, as others may have taken all connections since.
// It is idempotent.
func (o *onServer) end(ctx context.Context) error {
	return errors.Join(o.client.EndSessions(ctx, o.looker), o.looker.Close(ctx))
}

// reverted is the revert of all faults on servers but for what they say.
func (o *onServer) reverted(ctx context.Context, released error, summary string) (Effect, error) {
	if err := errors.Join(released, o.end(ctx)); err != nil {
		return Effect{}, err
	}
	if !o.touched {
		return o.untouched(), nil
	}
	return Effect{Proven: true, Summary: o.label + ": " + summary}, nil
}

// revertSessions ends the sessions of a dead runner.
func revertSessions(ctx context.Context, rt target.Runtime, data json.RawMessage, _ target.Ref) error {
	var u serverUndo
	if err := json.Unmarshal(data, &u); err != nil {
		return fmt.Errorf("read the undo: %w", err)
	}
	if u.Server == nil || u.Sessions == "" {
		return errors.New("the undo names no sessions, so there are none that could be ended")
	}
	client, err := clientOf(rt, *u.Server, u.Sessions)
	if err != nil {
		return err
	}
	return client.EndSessions(ctx, nil)
}

// revertDatabaseLock takes back db.lock, on a file or on a server.
func revertDatabaseLock(ctx context.Context, rt target.Runtime, data json.RawMessage, ref target.Ref) error {
	var u serverUndo
	if err := json.Unmarshal(data, &u); err == nil && u.Server != nil {
		return revertSessions(ctx, rt, data, ref)
	}
	return revertDBLock(ctx, rt, data, ref)
}
