package probe

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"chaosgate/pkg/plan"
)

func TestAct(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/missing":
			http.Error(w, "no such order", http.StatusNotFound)
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, strings.Repeat("at line 1\n", 100)+"caused by: s3cret")
		}
	}))
	defer s.Close()
	d := at(s.URL)
	d.Environment.(place).urls["service-b"] = refused(t)
	d.Secrets = secrets("s3cret")
	call := func(service, path string) plan.Action {
		return plan.Action{HTTP: &plan.HTTP{Service: service, Method: "POST", Path: path}}
	}
	command := func(args ...string) plan.Action { return plan.Action{Exec: &plan.Exec{Command: args}} }
	for name, c := range map[string]struct {
		action plan.Action
		want   string // of the error; "" is none
	}{
		"answered":      {call("service-a", "/"), ""},
		"redirected":    {call("service-a", "/moved"), ""},
		"not found":     {call("service-a", "/missing"), `POST /missing of service-a answered 404, expected a status below 400; it said "no such order"`},
		"broken":        {call("service-a", "/broken"), `caused by: ***"`},
		"refused":       {call("service-b", "/"), "POST / of service-b: connection refused"},
		"unknown":       {call("service-z", "/"), `POST / of service-z: there is no service "service-z"`},
		"exit 0":        {command("true"), ""},
		"exit 1":        {command("false"), "false exited with 1, expected 0"},
		"exit 2, loud":  {command("sh", "-c", "echo oh no s3cret >&2; exit 2"), `sh exited with 2, expected 0; it said "oh no ***"`},
		"not a command": {command("no-such-command"), "no-such-command"},
		"nothing":       {plan.Action{}, "neither http nor exec"},
	} {
		err := Act(t.Context(), d, c.action)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got error %v, want one with %q", name, err, c.want)
		}
	}
}
