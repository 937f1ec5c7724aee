package agent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/fault/sqlitefile"
	"chaosgate/pkg/proc"
)

// Lines as they go over the pipe, and what is in the answers. A line that is wrong does not end the conversation.
func TestConversation(t *testing.T) {
	const arm = `{"id":1,"job":"cpu","config":{"workers":1,"load":0.1}}`
	cases := map[string]struct{ say, want []string }{
		"in order": {
			[]string{arm, `{"id":2,"command":"status"}`, `{"id":3,"command":"inject"}`, `{"id":4,"command":"revert"}`},
			[]string{`{"id":1,"ok":true`, `{"id":2,"ok":true,"data":{"workers":0`, `{"id":3,"ok":true,"data":{"workers":1`, `{"id":4,"ok":true`},
		},
		"again and again": {
			[]string{arm, `{"id":2,"command":"revert"}`, `{"id":3,"command":"inject"}`, `{"id":4,"command":"inject"}`, `{"id":5,"command":"revert"}`, `{"id":6,"command":"revert"}`, `{"id":7,"command":"inject"}`},
			[]string{`"id":1,"ok":true`, `"id":2,"ok":true`, `"id":3,"ok":true,"data":{"workers":1`, `"id":4,"ok":true,"data":{"workers":1`, `"id":5,"ok":true`, `"id":6,"ok":true`, `"workers":1`},
		},
		"a line that is no command": {
			[]string{`hello`, arm, `{"id":2,"command":7}`, `{"id":3,"command":"status"}`},
			[]string{`{"id":0,"error":"the line is not a command: `, `"id":1,"ok":true`, `"error":"the line is not a command: `, `"id":3,"ok":true`},
		},
		"an unknown job": {
			[]string{`{"id":1,"job":"memori"}`, `{"id":2,"command":"inject"}`, arm},
			[]string{`there is no job \"memori\"; there are cpu, directory, disk-fill, http, link, memory, oom-score, read-only, round-trip, self, signal, sqlite, sqlite-lock`, `there is no job \"\"`, `"ok":true`},
		},
		"an unknown command":   {[]string{arm, `{"id":2,"command":"stop"}`}, []string{`"ok":true`, `there is no command \"stop\"; there are inject, status and revert`}},
		"an unknown key":       {[]string{`{"id":1,"job":"cpu","config":{"load":1,"lod":2}}`}, []string{`"error":"job cpu: its configuration cannot be read: json: unknown field \"lod\""`}},
		"no configuration":     {[]string{`{"id":1,"job":"cpu"}`}, []string{`its configuration cannot be read`}},
		"load out of range":    {[]string{`{"id":1,"job":"cpu","config":{"load":1.5}}`}, []string{`load is 1.5, expected more than 0 and at most 1`}},
		"workers out of range": {[]string{`{"id":1,"job":"cpu","config":{"load":1,"workers":-1}}`}, []string{`workers is -1, expected 0 (one for each CPU) to 1024`}},
		"no size":              {[]string{`{"id":1,"job":"memory","config":{}}`}, []string{`size is 0 bytes, expected more than 0`}},
		"negative rate":        {[]string{`{"id":1,"job":"memory","config":{"size":1,"rate":-1}}`}, []string{`rate is -1 bytes per second`}},
		"unknown victim":       {[]string{`{"id":1,"job":"memory","config":{"size":1,"limit":9,"victim":"both"}}`}, []string{`victim is \"both\", expected service or stressor`}},
		"no path":              {[]string{`{"id":1,"job":"sqlite-lock","config":{"mode":"write"}}`}, []string{`path is empty`}},
		"unknown mode":         {[]string{`{"id":1,"job":"sqlite-lock","config":{"path":"/x","mode":"read"}}`}, []string{`mode is \"read\", expected write or exclusive`}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := start(t)
			for i, line := range c.say {
				_, err := fmt.Fprintln(h.in, line)
				must(t, err)
				got, err := h.out.ReadString('\n')
				must(t, err)
				if !strings.Contains(got, c.want[i]) {
					t.Errorf("to %s\nit answered %swant %s in it", line, got, c.want[i])
				}
			}
			if err := h.end(t); err != nil {
				t.Errorf("it ended with %v: %s", err, h.said.String())
			}
		})
	}
}

