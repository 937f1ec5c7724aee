package target

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// PickDatabase answers the path of the database that is meant: by its name in chaos.yaml, or the only one.
func PickDatabase(service string, databases map[string]string, name string) (string, error) {
	names := slices.Sorted(maps.Keys(databases))
	switch {
	case len(names) == 0:
		return "", fmt.Errorf("service %s has no databases in chaos.yaml", service)
	case name == "" && len(names) == 1:
		name = names[0]
	case !slices.Contains(names, name):
		return "", fmt.Errorf("service %s has no database %q; it has %s", service, name, strings.Join(names, ", "))
	}
	return databases[name], nil
}
