package report

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func entries(t *testing.T, dir string) []string {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

func TestAReportIsWrittenWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "report.txt")
	say := func(text string, err error) Format {
		return Format{Name: "text", Write: func(w io.Writer, _ Model) error {
			_, writeErr := io.WriteString(w, text)
			return errors.Join(err, writeErr)
		}}
	}
	if err := WriteFile(path, say("first", nil), Model{}); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("it broke")
	if err := WriteFile(path, say("half of the sec", broken), Model{}); !errors.Is(err, broken) || !strings.Contains(err.Error(), "write the text report "+path) {
		t.Errorf("got %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "first" {
		t.Errorf("the report is %q, %v: the earlier one should stand", got, err)
	}
	if names := entries(t, dir); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestAPlaceThatCannotBeWrittenIsAnError(t *testing.T) {
	dir := t.TempDir()
	if err := WriteFile(filepath.Join(dir, "none", "report.json"), Formats()[0], Model{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	folder := filepath.Join(dir, "report.json")
	if err := os.MkdirAll(filepath.Join(folder, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(folder, Formats()[0], Model{}); err == nil {
		t.Error("a folder stands there, want an error")
	}
	if names := entries(t, dir); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

func TestFormatsHaveTheirOwnNamesAndFiles(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Formats() {
		if seen[f.Name] || seen[f.File] || f.Doc == "" {
			t.Errorf("odd row %+v", f)
		}
		seen[f.Name], seen[f.File] = true, true
		if got, err := Find(f.Name); err != nil || got.File != f.File {
			t.Errorf("%s: found %q, %v", f.Name, got.File, err)
		}
	}
	if _, err := Find("pdf"); err == nil || !strings.Contains(err.Error(), "json, html, junit, summary, github, text") {
		t.Errorf("got %v", err)
	}
}

type fullDisk struct{ left int }

func (d *fullDisk) Write(b []byte) (int, error) {
	if len(b) > d.left {
		return 0, errors.New("disk full")
	}
	d.left -= len(b)
	return len(b), nil
}

func TestAWriteErrorIsReturned(t *testing.T) {
	m := recordedModel(t, "failed")
	for _, f := range Formats() {
		for _, left := range []int{0, 20} {
			if err := f.Write(&fullDisk{left}, m); err == nil {
				t.Errorf("%s: nothing said after %d bytes", f.Name, left)
			}
		}
	}
}

func TestFileNames(t *testing.T) {
	for _, name := range []string{"network-latency", "a.b_c-1", strings.Repeat("x", maxName)} {
		if got := FileName(name); got != name {
			t.Errorf("%q became %q", name, got)
		}
	}
	odd := []string{
		"", ".", "..", "../../etc", "a/b", `a\b`, "a[delay=1s,to=b/c]", "a[delay=1s,to=b]c]", "a[delay=1s=to=b/c]", "a b", "a_b#1", "a?b", "é", "\x00", evil, strings.Repeat("x", 300),
	}
	seen := map[string]string{}
	for _, name := range odd {
		got := FileName(name)
		if other, taken := seen[got]; taken {
			t.Errorf("%q and %q are both %q", name, other, got)
		}
		seen[got] = name
		if got == "" || got[0] == '.' || len(got) > 120 || strings.ContainsAny(got, "/\\[]=, #?%\x00") || got != FileName(name) {
			t.Errorf("%q became %q", name, got)
		}
	}
}

func TestTheText(t *testing.T) {
	wantAll(t, written(t, "text", recordedModel(t, "passed")), "PASS         service-kill  took 8", "s planned, recovered after ", "deployment gate OPEN\n")
	failed := written(t, "text", recordedModel(t, "failed"))
	wantAll(t, failed, "FAIL         network-latency  took ", "  FAIL network-latency p99-holds: the 0.99-quantile is ", "deployment gate CLOSED\n")
	wantAll(t, written(t, "text", recordedModel(t, "interrupted")), "no recovery", "interrupted by SIGINT")
	wantAll(t, written(t, "text", recordedModel(t, "killed")), "recovery not shown")
}
