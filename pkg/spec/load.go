package spec

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"

	"gopkg.in/yaml.v3"

	"chaosgate/pkg/diag"
)

// Load reads experiments, several at a time, and answers them in the given order together with all problems of all files. An experiment that has a problem of
// severity error is not among them. A file that cannot be read is a problem, too.
func Load(files []string) ([]*Experiment, diag.List) {
	type result struct {
		experiment *Experiment
		problems   diag.List
	}
	results := make([]result, len(files))
	work := make(chan int)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := range work {
				results[i].experiment, results[i].problems = loadFile(files[i])
			}
		})
	}
	for i := range files {
		work <- i
	}
	close(work)
	workers.Wait()
	var all []*Experiment
	var problems diag.List
	for _, r := range results {
		problems = append(problems, r.problems...)
		if !r.problems.Invalid() {
			all = append(all, r.experiment)
		}
	}
	return all, append(problems, checkNames(all)...)
}

// checkNames finds two experiments of one name.
func checkNames(all []*Experiment) diag.List {
	first := map[string]*Experiment{}
	var problems diag.List
	for _, e := range all {
		if other := first[e.Name]; other != nil {
			at := other.Doc.Value("/name")
			problems = append(problems, diag.Problem{Span: e.Doc.Value("/name"), Severity: diag.Error, Rule: "duplicate-name",
				Message: fmt.Sprintf("the name %q is taken by %s:%d; names are unique in a run", e.Name, at.File, at.Line)})
			continue
		}
		first[e.Name] = e
	}
	return problems
}

func loadFile(file string) (*Experiment, diag.List) {
	text, problems := readFile(file)
	if problems != nil {
		return nil, problems
	}
	return ParseExperiment(file, text)
}

// readFile reads at most a little more than a file may have, so that a huge one costs nothing.
func readFile(file string) ([]byte, diag.List) {
	f, err := os.Open(file)
	var text []byte
	if err == nil {
		defer f.Close()
		text, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	}
	if err == nil {
		return text, nil
	}
	p := diag.Problem{Span: diag.Span{Pos: diag.Pos{File: file}}, Severity: diag.Error, Rule: "read", Message: "the file cannot be read: " + cause(err)}
	if errors.Is(err, fs.ErrNotExist) {
		p.Message = "there is no such file"
	}
	return nil, diag.List{p}
}

func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

// ParseExperiment reads and checks one experiment; file names it in the problems. With an error among them there is no experiment.
func ParseExperiment(file string, text []byte) (*Experiment, diag.List) {
	e := &Experiment{}
	doc, problems := parse(file, text, experimentForm, e)
	if doc.root == nil {
		return nil, problems
	}
	e.Doc = doc
	problems = with(problems, func() diag.List { return checkExperiment(e) }).Bounded()
	if problems.Invalid() {
		return nil, problems
	}
	return e, problems
}

// with adds what a second check finds on the lines on which the first found nothing: all problems at once, but each only once.
func with(first diag.List, check func() diag.List) (all diag.List) {
	all = first
	taken := map[int]bool{}
	for _, p := range first {
		taken[p.Line] = true
	}
	if first.Invalid() {
		// The values may not have the shape that the second check relies on.
		defer func() { _ = recover() }()
	}
	for _, p := range check() {
		if !taken[p.Line] {
			all = append(all, p)
		}
	}
	return all
}

// LoadConfig reads and checks chaos.yaml.
func LoadConfig(file string) (*Config, diag.List) {
	text, problems := readFile(file)
	if problems != nil {
		return nil, problems
	}
	return ParseConfig(file, text)
}

// ParseConfig reads and checks the text of a chaos.yaml.
func ParseConfig(file string, text []byte) (*Config, diag.List) {
	c := &Config{}
	doc, problems := parse(file, text, configForm, c)
	if doc.root == nil {
		return nil, problems
	}
	c.Doc = doc
	problems = with(problems, func() diag.List { return checkConfig(c) }).Bounded()
	if problems.Invalid() {
		return nil, problems
	}
	return c, problems
}

// parse goes from text to a decoded value: YAML, then the schema, then the decoding, which cannot fail on what the schema let through.
func parse(file string, text []byte, kind form, into any) (*Document, diag.List) {
	doc, problems := newDocument(file, text, kind)
	if problems.Invalid() {
		doc.root = nil
		return doc, problems.Bounded()
	}
	problems = append(problems, kind.shape().check(doc)...)
	if err := decode(doc.root, into); err != nil && !problems.Invalid() {
		problems = append(problems, doc.undecoded(err))
	}
	return doc, problems
}

func decode(n *yaml.Node, into any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	return n.Decode(into)
}
