package proc

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	rest := " S 1 42 42 0 -1 4194560 1 0 0 0 10 20 30 40 20 0 1 0 77 4096 3 0 0"
	for _, name := range []string{"sleep", "a b", "x) R 1 (y", ") Z ("} {
		s, err := parseStat("7 (" + name + ")" + rest)
		want := Stat{ID: ID{PID: 7, Start: 77}, State: 'S', Parent: 1, Group: 42, CPU: time.Second, RSS: 3 * int64(os.Getpagesize())}
		if err != nil || s != want {
			t.Errorf("%q: got %+v, %v", name, s, err)
		}
	}
	for _, text := range []string{"", "7 sleep S", "7 (sleep) S 1 2", ")", "(", "x (y)" + rest, "7 (x)" + strings.Replace(rest, "77", "x", 1)} {
		if _, err := parseStat(text); err == nil || !strings.Contains(err.Error(), "unexpected /proc stat line") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestOwnStat(t *testing.T) {
	s, err := ReadStat(os.Getpid())
	if err != nil || s.PID != os.Getpid() || s.RSS < 1<<20 || s.Dead() || s.Stopped() {
		t.Errorf("got %+v, %v", s, err)
	}
	threads, err := Threads(os.Getpid())
	if err != nil || len(threads) == 0 {
		t.Errorf("got %v, %v", threads, err)
	}
	self, err := Self()
	if err != nil || !self.Alive() {
		t.Errorf("got %v, %v", self, err)
	}
}
