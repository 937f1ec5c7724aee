package mask

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// JSON is a JSON text in whose values there are no secrets. Keys stay: they are the names of a format. The text must be valid and compact, as json.Marshal
// writes it.
func (s *Set) JSON(text []byte) ([]byte, error) {
	if s.Empty() {
		return text, nil
	}
	var out bytes.Buffer
	for len(text) > 0 {
		begin := bytes.IndexByte(text, '"')
		if begin < 0 {
			break
		}
		end := begin + literal(text[begin:])
		out.Write(text[:begin])
		if end < len(text) && text[end] == ':' {
			out.Write(text[begin:end])
		} else if err := s.value(&out, text[begin:end]); err != nil {
			return nil, err
		}
		text = text[end:]
	}
	out.Write(text)
	return out.Bytes(), nil
}

// literal is the length of the string that a text begins with, with its quotes.
func literal(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

func (s *Set) value(out *bytes.Buffer, quoted []byte) error {
	var v string
	if err := json.Unmarshal(quoted, &v); err != nil {
		return fmt.Errorf("take secrets out of a record: %w", err)
	}
	masked := s.Text(v)
	if masked == v {
		out.Write(quoted)
		return nil
	}
	text, err := json.Marshal(masked)
	out.Write(text)
	return err
}
