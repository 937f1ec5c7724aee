package diag

import (
	"cmp"
	"fmt"
	"slices"
)

// Invalid says whether the list has an error; warnings make nothing invalid.
func (l List) Invalid() bool {
	return slices.ContainsFunc(l, func(p Problem) bool { return p.Severity != Warning })
}

// Sorted answers the problems in the order of their places, without doubles.
func (l List) Sorted() List {
	s := slices.Clone(l)
	slices.SortStableFunc(s, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Message, b.Message),
			cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Len, b.Len), cmp.Compare(a.Hint, b.Hint))
	})
	return slices.Compact(s)
}

// Summary counts, doubles once: "3 errors and 1 warning in 2 files".
func (l List) Summary() string {
	errors, warnings := 0, 0
	files := map[string]bool{}
	for _, p := range l.Sorted() {
		if p.File != "" {
			files[p.File] = true
		}
		if p.Severity == Warning {
			warnings++
		} else {
			errors++
		}
	}
	text := counted(errors, "error")
	if warnings > 0 {
		text += " and " + counted(warnings, "warning")
		if errors == 0 {
			text = counted(warnings, "warning")
		}
	}
	if len(files) == 0 {
		return text
	}
	return text + " in " + counted(len(files), "file")
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
