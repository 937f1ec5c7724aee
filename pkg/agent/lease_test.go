package agent_test

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"chaosgate/pkg/agent"
	"chaosgate/pkg/fault/sqlitefile"
)

// A runner that is silent for too long is taken for gone, though its line is open: what was done is reverted. One that says something, be it an empty line, is there.
func TestSilenceReverts(t *testing.T) {
	file, db := database(t)
	in, lines := io.Pipe()
	answers, out := io.Pipe()
	served := make(chan error, 1)
	go func() {
		served <- agent.Serve(t.Context(), in, out)
		_ = in.Close() // or who speaks to it would wait for ever
	}()
	go func() { _, _ = io.Copy(io.Discard, answers) }()
	_, err := fmt.Fprintf(lines, `{"id":1,"job":"sqlite-lock","config":{"path":%q,"mode":%q},"silence":%d}`+"\n"+`{"id":2,"command":"inject"}`+"\n", file, sqlitefile.Write, 500*time.Millisecond)
	must(t, err)
	for range 20 { // for longer than that
		time.Sleep(50 * time.Millisecond)
		_, err := io.WriteString(lines, "\n")
		must(t, err)
	}
	select {
	case err := <-served:
		t.Fatalf("it has ended while it was spoken to: %v", err)
	default:
	}
	if _, err := db.Exec("INSERT INTO a VALUES (1)"); err == nil {
		t.Error("nothing is locked")
	}
	must(t, <-served)
	_, err = db.Exec("INSERT INTO a VALUES (1)")
	must(t, err)
}

// A helper that was stopped for longer than that has not heard what was said meanwhile, and goes on.
func TestAStoppedHelperIsNotTheRunnersSilence(t *testing.T) {
	h := start(t)
	_, err := fmt.Fprintf(h.in, `{"id":1,"job":"cpu","config":{"workers":1,"load":0.01},"silence":%d}`+"\n", 500*time.Millisecond)
	must(t, err)
	_, err = h.out.ReadString('\n')
	must(t, err)
	must(t, h.cmd.Process.Signal(syscall.SIGSTOP))
	time.Sleep(time.Second)
	_, err = io.WriteString(h.in, "\n"+`{"id":2,"command":"status"}`+"\n")
	must(t, err)
	must(t, h.cmd.Process.Signal(syscall.SIGCONT))
	for _, want := range []string{"\n", `{"id":2,"ok":true`} {
		if got, err := h.out.ReadString('\n'); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("it said %q, want %q: %v", got, want, err)
		}
	}
	must(t, h.end(t))
}
