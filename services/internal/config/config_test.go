package config

import (
	"strings"
	"testing"
	"time"
)

func env(vars map[string]string) *Env {
	return New(func(name string) (string, bool) { v, ok := vars[name]; return v, ok })
}

func TestDuration(t *testing.T) {
	const def = 250 * time.Millisecond
	for _, c := range []struct {
		value string
		want  time.Duration
		err   string
	}{
		{"", def, ""},
		{"  ", def, ""},
		{"1s", time.Second, ""},
		{" 30ms ", 30 * time.Millisecond, ""},
		{"off", 0, ""},
		{"OFF", 0, ""},
		{"0", 0, ""},
		{"5", def, `TIMEOUT="5": want a duration such as 250ms, or off`},
		{"soon", def, `TIMEOUT="soon": want a duration such as 250ms, or off`},
		{"-1s", def, `TIMEOUT="-1s": want a duration of at least 1ms, or off`},
		{"10us", def, `TIMEOUT="10us": want a duration of at least 1ms, or off`},
	} {
		e := env(map[string]string{"TIMEOUT": c.value})
		if got := e.Duration("TIMEOUT", def); got != c.want {
			t.Errorf("Duration of %q = %v, want %v", c.value, got, c.want)
		}
		expectErr(t, e, c.err)
	}
}

func TestCount(t *testing.T) {
	for _, c := range []struct {
		value string
		want  int
		err   string
	}{
		{"", 64, ""},
		{"3", 3, ""},
		{"0", 0, ""},
		{"off", 0, ""},
		{"-1", 64, `MAX_INFLIGHT="-1": want a whole number such as 64, or off`},
		{"many", 64, `MAX_INFLIGHT="many": want a whole number such as 64, or off`},
	} {
		e := env(map[string]string{"MAX_INFLIGHT": c.value})
		if got := e.Count("MAX_INFLIGHT", 64); got != c.want {
			t.Errorf("Count of %q = %d, want %d", c.value, got, c.want)
		}
		expectErr(t, e, c.err)
	}
}

func TestSwitch(t *testing.T) {
	for value, want := range map[string]bool{"": true, "on": true, "On": true, "off": false, "OFF": false} {
		e := env(map[string]string{"BREAKER": value})
		if got := e.Switch("BREAKER"); got != want || e.Err() != nil {
			t.Errorf("Switch of %q = %v, %v; want %v, nil", value, got, e.Err(), want)
		}
	}
	e := env(map[string]string{"BREAKER": "false"})
	e.Switch("BREAKER")
	expectErr(t, e, `BREAKER="false": want one of on, off`)
}

func TestPort(t *testing.T) {
	for value, want := range map[string]string{
		"": "", "0": "", "65535": "",
		"65536": `PORT="65536": want a port number from 1 to 65535, or 0 for any free port`,
		"http":  `PORT="http": want a port number from 1 to 65535, or 0 for any free port`,
	} {
		e := env(map[string]string{"PORT": value})
		e.Port("PORT", 5000)
		expectErr(t, e, want)
	}
}

func TestURL(t *testing.T) {
	const def = "http://127.0.0.1:5001"
	for value, want := range map[string]string{
		"": "", "http://b:1": "", "https://b": "",
		"b:5001":     `SERVICE_B_URL="b:5001": want an address such as http://127.0.0.1:5001`,
		"ftp://b":    `SERVICE_B_URL="ftp://b": want an address such as http://127.0.0.1:5001`,
		"http://":    `SERVICE_B_URL="http://": want an address such as http://127.0.0.1:5001`,
		"http://[::": `SERVICE_B_URL="http://[::": want an address such as http://127.0.0.1:5001`,
	} {
		e := env(map[string]string{"SERVICE_B_URL": value})
		e.URL("SERVICE_B_URL", def)
		expectErr(t, e, want)
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	e := env(map[string]string{"TIMEOUT": "5", "RETRIES": "x", "BREAKER": "on"})
	e.Duration("TIMEOUT", time.Second)
	e.Count("RETRIES", 2)
	e.Switch("BREAKER")
	var out strings.Builder
	Explain(&out, "service-a", e.Err())
	want := `service-a: TIMEOUT="5": want a duration such as 250ms, or off
service-a: RETRIES="x": want a whole number such as 2, or off
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}

func expectErr(t *testing.T, e *Env, want string) {
	t.Helper()
	got := ""
	if err := e.Err(); err != nil {
		got = err.Error()
	}
	if strings.TrimSpace(got) != want {
		t.Errorf("error = %q\n         want %q", got, want)
	}
}
