package process

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// tailLines and tailBytes bound what an error quotes of a log.
const (
	tailLines = 12
	tailBytes = 4 << 10
)

// openLog opens a service's log for one more start, with a header line, and answers where its output will begin.
func openLog(path, instance string, args []string) (*os.File, int64, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, 0, fmt.Errorf("open the log of %s: %w", instance, err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, 0, fmt.Errorf("open the log of %s: %w", instance, err)
	}
	if _, err = fmt.Fprintf(f, "=== %s %s starts: %q\n", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), instance, args); err == nil {
		var from int64
		if from, err = f.Seek(0, io.SeekEnd); err == nil {
			return f, from, nil
		}
	}
	_ = f.Close()
	return nil, 0, fmt.Errorf("write the log of %s: %w", instance, err)
}

// tail answers the last lines of a log after an offset, indented, for an error; it says so when there are none.
func tail(path string, from int64) string {
	text := strings.TrimSpace(readFrom(path, from))
	if text == "" {
		return "it wrote nothing; its log is " + path
	}
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return "its last output, of " + path + ":\n    " + strings.Join(lines, "\n    ")
}

// readFrom answers what a log holds after an offset, at most its last tailBytes; nothing if it cannot be read.
func readFrom(path string, from int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		from = max(from, info.Size()-tailBytes)
	}
	text, _ := io.ReadAll(io.NewSectionReader(f, from, tailBytes))
	return string(text)
}
