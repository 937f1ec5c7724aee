package spec

import (
	"maps"
	"slices"
	"strings"
)

func (c *checker) request(pointer string, h *HTTP) {
	if h != nil {
		c.headers(pointer+"/headers", h.Headers)
	}
}

// headers checks what HTTP allows in a header (RFC 9110): a line break in one would be a header of its own.
func (c *checker) headers(pointer string, headers map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		at := pointer + "/" + Escape(name)
		if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !token(r) }) {
			c.key(at, "header", "", "%q is not the name of a header", name)
		}
		if strings.ContainsFunc(headers[name], func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			c.value(at, "header", "", "the value of a header is one line")
		}
	}
}

func token(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}
