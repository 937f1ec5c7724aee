package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// sent is what goes with a request or a command besides its line; "" if nothing does.
func sent(h *HTTP, x *Exec) string {
	switch {
	case h != nil:
		return sentHTTP(h.Headers, h.Body)
	case x != nil && len(x.Env) > 0:
		return "with the variables " + strings.Join(pairs(x.Env), ", ")
	}
	return ""
}

// sentHTTP are headers and a body. A secret stands in a header by its name: its value is no part of a plan.
func sentHTTP(headers map[string]string, body string) string {
	var parts []string
	if len(headers) > 0 {
		parts = append(parts, "the headers "+strings.Join(pairs(headers), ", "))
	}
	if body != "" {
		parts = append(parts, "the body "+shortened(body))
	}
	if len(parts) == 0 {
		return ""
	}
	return "with " + strings.Join(parts, " and ")
}

// pairs are names with their values, by name. The values are quoted: they can be any text, and must not be taken for the plan's own.
func pairs(of map[string]string) []string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		all = append(all, fmt.Sprintf("%s: %#q", name, of[name]))
	}
	return all
}

// mostShown is how many characters of a body are shown.
const mostShown = 80

// shortened is a quoted text, or its beginning and how long it is.
func shortened(text string) string {
	runes := []rune(text)
	if len(runes) <= mostShown {
		return fmt.Sprintf("%#q", text)
	}
	return fmt.Sprintf("%#q..., %d bytes in all", string(runes[:mostShown]), len(text))
}
