package spec

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
)

// tricky is a document that is hard to read right. Want is "" if it is a valid experiment, else the first problem as "line:column rule".
type tricky struct {
	name, text, want string
}

// Every document is made around this one, which is valid.
const (
	trickyHead  = "apiVersion: chaos/v1\nname: n\n"
	trickyRest  = "steadyState:\n  - id: up\n    http: {service: a, path: /}\n    expect: {status: 200}\nsteps:\n  - id: hit\n    fault: service.kill\n    target: {service: a}\n"
	trickyPlain = trickyHead + trickyRest
)

// titled is the plain experiment with some text as its title, on line 3 from column 8 on.
func titled(text string) string { return trickyHead + "title: " + text + "\n" + trickyRest }

// probing is the plain experiment with a PromQL expression; its key stands on line 11.
func probing(text string) string {
	return trickyPlain + "  - id: look\n    needs: [hit]\n    promql: " + text + "\n    expect: {max: 1}\n"
}

// utf16Text is a text in UTF-16, with its mark of the byte order.
func utf16Text(text string) string {
	var out strings.Builder
	for _, u := range append([]uint16{0xfeff}, utf16.Encode([]rune(text))...) {
		out.Write([]byte{byte(u), byte(u >> 8)})
	}
	return out.String()
}

var trickyDocuments = []tricky{
	{"plain", trickyPlain, ""},
	{"nothing", "", "1:1 empty"},
	{"a newline", "\n", "1:1 empty"},
	{"only comments", "# a\n  # b\n#", "1:1 empty"},
	{"only a marker", "---\n", "1:1 empty"},
	{"an end marker", "...\n", "1:1 yaml"},
	{"a tilde", "~", "1:1 empty"},
	{"null in capitals", "NULL\n", "1:1 empty"},
	{"a marker first", "---\n" + trickyPlain, ""},
	{"markers around", "---\n" + trickyPlain + "...\n", ""},
	{"a comment at the marker", "--- # here\n" + trickyPlain, ""},
	{"two documents", trickyPlain + "---\n" + trickyPlain, "11:1 documents"},
	{"an empty second document", trickyPlain + "---\n", "11:1 documents"},
	{"a second document that is only a comment", trickyPlain + "...\n# the end\n", ""},
	{"a version directive", "%YAML 1.2\n---\n" + trickyPlain, "1:1 yaml"},
	{"an old version directive", "%YAML 1.1\n---\n" + trickyPlain, ""},
	{"a tag directive", "%TAG ! tag:example.org,2000:\n---\n" + trickyPlain, ""},
	{"an unknown directive", "%FOO bar\n---\n" + trickyPlain, "1:1 yaml"},
	{"a directive without a document", "%YAML 1.1\n", "1:1 yaml"},
	{"comments everywhere", "# a\n" + strings.ReplaceAll(trickyPlain, "\n", " # b\n# c\n"), ""},
	{"a comment without its space", titled("a#b"), ""},
	{"a title that is a comment", titled("# nothing"), "3:7 type"},
	{"a byte order mark", "\ufeff" + trickyPlain, ""},
	{"two byte order marks", "\ufeff\ufeff" + trickyPlain, "1:1 encoding"},
	{"a byte order mark inside", trickyHead + "\ufeff" + trickyRest, "3:1 encoding"},
	{"UTF-16", utf16Text(trickyPlain), "1:1 encoding"},
	{"Latin-1", titled("caf\xe9"), "1:1 encoding"},
	{"a NUL", titled("a\x00b"), "3:9 encoding"},
	{"an escape character", titled("a\x1b[31mb"), "3:9 encoding"},
	{"a delete character", titled("a\x7fb"), "3:9 encoding"},
	{"half a surrogate", titled(`"\uD800"`), "3:1 yaml"},
	{"a character beyond Unicode", titled(`"\U00110000"`), "3:1 yaml"},
	{"CRLF", strings.ReplaceAll(trickyPlain, "\n", "\r\n"), ""},
	{"CR alone", strings.ReplaceAll(trickyPlain, "\n", "\r"), "1:21 line-break"},
	{"a CR in a comment", "# harmless\rname: x\n" + trickyPlain, "1:11 line-break"},
	{"a next-line character", titled("a\u0085b"), "3:9 line-break"},
	{"a line separator", titled("a\u2028b"), "3:9 line-break"},
	{"a paragraph separator in a comment", trickyHead + "# a\u2029title: b\n" + trickyRest, "3:4 line-break"},
	{"line ends as escapes", titled(`"a\r\L\Pb"`), ""},
	{"no last newline", strings.TrimSuffix(trickyPlain, "\n"), ""},
	{"a tab as indentation", trickyHead + "steadyState:\n\t- id: up\n", "4:1 yaml"},
	{"a tab before a comment", titled("x\t# y"), ""},
	{"a tab after a dash", strings.Replace(trickyPlain, "- id: up", "-\tid: up", 1), "4:4 yaml"},
	{"a tab in an empty line", titled("x\n\t"), "4:1 yaml"},
	{"wrong indentation", strings.Replace(trickyPlain, "    fault", "   fault", 1), "9:4 yaml"},
	{"an anchor", titled("&a x"), "3:8 anchor"},
	{"an alias", titled("&a x") + "owner: *a\n", "3:8 anchor"},
	{"an alias without its anchor", titled("*nobody"), "3:1 yaml"},
	{"an anchor in itself", trickyHead + "matrix: &m\n  x: *m\n" + trickyRest, "3:9 anchor"},
	{"a list in itself", trickyHead + "tags: &t [*t]\n" + trickyRest, "3:7 anchor"},
	{"a billion laughs", "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n", "1:4 anchor"},
	{"an anchor on a key", strings.Replace(trickyPlain, "name:", "&k name:", 1), "2:1 anchor"},
	{"a merge", trickyPlain + "<<: {owner: x}\n", "11:1 anchor"},
	{"a merge of a list", trickyPlain + "<<: [{owner: x}, {owner: y}]\n", "11:1 anchor"},
	{"a merge key as text", trickyPlain + "\"<<\": x\n", "11:1 unknown-key"},
	{"a merge that doubles a key", trickyHead + "<<: {name: other}\n" + trickyRest, "3:1 anchor"},
	{"a doubled key", trickyHead + "name: m\n" + trickyRest, "3:1 duplicate-key"},
	{"a key doubled in other quotes", trickyHead + "\"name\": m\n" + trickyRest, "3:1 duplicate-key"},
	{"a key doubled by an escape", trickyHead + "\"na\\u006de\": m\n" + trickyRest, "3:1 duplicate-key"},
	{"a complex key", "? [a, b]\n: c\n" + trickyPlain, "1:3 key"},
	{"an explicit key", "? apiVersion\n: chaos/v1\n" + strings.TrimPrefix(trickyPlain, "apiVersion: chaos/v1\n"), ""},
	{"an empty key", ": x\n" + trickyPlain, "1:1 yaml"},
	{"a null key", "~: x\n" + trickyPlain, "1:1 key"},
	{"a key that is a flow mapping", "{a: b}: c\n" + trickyPlain, "1:1 key"},
	{"a tag", titled("!!str x"), "3:8 tag"},
	{"a tag of its own", titled("!secret x"), "3:8 tag"},
	{"a verbatim tag", titled("!<tag:yaml.org,2002:str> x"), "3:8 tag"},
	{"the non-specific tag", titled("! x"), ""},
	{"binary data", titled("!!binary aGVsbG8="), "3:8 tag"},
	{"a set", trickyHead + "tags: !!set {a, b}\n" + trickyRest, "3:7 tag"},
	{"Norway", trickyHead + "tags: [no, yes, on, off, n, y]\n" + trickyRest, ""},
	{"a real boolean", titled("true"), "3:8 type"},
	{"an octal number", titled("0o17"), ""},
	{"an old octal number", titled("017"), ""},
	{"a sexagesimal number", titled("12:30:45"), ""},
	{"a date", titled("2026-11-24"), ""},
	{"a moment", titled("2026-11-24T12:00:00Z"), ""},
	{"an exponent", titled("1e3"), "3:8 type"},
	{"a hexadecimal number", titled("0x1F"), ""},
	{"an infinite number", titled(".inf"), ""},
	{"not a number", titled(".NaN"), ""},
	{"a number with underscores", titled("1_000"), ""},
	{"a huge number", titled(strings.Repeat("9", 400)), ""},
	{"a huge seed of numbers", trickyHead + "tags: [" + strings.Repeat("1", 30) + "]\n" + trickyRest, "3:8 type"},
	{"a huge status", strings.Replace(trickyPlain, "200", "1e400", 1), "6:22 value"},
	{"a negative status", strings.Replace(trickyPlain, "200", "-200", 1), "6:22 value"},
	{"an unterminated double quote", titled(`"x`), "3:1 yaml"},
	{"an unterminated single quote", titled(`'x`), "3:1 yaml"},
	{"an unknown escape", titled(`"\q"`), "3:1 yaml"},
	{"an escape cut short", titled(`"\u12"`), "3:1 yaml"},
	{"an unclosed list", trickyHead + "tags: [a, b\n" + trickyRest, "3:1 yaml"},
	{"an unclosed mapping", trickyHead + "matrix: {x: [a]\n" + trickyRest, "3:1 yaml"},
	{"one bracket too many", trickyHead + "tags: [a]]\n" + trickyRest, "3:1 yaml"},
	{"a bracket of the other kind", trickyHead + "tags: [a}\n" + trickyRest, "3:1 yaml"},
	{"a list that is not closed over lines", trickyHead + "tags: [\n  a,\n  b\n" + trickyRest, "3:1 yaml"},
	{"a list that ends with the file", trickyHead + "tags: [\n\n", "3:1 yaml"},
	{"a quote that is closed by the next", trickyHead + "matrix: {x: ['a]}\ntitle: 'b'\n" + trickyRest, "3:1 yaml"},
	{"an unterminated quote before a second document", titled("'x") + "---\n" + trickyPlain, "3:1 yaml"},
	{"an unknown escape on a later line", titled("\"x\n  \\q\""), "4:3 yaml"},
	{"text behind a quote", strings.Replace(trickyPlain, "service.kill", "\"service\".kill", 1), "9:5 yaml"},
	{"an entry among keys", trickyPlain + " - id: x\n", "11:2 yaml"},
	{"a comma too many", trickyHead + "tags: [a, , b]\n" + trickyRest, "3:1 yaml"},
	{"a last comma", trickyHead + "tags: [a, b,]\n" + trickyRest, ""},
	{"a block in a flow", trickyHead + "tags: [\n  - a\n]\n" + trickyRest, "4:3 yaml"},
	{"a flow over lines", trickyHead + "tags: [\n  a,\n  # b\n  c\n  ]\n" + trickyRest, ""},
	{"a colon in plain text", titled("a: b"), "3:1 yaml"},
	{"a colon without its space", titled("a:b"), ""},
	{"a URL", titled("http://x.example:80/#y"), ""},
	{"text that begins with a percent sign", titled("%x"), "3:1 yaml"},
	{"text that begins with an at sign", titled("@x"), "3:1 yaml"},
	{"text that begins with a backquote", titled("`x`"), "3:1 yaml"},
	{"text over lines", titled("x\n  y\n  z"), ""},
	{"a literal block", titled("|\n  x\n   y\n"), ""},
	{"a block with indentation and chomping", titled("|2-\n  x"), ""},
	{"a block with two chompings", titled("|+-\n  x"), "3:1 yaml"},
	{"a block that is not indented", titled("|\nx"), "4:1 yaml"},
	{"an empty block", titled(">-\n"), ""},
	{"a block with a tab", titled("|\n\tx"), "4:1 yaml"},
	{"deep flow", "x: " + strings.Repeat("[", 5000), "1:104 nesting"},
	{"deep flow that is closed", "x: " + strings.Repeat("[", 99) + strings.Repeat("]", 99) + "\n" + trickyPlain, "1:1 unknown-key"},
	{"deep mappings in flow", "x: " + strings.Repeat("{a: ", 3000), "1:404 nesting"},
	{"deep dashes", strings.Repeat("- ", 5000), "1:201 nesting"},
	{"deep blocks", nestedBlocks(300), "102:102 nesting"},
	{"a very long line", titled(strings.Repeat("x", 200_000)), ""},
	{"a very long key", strings.Repeat("k", 2000) + ": x\n" + trickyPlain, "1:1 yaml"},
	{"too long a file", titled(strings.Repeat("x", maxFile)), "1:1 file-size"},
	{"a text instead of a mapping", "chaos", "1:1 type"},
	{"a list instead of a mapping", "- a\n- b\n", "1:1 type"},
	{"a flow mapping with everything", `{apiVersion: chaos/v1, name: n, steadyState: [{id: up, http: {service: a, path: /}, expect: {status: 200}}], steps: [{id: hit, fault: service.kill, target: {service: a}}]}`, ""},
	{"JSON with an escaped slash, which the library does not know", `{"apiVersion":"chaos/v1","name":"n","steadyState":[{"id":"up","http":{"service":"a","path":"\/"},"expect":{"status":200}}],"steps":[{"id":"hit","fault":"service.kill","target":{"service":"a"}}]}`, "1:1 yaml"},
	{"JSON", `{"apiVersion":"chaos/v1","name":"n","steadyState":[{"id":"up","http":{"service":"a","path":"/"},"expect":{"status":200}}],"steps":[{"id":"hit","fault":"service.kill","target":{"service":"a"}}]}`, ""},
	{"PromQL in plain text", probing("sum(rate(a[5s])"), "13:28 promql"},
	{"PromQL in quotes with an escape", probing(`"sum(rate(a{b=\"c\"}[5s]"`), "13:37 promql"},
	{"PromQL with an escaped space", probing(`"sum(\x20a\u0020!)"`), "13:29 promql"},
	{"PromQL in a literal block", probing("|\n      sum(\n        rate(a[5s]!)\n      )"), "15:19 promql"},
	{"PromQL in a folded block", probing(">-\n      sum(a)\n      / sum(b) !"), "15:16 promql"},
	{"PromQL behind a broken line", probing("\"sum(a) \\\n      / !\""), "14:9 promql"},
	{"PromQL with characters of three bytes", probing(`'sum(a{b="日本"}) !'`), "13:29 promql"},
	{"PromQL with tabs", probing("\"sum(a)\\t!\""), "13:22 promql"},
}

// nestedBlocks nests block mappings.
func nestedBlocks(depth int) string {
	var out strings.Builder
	for i := range depth {
		fmt.Fprintf(&out, "%sa:\n", strings.Repeat(" ", i))
	}
	return out.String()
}

func TestTrickyDocuments(t *testing.T) {
	if len(trickyDocuments) < 60 {
		t.Fatalf("%d documents", len(trickyDocuments))
	}
	for _, c := range trickyDocuments {
		_, problems := ParseExperiment("x.yaml", []byte(c.text))
		got := ""
		if sorted := problems.Sorted(); len(sorted) > 0 {
			got = fmt.Sprintf("%d:%d %s", sorted[0].Line, sorted[0].Col, sorted[0].Rule)
			if testing.Verbose() {
				t.Logf("%s: %s", c.name, sorted[0].Message)
			}
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		checkPlaces(t, []byte(c.text), problems)
	}
}
