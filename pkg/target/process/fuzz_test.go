package process

import (
	"strings"
	"testing"
)

// FuzzExpand fills references in. A text without an error has each of its references replaced once, by a value that is not read again, and nothing that looks like the
// beginning of one is left.
func FuzzExpand(f *testing.F) {
	for _, text := range []string{"--port=${port.http}", "${data}/db", "${port.htp}", "${", "${}", "$${data}", "${data", "a}${data}{b", "${da${data}ta}", "$", "${ data }"} {
		f.Add(text, "/tmp/x")
		f.Add(text, "${data}")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		known := values{"data": value, "port.http": "1"}
		got, err := known.expand(text)
		want, ok := replaced(known, text)
		if (err == nil) != ok {
			t.Fatalf("%q: got %q, %v; want an error: %v", text, got, err, !ok)
		}
		if err == nil && got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	})
}

// replaced says by hand what a text comes to.
func replaced(known values, text string) (string, bool) {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "${")
		out.WriteString(before)
		if !found {
			return out.String(), true
		}
		name, rest, closed := strings.Cut(after, "}")
		value, ok := known[name]
		if !closed || !ok {
			return "", false
		}
		out.WriteString(value)
		text = rest
	}
}
