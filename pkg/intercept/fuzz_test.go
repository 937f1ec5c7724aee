package intercept

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Whatever a connection begins with, looking at it takes nothing away, and what is a request of HTTP/1.x to others is one here.
func FuzzSpeaksHTTP(f *testing.F) {
	for _, text := range []string{"", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "M-SEARCH * HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01", "QUIT", "get / HTTP/1.0\r\n\r\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		from := bufio.NewReader(bytes.NewReader(said))
		spoken, err := speaksHTTP(from)
		if (err != nil) != (len(said) == 0) || err != nil && spoken {
			t.Errorf("%v, %v of %d bytes", spoken, err, len(said))
		}
		if rest, err := io.ReadAll(from); err != nil || !bytes.Equal(rest, said) {
			t.Errorf("%q is left of %q, %v", rest, said, err)
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(said)))
		if err != nil || r.ProtoMajor != 1 || len(r.Method) >= longestMethod || strings.Trim(r.Method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != "" || r.Method == "PRI" {
			return
		}
		if !spoken {
			t.Errorf("%q is a request", said)
		}
	})
}
