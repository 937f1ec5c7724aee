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
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(s)
}

// Summary counts: "3 errors and 1 warning in 2 files".
func (l List) Summary() string {
	errors, warnings := 0, 0
	files := map[string]bool{}
	for _, p := range l {
		files[p.File] = true
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
	return text + " in " + counted(len(files), "file")
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