// A line without end would take all memory.
func TestLineThatIsTooLong(t *testing.T) {
	h := start(t)
	_, _ = h.in.Write(make([]byte, 2<<20)) // it may have gone before all is written
	if err := h.wait(t); err == nil || !strings.Contains(h.said.String(), "read a command: ") {
		t.Errorf("it ended with %v: %s", err, h.said.String())
	}
}

// Nobody reads the answers any more: it reverts and ends with an error.
func TestAnswersThatCannotBeWritten(t *testing.T) {
	file, db := database(t)
	in, lines := io.Pipe()
	out, broken := io.Pipe()
	served := make(chan error, 1)
	go func() { served <- agent.Serve(t.Context(), in, broken) }()
	c := agent.NewClient(lines, io.LimitReader(out, 1<<20))
	must(t, c.Arm(soon(t), agent.SQLiteLockJob, agent.SQLiteLockConfig{Path: file, Mode: sqlitefile.Write}))
	_, err := c.Call(soon(t), agent.Inject)
	must(t, err)
	must(t, out.Close())
	_, _ = io.WriteString(lines, `{"id":9,"command":"status"}`+"\n")
	wantError(t, <-served, "answer: ")
	_, err = db.Exec("INSERT INTO a VALUES (1)")
	must(t, err)
}

// The context ends although the input does not.
func TestServeEndsWithItsContext(t *testing.T) {
	file, db := database(t)
	in, lines := io.Pipe()
	answers, out := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- agent.Serve(ctx, in, out) }()
	c := agent.NewClient(lines, answers)
	must(t, c.Arm(soon(t), agent.SQLiteLockJob, agent.SQLiteLockConfig{Path: file, Mode: sqlitefile.Write}))
	_, err := c.Call(soon(t), agent.Inject)
	must(t, err)
	cancel()
	must(t, <-served)
	_, err = db.Exec("INSERT INTO a VALUES (1)")
	must(t, err)
}

// The lease: at the end of its input a helper reverts and exits, also in the middle of a command.
func TestEndOfInputReverts(t *testing.T) {
	file, db := database(t)
	h := armed(t, agent.SQLiteLockJob, agent.SQLiteLockConfig{Path: file, Mode: sqlitefile.Exclusive})
	if s := call[agent.SQLiteLockStatus](t, h, agent.Inject); !s.Held {
		t.Errorf("got %+v", s)
	}
	if _, err := db.Exec("SELECT * FROM a"); !sqlitefile.IsBusy(err) {
		t.Errorf("under the lock a read met %v", err)
	}
	waits := armed(t, agent.SQLiteLockJob, agent.SQLiteLockConfig{Path: file, Mode: sqlitefile.Write})
	_, err := fmt.Fprintln(waits.in, `{"id":2,"command":"inject"}`) // others hold the lock
	must(t, err)
	must(t, waits.end(t))
	must(t, h.end(t))
	_, err = db.Exec("INSERT INTO a VALUES (1)")
	must(t, err)
}

// A runner that is killed takes its helper and what that does with it: nothing but the pipe tells the helper.
func TestKilledRunnerEndsTheHelper(t *testing.T) {
	file, db := database(t)
	jobs := map[string]any{
		agent.SQLiteLockJob: agent.SQLiteLockConfig{Path: file, Mode: sqlitefile.Write},
		agent.CPUJob:        agent.CPUConfig{Workers: 2, Load: 1},
		agent.MemoryJob:     agent.MemoryConfig{Size: 64 << 20},
	}
	for job, config := range jobs {
		t.Run(job, func(t *testing.T) {
			text, err := json.Marshal(config)
			must(t, err)
			r := exec.Command(os.Args[0])
			r.Env = append(os.Environ(), "ROLE=runner", "JOB="+job, "CONFIG="+string(text))
			out, err := r.StdoutPipe()
			must(t, err)
			must(t, r.Start())
			said := make([]byte, 20)
			n, err := out.Read(said)
			must(t, err)
			pid, err := strconv.Atoi(strings.TrimSpace(string(said[:n])))
			must(t, err)
			id, err := proc.Identify(pid)
			if err != nil || !id.Alive() {
				t.Fatalf("the helper does not run: %v", err)
			}
			must(t, r.Process.Signal(syscall.SIGKILL))
			_ = r.Wait()
			eventually(t, "the helper is gone", func() bool { return !id.Alive() })
		})
	}
	_, err := db.Exec("INSERT INTO a VALUES (1)")
	must(t, err)
}
