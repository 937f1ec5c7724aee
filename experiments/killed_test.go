package experiments

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"chaosgate/pkg/target"
	"chaosgate/pkg/verdict"
)

// How much of the campaign a test run takes. `make killed` takes all of it.
var (
	killedShare   = flag.Float64("killed.share", 0, "part of the kills of each kind, up to 1; 0 is two of each")
	killedSeed    = flag.Uint64("killed.seed", 0, "seed of the moments (default: a random one, which is printed)")
	killedWithin  = flag.Duration("killed.within", 20*time.Second, "how long a killed run may take until nothing is left of it")
	killedWorkers = flag.Int("killed.workers", 4, "runs at once")
	killedOnly    = flag.String("killed.only", "", "only the kinds whose name contains this")
)

// kindOfKill is one way to end a run early, or to take its guard away.
type kindOfKill struct {
	name  string
	times int // in a whole campaign
	hit   func(*victim) error
	// ends are the exit codes of a run that was hit before it had ended; -1 is a process that was killed.
	ends []int
	// then is what somebody does about it before nothing may be left; nil if nobody has to do anything.
	then func(*victim) error
}

func kindsOfKill() []kindOfKill {
	return []kindOfKill{
		{"runner SIGKILL", 200, signalled(syscall.SIGKILL), []int{-1}, nil},
		{"runner SIGTERM", 50, signalled(syscall.SIGTERM), []int{verdict.ExitTerminated}, nil},
		{"runner SIGINT", 50, signalled(syscall.SIGINT), []int{verdict.ExitInterrupt}, nil},
		{"runner SIGHUP", 50, signalled(syscall.SIGHUP), []int{verdict.ExitHangup}, nil},
		{"runner ^C twice", 50, twice, []int{verdict.ExitInterrupt, verdict.ExitDirty}, nil},
		{"guard SIGKILL", 50, guardOnly, nil, nil},
		{"both, chaos rollback", 50, both, []int{-1}, rollback},
		{"both, chaos run", 50, both, []int{-1}, nextRun},
	}
}

// No fault outlives its runner, whatever happens to it and whenever: the moment is drawn over the whole life of a run of each shipped experiment, in half of the
// cases right after an event of its journal, where something has just been begun or is half undone.
func TestKilledAtAnyMoment(t *testing.T) {
	if testing.Short() {
		t.Skip("kills runs of the shipped experiments, about a minute")
	}
	c := newCampaign(t)
	t.Logf("-killed.seed %d -killed.share %v", c.seed, *killedShare)
	jobs := make(chan order)
	var working sync.WaitGroup
	for range *killedWorkers {
		working.Go(func() {
			for o := range jobs {
				c.carryOut(o)
			}
		})
	}
	for _, o := range c.orders() {
		jobs <- o
	}
	close(jobs)
	working.Wait()
	t.Log(c.table())
	for _, told := range c.told {
		t.Error(told)
	}
}

// order is one kill to be made: of what, how, and when.
type order struct {
	kind       kindOfKill
	experiment string        // file, from the project's folder
	life       time.Duration // how long a run of it takes, about
	rand       *rand.Rand
}

// campaign is all the kills of a test run and what came of them. Its orders follow from the seed alone; the moments themselves also depend on the machine.
type campaign struct {
	t       *testing.T
	program string
	seed    uint64
	files   []string
	lives   []time.Duration

	mu     sync.Mutex
	counts map[string]*count
	told   []string
}

// count is a row of the table.
type count struct {
	kills, clean, left, missed int
	slowest                    time.Duration
	phases                     map[string]int
	codes                      map[int]int
}

func newCampaign(t *testing.T) *campaign {
	c := &campaign{t: t, program: chaos(t), seed: *killedSeed, files: files(t), counts: map[string]*count{}}
	if c.seed == 0 {
		c.seed = uint64(rand.Uint32())
	}
	code, said := output(t, c.program, append([]string{"plan", "--output", "json"}, c.files...)...)
	var plans []struct{ Expected target.Duration }
	if err := json.Unmarshal([]byte(said), &plans); err != nil || code != 0 || len(plans) != len(c.files) {
		t.Fatalf("%d plans, exit code %d, %v:\n%s", len(plans), code, err, said)
	}
	for _, p := range plans {
		c.lives = append(c.lives, time.Duration(p.Expected)+around)
	}
	return c
}

// around is what a run takes beside its plan's expected time, about: to build, to start and to end.
const around = 2 * time.Second

// orders answers the kills of all kinds in a random order, over experiments in turn, so that a part of a campaign is like the whole.
func (c *campaign) orders() []order {
	r := rand.New(rand.NewPCG(c.seed, 1))
	var all []order
	turn := r.Perm(len(c.files))
	for _, k := range kindsOfKill() {
		if !strings.Contains(k.name, *killedOnly) {
			continue
		}
		times := max(2, int(math.Ceil(float64(k.times)**killedShare)))
		c.counts[k.name] = &count{phases: map[string]int{}, codes: map[int]int{}}
		for range times {
			file := turn[len(all)%len(turn)]
			all = append(all, order{k, c.files[file], c.lives[file], rand.New(rand.NewPCG(c.seed, uint64(len(all)+2)))})
		}
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// mostMisses is how many runs in a row may end before their moment has come.
const mostMisses = 10

// carryOut kills one run, and tries again with another moment if the run was over before that.
func (c *campaign) carryOut(o order) {
	for range mostMisses {
		v, err := newVictim(c.t, c.program, o)
		if err == nil {
			err = v.live()
		}
		if err != nil {
			c.tell(o, v, []string{err.Error()})
			return
		}
		if v.missed {
			c.with(o, func(n *count) { n.missed++ })
			v.forget()
			continue
		}
		c.tell(o, v, v.wrong())
		return
	}
	c.tell(o, nil, []string{fmt.Sprintf("%d runs ended before their moment had come", mostMisses)})
}

func (c *campaign) with(o order, change func(*count)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c.counts[o.kind.name])
}

// tell counts a kill and keeps what was wrong with it, together with the run's folder.
func (c *campaign) tell(o order, v *victim, wrong []string) {
	c.with(o, func(n *count) {
		n.kills++
		if v != nil {
			n.phases[v.phase()]++
			n.slowest = max(n.slowest, v.took)
			n.codes[v.code()]++
		}
		if len(wrong) == 0 {
			n.clean++
			v.forget()
			return
		}
		n.left++
		told := fmt.Sprintf("%s, %s: %s", o.kind.name, filepath.Base(o.experiment), strings.Join(wrong, "\n    "))
		if v != nil {
			told += fmt.Sprintf("\n    hit %s (%s); kept in %s\n%s", v.when, v.phase(), v.dir, v.said.String())
		}
		c.told = append(c.told, told)
	})
}

// table answers the counts, a kind a row; the phases are where the kill has hit.
func (c *campaign) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "\nkind\tkills\tclean\tfound left\tslowest\t%s\tmissed\texit codes\t\n", strings.Join(phaseNames, "\t"))
	for _, k := range kindsOfKill() {
		n := c.counts[k.name]
		if n == nil {
			continue
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.1fs", k.name, n.kills, n.clean, n.left, n.slowest.Seconds())
		for _, p := range phaseNames {
			fmt.Fprintf(w, "\t%d", n.phases[p])
		}
		fmt.Fprintf(w, "\t%d\t%v\t\n", n.missed, n.codes)
	}
	_ = w.Flush() // what it writes to takes everything
	return b.String()
}
