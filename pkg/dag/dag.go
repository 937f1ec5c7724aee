// Package dag is a directed acyclic graph of named nodes and a concurrent walk over it. It knows nothing of chaos.
package dag

import (
	"fmt"
	"slices"
	"strings"
)

// Node is a name and the names it needs.
type Node struct {
	ID    string
	Needs []string
}

// Graph is a checked, immutable graph.
type Graph struct {
	ids        []string
	needs      [][]int
	dependents [][]int
}

// CycleError says which nodes need each other; the first is repeated at the end.
type CycleError struct{ Path []string }

func (e *CycleError) Error() string { return "cycle: " + strings.Join(e.Path, " -> ") }

// New checks that ids are unique, that what is needed exists, and that there is no cycle (*CycleError).
func New(nodes []Node) (*Graph, error) {
	index := make(map[string]int, len(nodes))
	g := &Graph{ids: make([]string, len(nodes)), needs: make([][]int, len(nodes)), dependents: make([][]int, len(nodes))}
	for i, n := range nodes {
		if _, double := index[n.ID]; double {
			return nil, fmt.Errorf("two nodes are named %q", n.ID)
		}
		index[n.ID] = i
		g.ids[i] = n.ID
	}
	for i, n := range nodes {
		for _, need := range n.Needs {
			j, ok := index[need]
			if !ok {
				return nil, fmt.Errorf("%q needs %q, which does not exist", n.ID, need)
			}
			if !slices.Contains(g.needs[i], j) {
				g.needs[i] = append(g.needs[i], j)
				g.dependents[j] = append(g.dependents[j], i)
			}
		}
	}
	if order := g.order(); len(order) < len(nodes) {
		return nil, &CycleError{Path: g.cycle(order)}
	}
	return g, nil
}

// Order answers the ids so that each comes after all it needs; among equals the given order is kept.
func (g *Graph) Order() []string {
	order := g.order()
	ids := make([]string, len(order))
	for i, n := range order {
		ids[i] = g.ids[n]
	}
	return ids
}

// order is Kahn's algorithm; nodes on or behind a cycle are missing from it.
func (g *Graph) order() []int {
	waiting := make([]int, len(g.ids))
	var ready []int
	for i := range g.ids {
		if waiting[i] = len(g.needs[i]); waiting[i] == 0 {
			ready = append(ready, i)
		}
	}
	for at := 0; at < len(ready); at++ {
		for _, d := range g.dependents[ready[at]] {
			if waiting[d]--; waiting[d] == 0 {
				ready = append(ready, d)
			}
		}
	}
	return ready
}

// cycle walks needs from a node that order left out until a node comes up again: every such node needs another one.
func (g *Graph) cycle(order []int) []string {
	sorted := make([]bool, len(g.ids))
	for _, n := range order {
		sorted[n] = true
	}
	at := slices.Index(sorted, false)
	place := map[int]int{}
	var path []int
	for {
		if from, again := place[at]; again {
			path = append(path[from:], at)
			break
		}
		place[at] = len(path)
		path = append(path, at)
		i := slices.IndexFunc(g.needs[at], func(n int) bool { return !sorted[n] })
		at = g.needs[at][i]
	}
	names := make([]string, len(path))
	for i, n := range path {
		names[i] = g.ids[n]
	}
	return names
}
