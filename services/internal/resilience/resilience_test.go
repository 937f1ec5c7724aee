package resilience

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errDown = errors.New("down")

// hang blocks until its context ends, as a call over the network does.
func hang(ctx context.Context) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// failing fails n times, then answers 7; it counts its calls.
type failing struct {
	n     int
	err   error
	calls int
}

func (f *failing) call(context.Context) (int, error) {
	if f.calls++; f.calls <= f.n {
		return 0, f.err
	}
	return 7, nil
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := Timeout(250*time.Millisecond, hang)(t.Context())
		var timeout *TimeoutError
		if !errors.As(err, &timeout) || !errors.Is(err, context.DeadlineExceeded) || err.Error() != "no answer within 250ms" {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != 250*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

func TestTimeoutOffWaitsForTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		_, err := Timeout(0, hang)(ctx)
		if err != context.DeadlineExceeded || time.Since(start) != time.Hour {
			t.Errorf("error %v after %v", err, time.Since(start))
		}
	})
}

func TestTimeoutLeavesTheCallersEndAlone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Timeout(time.Minute, hang)(ctx); err != context.Canceled {
		t.Errorf("error %v, want the caller's own", err)
	}
}

func TestRetry(t *testing.T) {
	policy := RetryPolicy{Retries: 2, Base: 20 * time.Millisecond, Cap: 100 * time.Millisecond}
	for _, c := range []struct {
		name   string
		policy RetryPolicy
		call   failing
		calls  int
		err    error
	}{
		{"good at once", policy, failing{0, errDown, 0}, 1, nil},
		{"mended by a retry", policy, failing{2, errDown, 0}, 3, nil},
		{"bounded", policy, failing{9, errDown, 0}, 3, errDown},
		{"off", RetryPolicy{}, failing{1, errDown, 0}, 1, errDown},
		{"permanent", policy, failing{1, Permanent(errDown), 0}, 1, errDown},
		{"refused by the breaker", policy, failing{1, ErrOpen, 0}, 1, ErrOpen},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v, err := Retry(c.policy, c.call.call)(t.Context())
				if !errors.Is(err, c.err) || (err == nil) != (v == 7) || c.call.calls != c.calls {
					t.Errorf("got %v, %v after %d calls; want error %v after %d", v, err, c.call.calls, c.err, c.calls)
				}
			})
		})
	}
}

func TestRetryStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := failing{9, errDown, 0}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := Retry(RetryPolicy{Retries: 5, Base: time.Second, Cap: time.Second}, f.call)(ctx)
		if f.calls != 1 || err != errDown {
			t.Errorf("%d calls, error %v", f.calls, err)
		}
	})
}

func TestWaitIsFullJitterUnderItsCap(t *testing.T) {
	p := RetryPolicy{Base: 20 * time.Millisecond, Cap: 100 * time.Millisecond}
	for retry, limit := range map[int]time.Duration{1: 20e6, 2: 40e6, 3: 80e6, 4: 100e6, 90: 100e6} {
		low, high := time.Hour, time.Duration(0)
		for range 2000 {
			d := p.wait(retry)
			low, high = min(low, d), max(high, d)
		}
		if high >= limit || high < limit*3/4 || low > limit/4 {
			t.Errorf("retry %d waits from %v to %v, want spread over 0 to %v", retry, low, high, limit)
		}
	}
}

func TestWholePolicyStaysWithinItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempt := Timeout(250*time.Millisecond, hang)
		policy := RetryPolicy{Retries: 9, Base: 25 * time.Millisecond, Cap: 200 * time.Millisecond}
		start := time.Now()
		_, err := Timeout(800*time.Millisecond, Retry(policy, attempt))(t.Context())
		if took := time.Since(start); took != 800*time.Millisecond || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v after %v", err, took)
		}
	})
}

// transitions collects a breaker's changes of state.
type transitions struct {
	mu   sync.Mutex
	seen []string
}

func (tr *transitions) add(from, to string) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.seen = append(tr.seen, from+">"+to)
}

func TestBreakerOpensProbesAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr transitions
		f := failing{6, errDown, 0}
		call := Break(NewBreaker[int]("b", tr.add), f.call)
		expect := func(step string, want error, calls int) {
			t.Helper()
			if _, err := call(t.Context()); !errors.Is(err, want) || f.calls != calls {
				t.Errorf("%s: error %v after %d calls, want %v after %d", step, err, f.calls, want, calls)
			}
		}
		for n := range consecutiveFailures {
			expect("closed", errDown, n+1)
		}
		expect("open", ErrOpen, 5)
		time.Sleep(openFor + time.Millisecond)
		expect("failed probe", errDown, 6)
		expect("open again", ErrOpen, 6)
		time.Sleep(openFor + time.Millisecond)
		expect("good probe", nil, 7)
		expect("closed again", nil, 8)
		want := "[closed>open open>half-open half-open>open open>half-open half-open>closed]"
		if got := fmt.Sprint(tr.seen); got != want {
			t.Errorf("transitions %s, want %s", got, want)
		}
	})
}

func TestBreakerOpensOnHalfOfTheCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tr transitions
		n := 0
		call := Break(NewBreaker[int]("b", tr.add), func(context.Context) (int, error) {
			if n++; n%2 == 0 {
				return 0, errDown
			}
			return 1, nil
		})
		for range minimumCalls {
			call(t.Context())
		}
		if _, err := call(t.Context()); err != ErrOpen || n != minimumCalls {
			t.Errorf("error %v after %d calls", err, n)
		}
	})
}

func TestBreakerIgnoresCallersWhoLeftAndPermanentErrors(t *testing.T) {
	for _, err := range []error{context.Canceled, Permanent(errDown)} {
		f := failing{100, err, 0}
		call := Break(NewBreaker[int]("b", func(from, to string) { t.Errorf("%v: %s > %s", err, from, to) }), f.call)
		for range 50 {
			call(t.Context())
		}
		if f.calls != 50 {
			t.Errorf("%v: %d calls, want 50", err, f.calls)
		}
	}
}

func TestBreakerSurvivesACancelledProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		err := errDown
		call := Break(NewBreaker[int]("b", func(string, string) {}), func(context.Context) (int, error) { return 0, err })
		for range consecutiveFailures {
			call(t.Context())
		}
		time.Sleep(openFor + time.Millisecond)
		err = context.Canceled
		call(t.Context())
		err = nil
		if _, got := call(t.Context()); got != nil {
			t.Errorf("the probe after a cancelled probe: %v", got)
		}
	})
}

func TestNilBreakerNeverRefuses(t *testing.T) {
	f := failing{100, errDown, 0}
	call := Break(nil, f.call)
	for range 50 {
		call(t.Context())
	}
	if f.calls != 50 {
		t.Errorf("%d calls, want 50", f.calls)
	}
}

func TestShed(t *testing.T) {
	for limit, refused := range map[int]int{2: 3, 0: 0} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			inside, release := make(chan struct{}, 5), make(chan struct{})
			next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inside <- struct{}{}; <-release })
			refuse := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
			srv := httptest.NewServer(Shed(limit, refuse, next))
			defer srv.Close()
			statuses := make(chan int, 5)
			for range 5 {
				go func() { statuses <- get(srv.URL) }()
			}
			for range 5 - refused {
				<-inside
			}
			for range refused {
				if status := <-statuses; status != 503 {
					t.Errorf("beyond the limit: status %d, want 503", status)
				}
			}
			close(release)
			for range 5 - refused {
				if status := <-statuses; status != 200 {
					t.Errorf("within the limit: status %d, want 200", status)
				}
			}
			if status := get(srv.URL); status != 200 {
				t.Errorf("after the rush: status %d, want 200: a slot leaked", status)
			}
		})
	}
}

func get(url string) int {
	resp, err := http.Get(url)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Stale[string]
		if _, _, ok := s.Get("k"); ok {
			t.Error("an empty cache has a value")
		}
		s.Put("k", "old")
		s.Put("k", "new")
		time.Sleep(time.Second)
		if v, age, ok := s.Get("k"); v != "new" || age != time.Second || !ok {
			t.Errorf("got %q, %v, %v", v, age, ok)
		}
	})
}

func TestStaleIsBounded(t *testing.T) {
	var s Stale[int]
	for n := range 3 * maxKeys {
		s.Put(strconv.Itoa(n), n)
	}
	if len(s.entries) != maxKeys {
		t.Errorf("%d entries, want %d", len(s.entries), maxKeys)
	}
	if v, _, ok := s.Get(strconv.Itoa(3*maxKeys - 1)); !ok || v != 3*maxKeys-1 {
		t.Error("the newest key was dropped")
	}
}
