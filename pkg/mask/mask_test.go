package mask

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// secret has everything in it that an encoding changes.
const secret = `p&5+ "x'/%<ü\>?~(!*)Kq7`

func set(values ...string) *Set {
	s := &Set{}
	s.Add(values...)
	return s
}

// shown is a text that somebody could read the secret from.
func shown(text string) bool { return strings.Contains(text, "Kq7") || strings.Contains(text, "x'/%") }

func TestEveryFormIsTakenOut(t *testing.T) {
	marshalled, err := json.Marshal(map[string]string{"token": secret})
	if err != nil {
		t.Fatal(err)
	}
	u := url.URL{Scheme: "http", User: url.UserPassword("me", secret), Host: "h", Path: "/" + secret, RawQuery: url.Values{"t": {secret}}.Encode()}
	for name, text := range map[string]string{
		"plain":   "token is " + secret + ".",
		"quoted":  fmt.Sprintf("%q", secret),
		"JSON":    string(marshalled),
		"HTML":    html.EscapeString(secret),
		"URL":     u.String(),
		"path":    "/a/" + url.PathEscape(secret) + "/b",
		"spaces":  strings.ReplaceAll(url.QueryEscape(secret), "+", "%20"),
		"twice":   secret + secret,
		"bearer":  "Authorization: Bearer " + secret,
		"hex":     fmt.Sprintf("%x %X", secret, secret),
		"newline": secret + "\n",
		// As others write it, each letter by hand.
		"JavaScript":   `p%265%2B%20%22x'%2F%25%3C%C3%BC%5C%3E%3F~(!*)Kq7`,
		"lower case":   `p%265%2b%20%22x%27%2f%25%3c%c3%bc%5c%3e%3f~%28%21%2a%29Kq7`,
		"Go template":  `p&amp;5&#43; &#34;x&#39;/%&lt;ü\&gt;?~(!*)Kq7`,
		"Python HTML":  `p&amp;5+ &quot;x&#x27;/%&lt;ü\&gt;?~(!*)Kq7`,
		"DOM":          `p&amp;5+ "x'/%&lt;ü\&gt;?~(!*)Kq7`,
		"Python JSON":  `p&5+ \"x'/%<\u00fc\\>?~(!*)Kq7`,
		"PHP JSON":     `p&5+ \"x'\/%<\u00fc\\>?~(!*)Kq7`,
		"slashed JSON": `p&5+ \"x'\/%<ü\\>?~(!*)Kq7`,
		"ASCII JSON":   `p\u00265+ \"x'/%\u003c\u00fc\\\u003e?~(!*)Kq7`,
	} {
		masked := set(secret + "\n").Text(text)
		if !strings.Contains(masked, Mask) || shown(masked) || strings.Contains(masked, "Kq7") || strings.Contains(strings.ToLower(masked), fmt.Sprintf("%x", "Kq7")) {
			t.Errorf("%s: %q became %q", name, text, masked)
		}
	}
}

// Whatever stands before and behind a secret, what is left of its Base64 does not give it away.
func TestBase64IsTakenOutWhereverTheSecretBegins(t *testing.T) {
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding} {
		for before := range 6 {
			for behind := range 4 {
				text := encoding.EncodeToString([]byte(strings.Repeat("u", before) + secret + strings.Repeat("v", behind)))
				masked := set(secret).Text(text)
				left := strings.Replace(masked, Mask, "", 1)
				if len(left) > len(text)-len(secret)*4/3+2 || !strings.Contains(masked, Mask) {
					t.Errorf("%d before, %d behind: %q became %q", before, behind, text, masked)
				}
			}
		}
	}
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth("somebody", secret)
	if masked := set(secret).Text(r.Header.Get("Authorization")); !strings.Contains(masked, Mask) {
		t.Errorf("got %q", masked)
	}
}

