package spec

import (
	"errors"
	"strconv"
	"strings"

	"chaosgate/pkg/dag"
)

// graph checks what the steps say of each other.
func (c *checker) graph() {
	var names, faults []string
	for i := range c.e.Steps {
		names = append(names, c.e.Steps[i].ID)
		if c.e.Steps[i].Fault != "" {
			faults = append(faults, c.e.Steps[i].ID)
		}
	}
	known := map[string]bool{}
	for _, n := range names {
		known[n] = true
	}
	sound := true
	for i := range c.e.Steps {
		s, pointer := &c.e.Steps[i], "/steps/"+strconv.Itoa(i)
		for k, need := range s.Needs {
			sound = c.need(pointer+"/needs/"+strconv.Itoa(k), s.ID, need, names, known) && sound
		}
		sound = c.during(pointer, s, known, faults) && sound
	}
	if sound {
		c.cycles()
	}
}

// need checks one of the steps that a step needs, and says whether the graph can be looked at with it.
func (c *checker) need(pointer, id, need string, names []string, known map[string]bool) bool {
	switch {
	case !known[need]:
		c.value(pointer, "unknown-id", c.meant(need, names), "there is no step %q", need)
	case need == id && c.single(id):
		c.value(pointer, "cycle", "remove it", "%s needs itself, so it would never start", id)
	default:
		return true
	}
	return false
}

// single says whether one step alone has an id: of two, either may be meant.
func (c *checker) single(id string) bool {
	n := 0
	for i := range c.e.Steps {
		if c.e.Steps[i].ID == id {
			n++
		}
	}
	return n == 1
}

func (c *checker) during(pointer string, s *Step, known map[string]bool, faults []string) bool {
	at := pointer + "/during"
	f := c.faults[s.During]
	switch {
	case s.During == "":
		return true
	case !known[s.During]:
		c.value(at, "unknown-id", c.meant(s.During, faults), "there is no step %q", s.During)
		return false
	case s.During == s.ID && c.single(s.ID):
		c.value(at, "cycle", "remove it", "%s is during itself, so it would never start", s.ID)
		return false
	case f == nil:
		c.value(at, "during", "use needs", "%q is not a fault, so it has no active phase to be during", s.During)
	}
	return true
}

// cycles looks for steps that wait for each other. A fault ends after what is during it, so that is an edge too: what is during a fault cannot need it.
func (c *checker) cycles() {
	place := map[string]string{}
	var nodes []dag.Node
	begins := func(id string) string { return id + "\x00" }
	inside := map[string][]string{}
	for i := range c.e.Steps {
		s := &c.e.Steps[i]
		if _, double := place[s.ID]; double {
			return // reported already
		}
		place[s.ID] = "/steps/" + strconv.Itoa(i)
		if s.During != "" {
			inside[s.During] = append(inside[s.During], s.ID)
		}
	}
	for i := range c.e.Steps {
		s := &c.e.Steps[i]
		needs := append([]string(nil), s.Needs...)
		if s.During != "" && c.faults[s.During] != nil {
			needs = append(needs, begins(s.During))
		}
		if s.Fault == "" {
			nodes = append(nodes, dag.Node{ID: s.ID, Needs: needs})
			continue
		}
		nodes = append(nodes, dag.Node{ID: begins(s.ID), Needs: needs}, dag.Node{ID: s.ID, Needs: append(inside[s.ID], begins(s.ID))})
	}
	var cycle *dag.CycleError
	if _, err := dag.New(nodes); errors.As(err, &cycle) {
		path := compact(cycle.Path)
		c.key(place[path[0]], "cycle", "", "these steps wait for each other: %s", strings.Join(path, " -> "))
	}
}

// compact puts the two nodes of a fault back together.
func compact(path []string) []string {
	var short []string
	for _, id := range path {
		id = strings.TrimSuffix(id, "\x00")
		if len(short) == 0 || short[len(short)-1] != id {
			short = append(short, id)
		}
	}
	if len(short) == 1 || short[0] != short[len(short)-1] {
		short = append(short, short[0])
	}
	return short
}
