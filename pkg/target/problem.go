package target

import "strings"

// Problem is something wrong with a service in chaos.yaml. Pointer is a JSON pointer inside the service ("/env/DB_PATH").
type Problem struct {
	Pointer string
	Message string
}

func (p *Problem) Error() string { return strings.TrimPrefix(p.Pointer, "/") + ": " + p.Message }