func TestASecretOfSeveralLines(t *testing.T) {
	key := "-----BEGIN KEY-----\nMIIabcdefgh\nIJKLmnopqr\n-----END KEY-----\n"
	s := set(key)
	for _, text := range []string{key, "line: IJKLmnopqr", `{"key":"-----BEGIN KEY-----\nMIIabcdefgh\nIJKL`} {
		if masked := s.Text(text); strings.Contains(masked, "MIIabc") || strings.Contains(masked, "mnop") {
			t.Errorf("got %q", masked)
		}
	}
}

func TestShortAndNoSecretsLeaveTextsAlone(t *testing.T) {
	for name, s := range map[string]*Set{"nil": nil, "empty": {}, "short": set("abc", "", " ")} {
		if got := s.Text("abcdef"); got != "abcdef" || !s.Empty() {
			t.Errorf("%s: got %q", name, got)
		}
		if got := s.Head("abcdef", 3); got != "abc" {
			t.Errorf("%s: got %q", name, got)
		}
		if got, err := s.JSON([]byte(`{"a":"abc"}`)); err != nil || string(got) != `{"a":"abc"}` {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}

// However a text is cut, no part of a secret is left at its end.
func TestACutThroughASecretLeavesNoPart(t *testing.T) {
	const canary = "canary-0123456789-canary"
	const spare = 100 // more than its longest form
	for limit := 10; limit < 80; limit++ {
		for _, text := range []string{strings.Repeat("x", 30) + canary + strings.Repeat("x", 200), strings.Repeat(canary, 20)} {
			got := set(canary).Head(text[:limit+spare], limit)
			if len(got) > limit || strings.HasPrefix(text, "x") && len(got) == 0 || strings.Trim(got, "x*") != "" {
				t.Errorf("limit %d: got %q", limit, got)
			}
		}
	}
}

func TestJSONKeepsItsShape(t *testing.T) {
	s := set("canary", `quo"ted`)
	for text, want := range map[string]string{
		`{"canary":"a canary","n":[1.50,true,null,"x"]}`: `{"canary":"a ***","n":[1.50,true,null,"x"]}`,
		`"quo\"ted\u003c"`:                         `"***\u003c"`,
		`["\\","canary\\"]`:                        `["\\","***\\"]`,
		`{"a":{"b":"c","d":""},"e":"can\u0061ry"}`: `{"a":{"b":"c","d":""},"e":"***"}`,
		`12`: `12`,
	} {
		if got, err := s.JSON([]byte(text)); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
	if _, err := s.JSON([]byte(`{"a":"\x"}`)); err == nil {
		t.Error("what is not JSON is no error")
	}
}

type sink struct {
	strings.Builder
	closed int
}

func (s *sink) Close() error { s.closed++; return nil }

func TestAStreamMasksWhatComesInPieces(t *testing.T) {
	const canary = "canary-0123456789-canary"
	long := strings.Repeat("y", 3*maxLine)
	text := "first " + canary + "\n" + long + canary + long + "\n" + canary + canary
	for _, size := range []int{1, 7, 4096, 1 << 20} {
		out := &sink{}
		s := set(canary).Stream(out)
		for rest := text; rest != ""; rest = rest[min(size, len(rest)):] {
			if n, err := io.WriteString(s, rest[:min(size, len(rest))]); err != nil || n != min(size, len(rest)) {
				t.Fatal(n, err)
			}
		}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if want := strings.ReplaceAll(text, canary, Mask); out.String() != want || out.closed != 1 {
			t.Errorf("pieces of %d: %d bytes, want %d; closed %d times", size, out.Len(), len(want), out.closed)
		}
		if _, err := io.WriteString(s, "more"); err == nil {
			t.Error("a closed stream takes more")
		}
	}
}

// A line that is whole is passed on at once: what a service said last explains why it is not ready.
func TestAStreamPassesWholeLinesOn(t *testing.T) {
	out := &sink{}
	s := set("canary").Stream(out)
	fmt.Fprint(s, "a canary\nand more")
	if out.String() != "a ***\n" {
		t.Errorf("got %q", out.String())
	}
}
