package target

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
)

// One port after the other is tried, until one is free.
func TestPorts(t *testing.T) {
	p := Ports{First: 7, Last: 9}
	var tried []int
	free := func(port int) error {
		tried = append(tried, port)
		if port == 8 {
			return fmt.Errorf("connect: %w", syscall.EADDRINUSE)
		}
		return nil
	}
	for range 3 {
		if err := p.Try(free); err != nil {
			t.Error(err)
		}
	}
	if want := []int{7, 8, 9, 7}; !slices.Equal(tried, want) {
		t.Errorf("tried %v, want %v", tried, want)
	}
	if err := p.Try(func(int) error { return syscall.EADDRNOTAVAIL }); err == nil || err.Error() != "none of the ports 7 to 9 is free" {
		t.Errorf("got %v", err)
	}
	if err := p.Try(func(int) error { return syscall.ECONNREFUSED }); err != syscall.ECONNREFUSED { //nolint:errorlint // it is passed on as it is
		t.Errorf("got %v", err)
	}
}
