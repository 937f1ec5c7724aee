package process

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// reference is ${port.http}, ${link.service-b}, ${data} or ${binary}, or one that is not closed.
var reference = regexp.MustCompile(`\$\{[^}]*\}?`)

// values are what references stand for: "port.http" -> "40123".
type values map[string]string

// expand replaces the references in a text; what they stand for is not read again. An unknown one is an error that names the choices, and so is one without its end.
func (v values) expand(text string) (string, error) {
	var unknown error
	out := reference.ReplaceAllStringFunc(text, func(ref string) string {
		name, closed := strings.CutSuffix(ref[2:], "}")
		value, ok := v[name]
		switch {
		case unknown != nil:
		case !closed:
			unknown = fmt.Errorf("%q is not closed: its } is missing", ref)
		case !ok:
			unknown = fmt.Errorf("%s is not known here; there are %s", ref, v.choices())
		}
		return value
	})
	if unknown != nil {
		return "", unknown
	}
	return out, nil
}

func (v values) choices() string {
	names := slices.Sorted(maps.Keys(v))
	for i, n := range names {
		names[i] = "${" + n + "}"
	}
	return strings.Join(names, ", ")
}

// expandAll replaces the references in the values of a map.
func (v values) expandAll(texts map[string]string) (map[string]string, error) {
	out := make(map[string]string, len(texts))
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		text, err := v.expand(texts[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out[name] = text
	}
	return out, nil
}
