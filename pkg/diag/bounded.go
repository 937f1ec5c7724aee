package diag

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The limits of what is shown, which a person reads.
const (
	MaxProblems = 100 // of one file
	maxEchoed   = 200 // characters of a word, or of what stands in quotes; a longer one is cut to half of that
	maxMessage  = 2000
)

const tooMany = "too-many-problems"

// Bounded answers, of each file, the first MaxProblems by their places, and one more that says so if there are others. That one is an error if any of the others is,
// so that the list stays as valid as it was.
func (l List) Bounded() List {
	if len(l) <= MaxProblems {
		return l
	}
	var kept, more List
	count, noted := map[string]int{}, map[string]int{}
	for _, p := range l.Sorted() {
		if p.Rule != tooMany && count[p.File] < MaxProblems {
			count[p.File]++
			kept = append(kept, p)
			continue
		}
		if noted[p.File] == 0 {
			more = append(more, Problem{Span: Span{Pos: Pos{File: p.File}}, Severity: p.Severity, Rule: tooMany, Message: fmt.Sprintf("there are more than %d problems; the first ones are shown", MaxProblems)})
			noted[p.File] = len(more)
		}
		if note := &more[noted[p.File]-1]; p.Severity != Warning {
			note.Severity = Error
		}
	}
	return append(kept, more...)
}

// shown is the list as it is written: sorted, bounded, and with no text of a user in it that nobody would read to its end.
func (l List) shown() List {
	s := l.Bounded().Sorted()
	for i := range s {
		s[i].Message, s[i].Hint = shortened(s[i].Message), shortened(s[i].Hint)
	}
	return s
}

// shortened cuts what is too long in a message: words and what stands in quotes first, so that the sentence around them stays.
func shortened(text string) string {
	if len(text) <= maxEchoed {
		return text
	}
	var out strings.Builder
	for quotes := true; text != ""; {
		n := 0
		if quotes && text[0] == '"' {
			n = quoted(text)
			quotes = n > 0
		}
		if n == 0 {
			n = word(text)
		}
		out.WriteString(cut(text[:n], maxEchoed, maxEchoed/2))
		text = text[n:]
	}
	return cut(out.String(), maxMessage, maxMessage)
}

// quoted is how long the quoted text is that a text begins with, 0 if it does not end.
func quoted(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return 0
}

// word is how long the word is that a text begins with; a space is one by itself.
func word(text string) int {
	if text[0] == ' ' {
		return 1
	}
	if n := strings.IndexAny(text[1:], ` "`); n >= 0 {
		return n + 1
	}
	return len(text)
}

// cut leaves the first characters of a piece of more than most, and the quote that it ends with.
func cut(piece string, most, first int) string {
	if utf8.RuneCountInString(piece) <= most {
		return piece
	}
	end := 0
	for range first {
		_, size := utf8.DecodeRuneInString(piece[end:])
		end += size
	}
	if piece[0] == '"' && strings.HasSuffix(piece, `"`) {
		return piece[:end] + `..."`
	}
	return piece[:end] + "..."
}
