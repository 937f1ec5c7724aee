package docs

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const project = ".."

// document is a Markdown file of the project.
type document struct {
	name   string // below the project's folder
	prose  []line // outside of fences
	blocks []block
}

type line struct {
	number int
	text   string
}

func place(name string, number int) string { return fmt.Sprintf("%s:%d", name, number) }

// block is a fenced block. Info is what stands behind the fence: "yaml", "steps".
type block struct {
	place string // file:line of its first line
	info  []string
	lines []string
}

func (b block) lang() string {
	if len(b.info) == 0 {
		return ""
	}
	return b.info[0]
}

// arg is the n-th word behind the language, "" if there is none.
func (b block) arg(n int) string {
	if n+1 < len(b.info) {
		return b.info[n+1]
	}
	return ""
}

// file is the name that a YAML block goes by in the commands of its page.
func (b block) file() string {
	switch {
	case b.arg(0) == "experiment":
		return b.arg(1)
	case b.arg(0) == "invalid":
		return b.arg(2)
	}
	return ""
}

func (b block) text() string { return strings.Join(b.lines, "\n") + "\n" }

// documents reads all pages: those at the root, and those in docs, reports and services.
func documents(t *testing.T) []document {
	t.Helper()
	var all []document
	for _, pattern := range []string{"*.md", "docs/*.md", "reports/README.md", "services/*.md"} {
		paths, err := filepath.Glob(filepath.Join(project, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			name, err := filepath.Rel(project, path)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, parse(t, filepath.ToSlash(name)))
		}
	}
	if len(all) < 9 {
		t.Fatalf("%d documents, expected the README and those of docs/ at least", len(all))
	}
	return all
}

func parse(t *testing.T, name string) document {
	t.Helper()
	f, err := os.Open(filepath.Join(project, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := document{name: name}
	var open *block
	scanner := bufio.NewScanner(f)
	for number := 1; scanner.Scan(); number++ {
		text := scanner.Text()
		info, fence := strings.CutPrefix(text, "```")
		switch {
		case fence && open == nil:
			open = &block{place: place(name, number+1), info: strings.Fields(info)}
		case fence:
			d.blocks = append(d.blocks, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, text)
		default:
			d.prose = append(d.prose, line{number, text})
		}
	}
	if err := scanner.Err(); err != nil || open != nil {
		t.Fatalf("%s: a fence is never closed (%v)", name, err)
	}
	return d
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`^#{1,6} (.*)$`)
	// punctuation is what GitHub leaves out of the name of a heading.
	punctuation = regexp.MustCompile(`[^a-z0-9_-]`)
)

func TestLinksLeadSomewhere(t *testing.T) {
	pages := map[string]document{}
	for _, d := range documents(t) {
		pages[d.name] = d
	}
	links := 0
	for _, d := range pages {
		for _, l := range d.prose {
			for _, m := range link.FindAllStringSubmatch(l.text, -1) {
				links++
				if why := deadEnd(pages, d.name, m[1]); why != "" {
					t.Errorf("%s: %s: %s", place(d.name, l.number), m[1], why)
				}
			}
		}
	}
	if links < 50 {
		t.Errorf("%d links, expected many more", links)
	}
}

// deadEnd says why a link on a page leads nowhere; "" if it leads somewhere, or away from the project.
func deadEnd(pages map[string]document, from, to string) string {
	if strings.Contains(to, "://") {
		return ""
	}
	file, anchor, _ := strings.Cut(to, "#")
	name := from
	if file != "" {
		name = filepath.ToSlash(filepath.Join(filepath.Dir(from), file))
		if _, err := os.Stat(filepath.Join(project, name)); err != nil {
			return "there is no such file"
		}
	}
	if anchor == "" {
		return ""
	}
	page, ok := pages[name]
	if !ok {
		return "there are no anchors in " + name
	}
	if !slices.Contains(anchors(page), anchor) {
		return "there is no such heading in " + name
	}
	return ""
}

// anchors are the names of the headings as GitHub makes them: lower case, dashes for spaces, no punctuation, numbered where a name was taken.
func anchors(d document) []string {
	var all []string
	for _, l := range d.prose {
		m := heading.FindStringSubmatch(l.text)
		if m == nil {
			continue
		}
		base := punctuation.ReplaceAllString(strings.ReplaceAll(strings.ToLower(m[1]), " ", "-"), "")
		name := base
		for n := 1; slices.Contains(all, name); n++ {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		all = append(all, name)
	}
	return all
}

// TestADeadEndIsFound shows that a link that leads nowhere does not pass.
func TestADeadEndIsFound(t *testing.T) {
	pages := map[string]document{"docs/format.md": parse(t, "docs/format.md")}
	for to, want := range map[string]string{
		"https://example.org/x": "", "format.md#quantities": "", "#a-step": "", "../go.mod": "", "nowhere.md": "no such file",
		"format.md#nowhere": "no such heading", "../go.mod#module": "no anchors",
	} {
		if got := deadEnd(pages, "docs/format.md", to); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", to, got, want)
		}
	}
}

func TestWhatIsNamedExists(t *testing.T) {
	sources := ""
	for _, path := range goFiles(t, "cmd", "pkg", "services", "docs", "experiments") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sources += string(text)
	}
	testName := regexp.MustCompile("`(Test[A-Z][A-Za-z0-9]*)`")
	goPath := regexp.MustCompile("`((?:cmd|pkg|docs|services|schema|experiments)/[A-Za-z0-9_./*-]*)`")
	found := 0
	for _, d := range documents(t) {
		for _, l := range d.prose {
			for _, m := range testName.FindAllStringSubmatch(l.text, -1) {
				found++
				if !strings.Contains(sources, "func "+m[1]+"(t *testing.T)") {
					t.Errorf("%s: there is no test %s", place(d.name, l.number), m[1])
				}
			}
			for _, m := range goPath.FindAllStringSubmatch(l.text, -1) {
				if strings.Contains(m[1], "NAME") {
					continue
				}
				if paths, err := filepath.Glob(filepath.Join(project, m[1])); err != nil || len(paths) == 0 {
					t.Errorf("%s: there is no %s", place(d.name, l.number), m[1])
				}
			}
		}
	}
	if found < 20 {
		t.Errorf("%d tests are named, expected those of docs/verdict.md", found)
	}
}

func TestEveryPackageHasItsRoom(t *testing.T) {
	text := textOf(t, "docs/architecture.md")
	told := map[string]bool{"pkg": true}
	for _, path := range goFiles(t, "pkg") {
		name, err := filepath.Rel(project, filepath.Dir(path))
		if err != nil {
			t.Fatal(err)
		}
		if name = filepath.ToSlash(name); !told[name] && !strings.Contains(text, "`"+name+"`") {
			t.Errorf("docs/architecture.md says nothing of %s", name)
		}
		told[name] = true
	}
}

// goFiles are the Go files below folders of the project, without what tests keep as data.
func goFiles(t *testing.T, folders ...string) []string {
	t.Helper()
	var all []string
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(project, folder), func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "testdata":
				return fs.SkipDir
			case strings.HasSuffix(path, ".go"):
				all = append(all, path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func textOf(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(project, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
