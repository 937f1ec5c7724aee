package dag

// Walk visits every node in a goroutine of its own, as soon as all it needs have been visited, and answers the results by id once
// all have been. The visitor gets the results of exactly the needed nodes, in the order of Node.Needs without doubles; what they mean, and
// whether to do anything because of them, is the visitor's to decide. Walk has no way to stop early: a visitor that should not act
// any more must return, so that every node has a result.
//
// All that a visit did happens before the visits of its dependents and before Walk returns.
func Walk[R any](g *Graph, visit func(id string, needs []R) R) map[string]R {
	type done struct {
		node   int
		result R
	}
	results := make([]R, len(g.ids))
	waiting := make([]int, len(g.ids))
	ended := make(chan done)
	start := func(n int) {
		needs := make([]R, len(g.needs[n]))
		for i, need := range g.needs[n] {
			needs[i] = results[need]
		}
		go func() { ended <- done{n, visit(g.ids[n], needs)} }()
	}
	for n := range g.ids {
		if waiting[n] = len(g.needs[n]); waiting[n] == 0 {
			start(n)
		}
	}
	for range g.ids {
		d := <-ended
		results[d.node] = d.result
		for _, dependent := range g.dependents[d.node] {
			if waiting[dependent]--; waiting[dependent] == 0 {
				start(dependent)
			}
		}
	}
	byID := make(map[string]R, len(g.ids))
	for n, id := range g.ids {
		byID[id] = results[n]
	}
	return byID
}
