package agent_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"chaosgate/pkg/agent"
)

// frozen is a cgroup with a limit on memory in which the kernel kills nobody: whoever wants more waits.
func frozen(t *testing.T, limit int64) string {
	t.Helper()
	group, err := os.MkdirTemp("/sys/fs/cgroup/memory", "chaos-test-")
	if err != nil {
		t.Skip("no cgroup of version 1 can be made here: ", err)
	}
	t.Cleanup(func() {
		eventually(t, "the cgroup is empty", func() bool { return os.Remove(group) == nil })
	})
	write := func(file, text string) error { return os.WriteFile(filepath.Join(group, file), []byte(text), 0o600) }
	must(t, write("memory.limit_in_bytes", fmt.Sprint(limit)))
	_ = write("memory.memsw.limit_in_bytes", fmt.Sprint(limit)) // not every kernel counts swap
	if err := write("memory.oom_control", "1"); err != nil {
		t.Skip("this kernel always kills: ", err)
	}
	return group
}

// armedIn is a helper in a cgroup that is to take more than its limit, in some seconds, so that others have begun as well when memory runs out.
func armedIn(t *testing.T, group string, limit int64) *child {
	t.Helper()
	c := start(t)
	must(t, os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(fmt.Sprint(c.id.PID)), 0o600))
	c.Client = agent.NewClient(c.in, c.out)
	must(t, c.Arm(soon(t), agent.MemoryJob, agent.MemoryConfig{Size: 4 * limit, Limit: limit, Rate: limit / 2}))
	return c
}

// Where nobody is killed for memory that has run out, a load ends with its lease all the same, and what it had is given back: in an order if it has the pages for that, else with its process, which may also
// end because it lacks memory itself.
func TestMemoryThatRanOutAndNobodyIsKilled(t *testing.T) {
	const limit = 64 << 20
	group := frozen(t, limit)
	all := []*child{armedIn(t, group, limit), armedIn(t, group, limit)}
	for _, c := range all {
		_, err := c.Call(soon(t), agent.Inject)
		must(t, err)
	}
	eventually(t, "memory has run out", func() bool {
		text, err := os.ReadFile(filepath.Join(group, "memory.usage_in_bytes"))
		must(t, err)
		used, err := strconv.Atoi(strings.TrimSpace(string(text)))
		must(t, err)
		return used > limit-2<<20 // the kernel counts in batches
	})
	for _, c := range all {
		if err := c.end(t); c.cmd.ProcessState.ExitCode() < 0 {
			t.Errorf("it did not end by itself: %v: %s", err, c.said.String())
		}
	}
}
