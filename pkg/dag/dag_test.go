package dag

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		nodes []Node
		want  string
	}{
		"double":    {[]Node{{ID: "a"}, {ID: "a"}}, `two nodes are named "a"`},
		"unknown":   {[]Node{{ID: "a", Needs: []string{"b"}}}, `"a" needs "b", which does not exist`},
		"self":      {[]Node{{ID: "a", Needs: []string{"a"}}}, "cycle: a -> a"},
		"two":       {[]Node{{ID: "a", Needs: []string{"b"}}, {ID: "b", Needs: []string{"a"}}}, "cycle: a -> b -> a"},
		"behind it": {[]Node{{ID: "x", Needs: []string{"a"}}, {ID: "a", Needs: []string{"b"}}, {ID: "b", Needs: []string{"a"}}}, "cycle: a -> b -> a"},
	} {
		if _, err := New(c.nodes); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
	_, err := New([]Node{{ID: "a", Needs: []string{"a"}}})
	if cycle := new(CycleError); !errors.As(err, &cycle) {
		t.Errorf("a cycle is a %T, want a *CycleError", err)
	}
}

func TestOrderKeepsTheFileOrderAmongEquals(t *testing.T) {
	g, err := New([]Node{{ID: "c", Needs: []string{"b"}}, {ID: "a"}, {ID: "b"}, {ID: "d", Needs: []string{"a", "c"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(g.Order(), " "); got != "a b c d" {
		t.Errorf("order %s, want a b c d", got)
	}
}

func TestDeepChainNeedsNoStack(t *testing.T) {
	nodes := []Node{{ID: "0"}}
	for i := 1; i < 100_000; i++ {
		nodes = append(nodes, Node{ID: fmt.Sprint(i), Needs: []string{fmt.Sprint(i - 1)}})
	}
	g, err := New(nodes)
	if err != nil {
		t.Fatal(err)
	}
	results := Walk(g, func(_ string, needs []int) int {
		if len(needs) == 0 {
			return 0
		}
		return needs[0] + 1
	})
	if results["99999"] != 99_999 {
		t.Errorf("the last of the chain is at depth %d", results["99999"])
	}
}

// A step must never start after a step it needs has failed. In each walk a random node fails; whether a visit saw that is decided
// by what it was handed and, independently, by a flag set before the failing visit returned.
func TestNoNodeActsAfterOneItNeedsHasFailed(t *testing.T) {
	walks := 20_000
	if testing.Short() {
		walks = 2_000
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range walks {
		nodes, bad := randomGraph(random)
		g, err := New(nodes)
		if err != nil {
			t.Fatal(err)
		}
		var failed atomic.Bool
		acted := make([]atomic.Bool, len(nodes))
		results := Walk(g, func(id string, needs []bool) bool {
			if slices.Contains(needs, false) {
				return false
			}
			var n int
			fmt.Sscan(id, &n)
			acted[n].Store(true)
			if n == bad {
				failed.Store(true)
				return false
			}
			return true
		})
		doomed := behind(nodes, bad)
		for n := range nodes {
			if doomed[n] && n != bad && acted[n].Load() {
				t.Fatalf("node %d acted although %d, which it needs, had failed: %v", n, bad, nodes)
			}
			if !doomed[n] && !results[nodes[n].ID] {
				t.Fatalf("node %d did not act although nothing it needs failed: %v", n, nodes)
			}
		}
	}
}

func randomGraph(random *rand.Rand) (nodes []Node, bad int) {
	n := 2 + random.IntN(10)
	for i := range n {
		node := Node{ID: fmt.Sprint(i)}
		for j := range i {
			if random.IntN(3) == 0 {
				node.Needs = append(node.Needs, fmt.Sprint(j))
			}
		}
		nodes = append(nodes, node)
	}
	return nodes, random.IntN(n)
}

// behind marks the bad node and all that need it, directly or not.
func behind(nodes []Node, bad int) []bool {
	doomed := make([]bool, len(nodes))
	doomed[bad] = true
	for i, n := range nodes {
		for _, need := range n.Needs {
			var j int
			fmt.Sscan(need, &j)
			doomed[i] = doomed[i] || doomed[j]
		}
	}
	return doomed
}

func BenchmarkWalkChain(b *testing.B) {
	nodes := []Node{{ID: "0"}}
	for i := 1; i < 10_000; i++ {
		nodes = append(nodes, Node{ID: fmt.Sprint(i), Needs: []string{fmt.Sprint(i - 1)}})
	}
	g, err := New(nodes)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		Walk(g, func(string, []struct{}) struct{} { return struct{}{} })
	}
}
