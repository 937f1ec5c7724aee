package mask

import (
	"bytes"
	"errors"
	"io"
	"sync"
)

// Writer masks each text that is written, which must hold its secrets whole: it is for what this program itself says.
func (s *Set) Writer(w io.Writer) io.Writer { return writer{s, w} }

type writer struct {
	set *Set
	out io.Writer
}

func (w writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.out, w.set.Text(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Unwrap answers where a Writer writes to; any other writer is itself.
func Unwrap(w io.Writer) io.Writer {
	if m, ok := w.(writer); ok {
		return m.out
	}
	return w
}

// maxLine is how much of a line without an end is held back.
const maxLine = 64 << 10

// Stream masks what somebody else says, who may write a secret in pieces: a line is passed on once it is whole. What is written after Close is an error. It is
// safe for concurrent use.
type Stream struct {
	set *Set

	mu     sync.Mutex
	out    io.WriteCloser
	held   []byte
	closed bool
}

// Stream makes a stream that writes to out, which is closed with it.
func (s *Set) Stream(out io.WriteCloser) *Stream { return &Stream{set: s, out: out} }

var errClosed = errors.New("the stream is closed")

func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errClosed
	}
	whole := bytes.LastIndexByte(p, '\n') + 1
	if whole > 0 {
		if err := s.pass(append(s.held, p[:whole]...)); err != nil {
			return 0, err
		}
		s.held = nil
	}
	s.held = append(s.held, p[whole:]...)
	if len(s.held) <= maxLine {
		return len(p), nil
	}
	// A secret that is not whole yet is at the end, and shorter than the longest.
	_, longest := s.set.known()
	masked := s.set.Text(string(s.held))
	cut := max(0, len(masked)-longest+1)
	if _, err := io.WriteString(s.out, masked[:cut]); err != nil {
		return 0, err
	}
	s.held = []byte(masked[cut:])
	return len(p), nil
}

func (s *Stream) pass(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	_, err := io.WriteString(s.out, s.set.Text(string(text)))
	return err
}

// Close passes on what is left and closes what the stream writes to. Called again it does nothing.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	return errors.Join(s.pass(s.held), s.out.Close())
}
