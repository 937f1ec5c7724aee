package main

import (
	"os"
	"path/filepath"
	"strings"
)

// leads answers where a path inside a folder leads out of it through a symbolic link, "" if it does not. A path that does not exist leads where its nearest parent
// does; one that is written as outside is the user's own choice.
func leads(root, path string) string {
	if !within(root, path) {
		return ""
	}
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return "" // whoever uses the path will say so
	}
	for at := path; within(root, at); at = filepath.Dir(at) {
		to, err := filepath.EvalSymlinks(at)
		switch {
		case err == nil && within(real, to):
			return ""
		case err == nil:
			return to
		}
		if link, err := os.Readlink(at); err == nil { // it leads to what is not there yet
			return link
		}
	}
	return ""
}

func within(root, path string) bool {
	rel, err := filepath.Rel(root, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}
