package diag

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// DidYouMean answers a hint that names the nearest of the choices, the first of several, "" if none is near. Near is at most a third of the letters wrong,
// where case does not count.
func DidYouMean(found string, choices []string) string {
	best, least := "", -1
	for _, c := range choices {
		most := max(utf8.RuneCountInString(found), utf8.RuneCountInString(c)) / 3
		if c == found || c == "" || most < abs(utf8.RuneCountInString(found)-utf8.RuneCountInString(c)) { // the second also keeps a key of a megabyte from being compared
			continue
		}
		if d := distance(strings.ToLower(found), strings.ToLower(c)); d <= most && (least < 0 || d < least) {
			best, least = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

func abs(n int) int { return max(n, -n) }

// distance is how many letters are to be changed, added, removed or swapped with their neighbour (optimal string alignment).
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	before, last := make([]int, len(y)+1), make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(x); i++ {
		now := make([]int, len(y)+1)
		now[0] = i
		for j := 1; j <= len(y); j++ {
			cost := 1
			if x[i-1] == y[j-1] {
				cost = 0
			}
			now[j] = min(now[j-1]+1, last[j]+1, last[j-1]+cost)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last = last, now
	}
	return last[len(y)]
}
