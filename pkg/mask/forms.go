package mask

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// formsOf answers a secret in every form that is looked for; none of one that is too short.
func formsOf(secret string) []string {
	if len(secret) < Least {
		return nil
	}
	inHex := hex.EncodeToString([]byte(secret))
	all := slices.Concat([]string{secret, quoted(secret), inHex, strings.ToUpper(inHex)}, inJSON(secret), inHTML(secret), inURLs(secret))
	for shift := range 3 {
		all = append(all, inBase64(base64.RawStdEncoding, secret, shift), inBase64(base64.RawURLEncoding, secret, shift))
	}
	kept := all[:0]
	for _, form := range all {
		if len(form) >= Least {
			kept = append(kept, form)
		}
	}
	return kept
}

// quoted is a secret as %q writes it.
func quoted(secret string) string {
	q := strconv.Quote(secret)
	return q[1 : len(q)-1]
}

// inJSON are the ways to write a secret in JSON: what belongs to HTML may be escaped, and so may what is not ASCII, and the slash.
func inJSON(secret string) []string {
	forHTML := escapedJSON(secret)
	plain := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&", `\\`, `\\`).Replace(forHTML) // a backslash of the secret begins no escape
	all := []string{forHTML, plain, inASCII(forHTML), inASCII(plain)}
	for _, form := range slices.Clone(all) {
		all = append(all, strings.ReplaceAll(form, "/", `\/`))
	}
	return all
}

func escapedJSON(secret string) string {
	q, err := json.Marshal(secret)
	if err != nil {
		return secret // text can always be marshalled
	}
	return string(q[1 : len(q)-1])
}

// inASCII is JSON in which nothing but ASCII is left, as Python and PHP write it.
func inASCII(escaped string) string {
	var text strings.Builder
	for _, unit := range utf16.Encode([]rune(escaped)) {
		if unit < utf8.RuneSelf {
			text.WriteByte(byte(unit))
		} else {
			fmt.Fprintf(&text, `\u%04x`, unit)
		}
	}
	return text.String()
}

// inHTML are the ways to write a secret in HTML: quotes have several names or stay as they are, and Go's templates escape the plus as well.
func inHTML(secret string) []string {
	var all []string
	for _, double := range []string{`"`, "&#34;", "&quot;"} {
		for _, single := range []string{"'", "&#39;", "&#039;", "&#x27;"} {
			for _, plus := range []string{"+", "&#43;"} {
				all = append(all, strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, double, "'", single, "+", plus).Replace(secret))
			}
		}
	}
	return all
}

// inURLs are the ways to escape a secret for a URL, each with the digits in upper and in lower case.
func inURLs(secret string) []string {
	query := url.QueryEscape(secret)
	spaced := strings.ReplaceAll(query, "+", "%20")
	byScript := strings.NewReplacer("%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(spaced) // encodeURIComponent of JavaScript
	all := []string{query, spaced, byScript, url.PathEscape(secret), url.UserPassword("", secret).String()[1:], (&url.URL{Path: "/" + secret}).EscapedPath()[1:]}
	for _, form := range slices.Clone(all) {
		all = append(all, lowerDigits(form))
	}
	return all
}

// lowerDigits is a text that is escaped for a URL with the digits of its escapes in lower case.
func lowerDigits(escaped string) string {
	parts := strings.Split(escaped, "%")
	for i, part := range parts[1:] {
		parts[i+1] = strings.ToLower(part[:2]) + part[2:]
	}
	return strings.Join(parts, "%")
}

// inBase64 is what a secret always looks like in Base64 when it begins shift bytes after a group of three: the characters that hold nothing but its own bits. So
// the password of a basic authorization is found whatever the user's name is.
func inBase64(encoding *base64.Encoding, secret string, shift int) string {
	text := encoding.EncodeToString([]byte(strings.Repeat("x", shift) + secret))
	begin := []int{0, 2, 3}[shift] // the first shift bytes, and the character that they share
	if (shift+len(secret))%3 != 0 {
		text = text[:len(text)-1] // it shares its last bits with what follows
	}
	return text[min(begin, len(text)):]
}
