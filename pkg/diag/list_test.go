package diag

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSortedIsByPlaceWithoutDoubles(t *testing.T) {
	a, b, c := at(1, 1, 1, "x"), at(1, 1, 1, "x"), at(1, 2, 1, "a")
	b.Rule = "other"
	d := at(9, 1, 1, "z")
	d.File = "0.yaml"
	given := List{c, a, b, a, d, b, c}
	before := slices.Clone(given)
	if got, want := given.Sorted(), (List{d, b, a, c}); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !slices.Equal(given, before) {
		t.Error("the list itself was sorted")
	}
}

func TestOnlyErrorsMakeInvalid(t *testing.T) {
	warning := Problem{Severity: Warning}
	cases := []struct {
		list List
		want bool
	}{{nil, false}, {List{warning}, false}, {List{warning, {Severity: Error}}, true}, {List{{}}, true}}
	for _, c := range cases {
		if got := c.list.Invalid(); got != c.want {
			t.Errorf("%v: invalid is %v", c.list, got)
		}
	}
}

func TestSummaryCounts(t *testing.T) {
	e, w, other := at(1, 1, 1, "e"), at(2, 1, 1, "w"), at(3, 1, 1, "o")
	w.Severity, other.File = Warning, "b.yaml"
	cases := map[string]List{
		"0 errors":                          nil,
		"1 error in 1 file":                 {e, e}, // a double
		"2 errors in 2 files":               {e, other},
		"1 warning in 1 file":               {w},
		"2 errors and 1 warning in 2 files": {e, w, other},
	}
	for want, list := range cases {
		if got := list.Summary(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	cases := []struct{ found, choices, want string }{
		{"duratoin", "delay duration during", "duration"}, // two neighbours swapped
		{"stedyState", "steps steadyState", "steadyState"},
		{"DURATION", "duration", "duration"},
		{"fr", "for every", "for"},
		{"neds", "needs", "needs"},
		{"servce-a", "service-b service-a", "service-a"},
		{"durée", "duree", "duree"},
		{"hold", "told hold bold", "told"}, // the first of the nearest
		{"a", "b c", ""},                   // one letter of one is not near
		{"cpu", "tcp sql", ""},
		{"xyz", "duration", ""},
		{"duration", "duration", ""},
		{"", "a b", ""},
		{"anything", "", ""},
	}
	for _, c := range cases {
		want := ""
		if c.want != "" {
			want = `did you mean "` + c.want + `"?`
		}
		if got := DidYouMean(c.found, strings.Fields(c.choices)); got != want {
			t.Errorf("%q among %q: got %q, want %q", c.found, c.choices, got, want)
		}
	}
}

// A key of ten megabytes is compared with nothing: this would otherwise take minutes, and the test its deadline.
func TestDidYouMeanOfAHugeKey(t *testing.T) {
	done := make(chan string, 1)
	go func() { done <- DidYouMean(strings.Repeat("k", 10<<20), []string{"duration", "needs", "during"}) }()
	select {
	case got := <-done:
		if got != "" {
			t.Errorf("got %q", got)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("still comparing after 30 s")
	}
}
