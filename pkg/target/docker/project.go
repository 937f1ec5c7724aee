package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"gopkg.in/yaml.v3"
)

// projectVariable is the variable by which Compose is told the name of a project.
const projectVariable = "COMPOSE_PROJECT_NAME"

// ProjectOf is the name that Compose gives the project of a file: what COMPOSE_PROJECT_NAME says in the environment, else in the file .env beside it, else the file's
// `name`, else its folder. Neither of the files need exist; an empty variable is as none.
func ProjectOf(file string, getenv func(string) string) (string, error) {
	folder := filepath.Dir(file)
	dotEnv, err := readIfThere(filepath.Join(folder, ".env"))
	if err != nil {
		return "", err
	}
	text, err := readIfThere(file)
	if err != nil {
		return "", err
	}
	name, err := projectName(filepath.Base(folder), text, variables{getenv: getenv, file: readDotEnv(dotEnv)})
	if err == nil && name == "" {
		err = errors.New("what it is to be named after has no letter and no digit")
	}
	if err != nil {
		return "", fmt.Errorf("the Compose project of %s: %w: name the project with `project` in chaos.yaml", file, err)
	}
	return name, nil
}

// projectName names the project of a Compose file with this text in a folder of this name. docker-compose 1.29 refuses a file that has a `name`, so what runs from one
// was named by `docker compose`; and that refuses a variable which is no name as it stands, so what runs by one was named by docker-compose, which does not trim.
func projectName(folder string, text []byte, v variables) (string, error) {
	if name, err := v.get(projectVariable); name != "" || err != nil {
		return allowed(name), err
	}
	var file struct{ Name string }
	if err := yaml.Unmarshal(text, &file); err != nil {
		return "", err
	}
	if file.Name == "" {
		return normalize(folder), nil
	}
	name, err := v.interpolate(file.Name)
	if err != nil {
		return "", fmt.Errorf("its `name` is %q: %w", file.Name, err)
	}
	return normalize(name), nil
}

// normalize makes the name of a project out of a text. It is empty if there is no letter and no digit in it.
func normalize(text string) string { return strings.TrimLeft(allowed(text), "_-") }

// allowed is a text in small letters and without what is not a letter, a digit, _ or -.
func allowed(text string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789_-", r) {
			return r
		}
		return -1
	}, strings.ToLower(text))
}

// variables are those that Compose replaces in a file: of the environment, else of the file .env.
type variables struct {
	getenv func(string) string
	file   map[string]string
}

// get answers the value of a variable, "" if it has none. The versions of Compose differ in which references they replace in .env, between which quotes and by what: a
// value with one is an error.
func (v variables) get(name string) (string, error) {
	if value := v.getenv(name); value != "" {
		return value, nil
	}
	value := v.file[name]
	if strings.Contains(value, "$") {
		return "", fmt.Errorf("%s in .env refers to another variable, which the versions of Compose replace differently", name)
	}
	return value, nil
}

// interpolate puts the values of variables into a text of a Compose file: for $NAME, ${NAME}, and ${NAME:-default} and its like without nesting. One that has neither a value nor a
// default is an error, though Compose takes it for empty: whoever started the project will have had it.
func (v variables) interpolate(text string) (string, error) {
	var errs []error
	replaced := os.Expand(text, func(in string) string {
		value, err := v.resolve(in)
		errs = append(errs, err)
		return value
	})
	return replaced, errors.Join(errs...)
}

// resolve answers what a reference stands for, given without its $ and braces.
func (v variables) resolve(in string) (string, error) {
	parts := substitution.FindStringSubmatch(in)
	if parts == nil {
		return "", fmt.Errorf("what ${%s} stands for is not known here", in)
	}
	name, operator, operand := parts[1], parts[2], parts[3]
	value, err := v.get(name)
	switch {
	case err != nil || value != "":
		return value, err
	case strings.HasSuffix(operator, "-"):
		return operand, nil
	}
	return "", fmt.Errorf("the variable %s is not set", name)
}

var (
	substitution = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?])([^$]*))?$`)
	assignment   = regexp.MustCompile(`(?m)^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*[=:][ \t]*(?:'((?:\\'|[^'])*)'|"((?:\\"|[^"])*)"|([^\r\n]*))`)
	comment      = regexp.MustCompile(`[ \t]+#.*$`)
)

// readDotEnv reads the variables of a file .env as they stand there, without their quotes; of two with one name the last counts. A value between quotes may have several lines.
func readDotEnv(text []byte) map[string]string {
	all := map[string]string{}
	for _, found := range assignment.FindAllStringSubmatch(strings.TrimPrefix(string(text), "\ufeff"), -1) {
		bare := strings.TrimSpace(comment.ReplaceAllString(found[4], ""))
		all[found[1]] = found[2] + found[3] + bare // one of the three
	}
	return all
}

// readIfThere reads a file; there is nothing in one that does not exist, or is a folder.
func readIfThere(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EISDIR) {
		return nil, nil
	}
	return text, err
}
