package process_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"chaosgate/pkg/proc"
	"chaosgate/pkg/target"
)

// agent stands for the real helper, which is package agent's: it answers each line with its pid and the line, and reverts at the end of its input.
func agent() int {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch lines.Text() {
		case `"refuse"`:
			return 4
		case `"hang"`:
			time.Sleep(time.Minute)
		}
		fmt.Printf("{\"pid\":%d,\"said\":%s}\n", os.Getpid(), lines.Text())
	}
	return 0
}

// client speaks a line at a time.
type client struct {
	in  io.Writer
	out *bufio.Reader
}

func (c client) Arm(ctx context.Context, job string, _ any) error {
	_, err := c.Call(ctx, job)
	return err
}

func (c client) Call(_ context.Context, command string) (json.RawMessage, error) {
	if _, err := fmt.Fprintf(c.in, "%q\n", command); err != nil {
		return nil, err
	}
	line, err := c.out.ReadBytes('\n')
	return line, err
}

func hostWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, one(nil))
	w.opts.Self = os.Args[0]
	w.opts.Connect = func(in io.WriteCloser, out io.Reader) target.HelperClient { return client{in, bufio.NewReader(out)} }
	h := newWorldOf(w.opts)
	must(t, h.Up(soon(t), h.record))
	t.Cleanup(func() {
		must(t, h.Down(context.Background()))
		h.checkNothingLeft(t)
	})
	return h
}

func TestHelperIsHostedWhereItsPlacementSays(t *testing.T) {
	w := hostWorld(t)
	a := w.target(t, "a")
	h, err := w.Host(soon(t), a, "job", nil)
	must(t, err)
	reply, err := h.Call(soon(t), "on")
	if err != nil || !strings.Contains(string(reply), fmt.Sprintf(`{"pid":%d,"said":"on"}`, h.PID())) {
		t.Errorf("got %s, %v", reply, err)
	}
	own, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", h.PID()))
	must(t, err)
	if place, err := w.Placement(soon(t), a); err != nil || place.Cgroup != strings.Contains(string(own), "chaos-") {
		t.Errorf("placed %+v, %v, but its cgroups are\n%s", place, err, own)
	}
	use, err := w.Usage(soon(t), a)
	if err != nil || use.Memory < 1<<20 {
		t.Errorf("got %+v, %v", use, err)
	}
	id, err := proc.Identify(h.PID())
	must(t, err)
	must(t, h.Close(soon(t)))
	if id.Alive() {
		t.Error("the helper lives")
	}
}

func TestHelperThatCannotBeArmedIsAnError(t *testing.T) {
	w := hostWorld(t)
	_, err := w.Host(soon(t), w.target(t, "a"), "refuse", nil)
	wantError(t, err, "arm the helper for refuse on a-1", "ended with exit code 4", "a-helpers.log")
}

func TestDownEndsHelpers(t *testing.T) {
	w := hostWorld(t)
	h, err := w.Host(soon(t), w.target(t, "a"), "job", nil)
	must(t, err)
	id, err := proc.Identify(h.PID())
	must(t, err)
	must(t, w.Down(soon(t)))
	if id.Alive() {
		t.Error("the helper lives")
	}
	_, err = w.Host(soon(t), w.target(t, "a"), "job", nil)
	wantError(t, err, "the environment ends")
}
