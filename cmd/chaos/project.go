package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"chaosgate/pkg/diag"
)

const configFile = "chaos.yaml"

// findConfig answers the absolute path of the project's chaos.yaml: the one that is named, or the first on the way up from where the user stands. Its
// folder is the project's root, which relative paths in it refer to.
func findConfig(sys system, named string) (string, error) {
	if named != "" {
		path := sys.path(named)
		if _, err := os.Stat(path); err != nil {
			return "", invalid("", textNoFile, named, reasonOf(err))
		}
		return path, nil
	}
	for dir := sys.dir; ; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, configFile)
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			return path, nil
		}
		if dir == filepath.Dir(dir) {
			return "", invalid(textNoConfigHint, textNoConfig, sys.dir)
		}
	}
}

// experimentFiles answers the files that the arguments name: a file is itself, a folder is every YAML file in it, a pattern that the shell has left
// alone is what it matches. Nothing named twice is run twice. What names nothing is a problem.
// One in the project's folder, root, that leads out of it is a problem: its lines would be shown.
func experimentFiles(sys system, root string, args []string) ([]string, diag.List) {
	var files []string
	var problems diag.List
	for _, arg := range args {
		found, problem := filesOf(sys, arg)
		if problem != nil {
			problems = append(problems, *problem)
		}
		for _, f := range found {
			if to := leads(root, sys.path(f)); to != "" {
				problems = append(problems, *noFile(f, "", fmt.Sprintf(textLeadsOut, to)))
				continue
			}
			if !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
	}
	return files, problems
}

func filesOf(sys system, arg string) ([]string, *diag.Problem) {
	path := sys.path(arg)
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return filesIn(sys, arg, path)
	case err == nil && filepath.Base(path) == configFile:
		return nil, noFile(arg, "", textIsConfig)
	case err == nil:
		return []string{sys.shown(path)}, nil
	case strings.ContainsAny(arg, "*?["):
		return filesLike(sys, arg)
	default:
		return nil, noFile(arg, nearby(path), reasonOf(err))
	}
}

func noFile(arg, hint, message string) *diag.Problem {
	return &diag.Problem{Span: diag.Span{Pos: diag.Pos{File: arg}}, Severity: diag.Error, Rule: "read", Message: message, Hint: hint}
}

func filesIn(sys system, arg, path string) ([]string, *diag.Problem) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, noFile(arg, "", reasonOf(err))
	}
	var files []string
	for _, e := range entries {
		if isYAML(e.Name()) && !e.IsDir() && e.Name() != configFile {
			files = append(files, sys.shown(filepath.Join(path, e.Name())))
		}
	}
	if len(files) == 0 {
		return nil, noFile(arg, "", textEmptyFolder)
	}
	return files, nil
}

func filesLike(sys system, pattern string) ([]string, *diag.Problem) {
	absolute := pattern
	if !filepath.IsAbs(pattern) {
		absolute = filepath.Join(literally(sys.dir), pattern)
	}
	matches, err := filepath.Glob(absolute)
	if err != nil || len(matches) == 0 {
		return nil, noFile(pattern, nearby(sys.path(pattern)), textNoMatch)
	}
	for i := range matches {
		matches[i] = sys.shown(matches[i])
	}
	return matches, nil
}

// literally is a path as a pattern that only itself matches: where the user stands is no pattern, whatever characters are in its name.
func literally(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// nearby hints at the YAML files that are there instead: the one that was probably meant, or the first few.
func nearby(path string) string {
	const most = 5
	entries, _ := os.ReadDir(filepath.Dir(path)) // no folder, no hint
	var names, folders []string
	for _, e := range entries {
		switch {
		case e.IsDir():
			folders = append(folders, e.Name())
		case isYAML(e.Name()) && e.Name() != configFile:
			names = append(names, e.Name())
		}
	}
	if hint := diag.DidYouMean(filepath.Base(path), append(folders, names...)); hint != "" || len(names) == 0 {
		return hint
	}
	if len(names) > most {
		names = append(names[:most], "...")
	}
	return fmt.Sprintf(textThereIs, strings.Join(names, ", "))
}

func isYAML(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

// reasonOf is why a file cannot be read, without its path, which is said before.
func reasonOf(err error) string {
	var path *fs.PathError
	if errors.Is(err, fs.ErrNotExist) {
		return textNotThere
	}
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
