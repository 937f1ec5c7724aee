package mask

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"net/url"
	"strconv"
	"strings"
)

// formsOf answers a secret in every form that is looked for; none of one that is too short.
func formsOf(secret string) []string {
	if len(secret) < Least {
		return nil
	}
	all := []string{
		secret, quoted(secret), escapedJSON(secret), html.EscapeString(secret),
		url.QueryEscape(secret), url.PathEscape(secret), strings.ReplaceAll(url.QueryEscape(secret), "+", "%20"), url.UserPassword("", secret).String()[1:],
		(&url.URL{Path: "/" + secret}).EscapedPath()[1:],
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))),
	}
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

func escapedJSON(secret string) string {
	q, err := json.Marshal(secret)
	if err != nil {
		return secret // text can always be marshalled
	}
	return string(q[1 : len(q)-1])
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
