package impair

import (
	"container/heap"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// received is how many packets are taken in before verdicts are sent again.
const received = 64

// coarse is a wait that is made in two parts.
const coarse = 2 * time.Millisecond

// loop holds packets on a thread of its own until it is their time.
type loop struct {
	link   Link
	queue  *queue
	shaper *shaper
	began  time.Time
	held   waiting
	next   uint64 // number of the next one held
	bell   int    // an eventfd that ends the loop

	connections, bytes, packets, changed, limited, missed atomic.Int64

	mu     sync.Mutex
	err    error
	once   sync.Once
	ended  chan struct{}
	closed error
}

func startLoop(link Link, f Fault) (*loop, error) {
	q, err := openQueue(f)
	if err != nil {
		return nil, err
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, errors.Join(err, q.close())
	}
	l := &loop{link: link, queue: q, shaper: newShaper(f, rand.Uint64()), began: time.Now(), bell: bell, ended: make(chan struct{})}
	go l.run()
	return l, nil
}

func (l *loop) now() time.Duration { return time.Since(l.began) }

// run takes packets in and lets them go, until the bell rings. It waits in the kernel, on a thread of its own: the runtime's timers are a millisecond late at times.
func (l *loop) run() {
	runtime.LockOSThread() // not unlocked: the thread ends with the loop
	defer close(l.ended)
	defer func() { l.fail(l.queue.close()) }() // packets pass a queue that nobody has
	for {
		rung, err := l.wait()
		if err == nil && !rung {
			err = l.turn()
		}
		if err != nil {
			l.fail(err)
		}
		if rung || err != nil {
			l.fail(l.release())
			return
		}
	}
}

// wait returns when there are packets, when one that is held is due, or when the bell has rung.
func (l *loop) wait() (rung bool, err error) {
	fds := []unix.PollFd{{Fd: int32(l.queue.fd), Events: unix.POLLIN}, {Fd: int32(l.bell), Events: unix.POLLIN}}
	var timeout *unix.Timespec
	if len(l.held) > 0 {
		left := l.held[0].at - l.now()
		if left > coarse {
			left -= left / 64 // a kernel may be late by a thousandth of a long wait, so the end of it is waited for by itself
		}
		t := unix.NsecToTimespec(max(0, int64(left)))
		timeout = &t
	}
	if _, err := unix.Ppoll(fds, timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return false, err
	}
	return fds[1].Revents != 0, nil
}

// turn takes in what has arrived and lets go what is due.
func (l *loop) turn() error {
	missed, err := l.queue.receive(received, l.take)
	l.missed.Add(missed)
	return errors.Join(err, l.letGo(l.now()))
}

// take decides on one packet.
func (l *loop) take(a arrived) {
	p := parse(a.data, a.length)
	v := l.shaper.decide(p, l.now())
	l.count(p, v)
	if v.drop {
		l.queue.decide(decision{id: a.id, verdict: verdictDrop})
		return
	}
	d := decision{id: a.id, verdict: verdictAccept}
	if v.corrupt {
		l.shaper.spoil(a.data, p)
		d.data = append([]byte{}, a.data...)
	}
	if v.twice {
		d.verdict, d.mark = verdictRepeat, a.mark|markTwice
	}
	l.hold(v.at, d)
}

func (l *loop) hold(at time.Duration, d decision) {
	if len(l.held) >= maxHeld-received { // soon the kernel would let packets pass by, and not say how many
		l.missed.Add(1)
		at = l.now()
	}
	heap.Push(&l.held, holding{at: at, number: l.next, decision: d})
	l.next++
}

func (l *loop) count(p packet, v verdict) {
	if l.link.Survey(p.flow.caller(l.link.Side)) {
		return
	}
	l.packets.Add(1)
	l.bytes.Add(int64(p.payload))
	if p.opens && l.link.Side == Callee {
		l.connections.Add(1)
	}
	if v.changed {
		l.changed.Add(1)
	}
	if v.limited {
		l.limited.Add(1)
	}
}

// letGo accepts what is due by a time.
func (l *loop) letGo(by time.Duration) error {
	for len(l.held) > 0 && l.held[0].at <= by {
		h := heap.Pop(&l.held).(holding)
		l.queue.decide(h.decision)
		if len(l.queue.out) >= sentAtOnce {
			if err := l.queue.flush(); err != nil {
				return err
			}
		}
	}
	return l.queue.flush()
}

// release lets everything go that is held or still arrives, in its order.
func (l *loop) release() error {
	var errs []error
	for {
		before := l.next
		_, err := l.queue.receive(received, func(a arrived) { l.hold(l.now(), decision{id: a.id, verdict: verdictAccept}) })
		errs = append(errs, err)
		if err != nil || l.next == before {
			break
		}
	}
	const all = 1<<63 - 1
	return errors.Join(append(errs, l.letGo(all))...)
}

func (l *loop) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = errors.Join(l.err, err)
}

// failure is why the loop no longer works; nil if it does, or was told to stop.
func (l *loop) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *loop) counts() Counts {
	return Counts{
		Connections: l.connections.Load(), Bytes: l.bytes.Load(), Packets: l.packets.Load(), Changed: l.changed.Load(), Limited: l.limited.Load(), Missed: l.missed.Load(),
	}
}

// stop ends the loop, which lets go what it holds, and waits for it. It is idempotent.
func (l *loop) stop() error {
	l.once.Do(func() {
		one := [8]byte{0: 1, 7: 1} // not zero, whichever end comes first
		_, err := unix.Write(l.bell, one[:])
		if err == nil {
			<-l.ended
		}
		l.closed = errors.Join(err, l.failure(), unix.Close(l.bell))
	})
	return l.closed
}

// holding is a packet that waits for its time.
type holding struct {
	at     time.Duration
	number uint64 // of two that are due at the same time, the one that came first goes first
	decision
}

// waiting is a heap of them.
type waiting []holding

func (w waiting) Len() int { return len(w) }
func (w waiting) Less(i, j int) bool {
	return w[i].at < w[j].at || w[i].at == w[j].at && w[i].number < w[j].number
}
func (w waiting) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *waiting) Push(h any)   { *w = append(*w, h.(holding)) }
func (w *waiting) Pop() any {
	old := *w
	last := old[len(old)-1]
	*w = old[:len(old)-1]
	return last
}
