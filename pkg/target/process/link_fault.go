package process

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/Shopify/toxiproxy/v2/toxics"

	"chaosgate/pkg/intercept"
	"chaosgate/pkg/target"
)

// impair puts a fault on the link, on connections that exist as well; the same name again replaces it.
func (l *link) impair(name string, f target.LinkFault) error {
	wanted, err := toxicsOf(name, f)
	if err != nil {
		return fmt.Errorf("impair the link %s -> %s: %w", l.From, l.To, err)
	}
	if err := l.restore(name); err != nil {
		return err
	}
	l.changing.Lock()
	defer l.changing.Unlock()
	if err := l.set(name, f); err != nil {
		return fmt.Errorf("impair the link %s -> %s: %w", l.From, l.To, err)
	}
	for _, t := range wanted {
		if err := l.settle(func() error { return l.addToxic(t) }); err != nil {
			return fmt.Errorf("impair the link %s -> %s: %w", l.From, l.To, err)
		}
	}
	if f.Reset || f.HTTP.On() {
		l.resetAll()
	}
	return nil
}

// restore takes a fault off the link, if it is there, and verifies that by reading the chain.
func (l *link) restore(name string) error {
	l.changing.Lock()
	defer l.changing.Unlock()
	f, web, ok := l.unset(name)
	if web != nil {
		if err := web.Stop(); err != nil {
			return fmt.Errorf("restore the link %s -> %s: %w", l.From, l.To, err)
		}
	}
	if !ok && len(l.chain(name)) == 0 {
		return nil
	}
	if f.Partition {
		// What was sent meanwhile is lost, so the connections that hang cannot go on: callers must see that and connect again. Those that come in
		// until the chain is free are reset as well.
		if err := l.set(name, target.LinkFault{Reset: true}); err != nil {
			return err
		}
		defer l.unset(name)
		l.drain(l.resetAll())
	}
	for _, t := range l.chain(name) {
		if err := l.removeToxic(t); err != nil {
			return fmt.Errorf("restore the link %s -> %s: %w", l.From, l.To, err)
		}
	}
	if left := l.chain(name); len(left) > 0 {
		return fmt.Errorf("restore the link %s -> %s: %s is still on it", l.From, l.To, name)
	}
	return nil
}

// set notes a fault, unless it does not go with those that there are. From then on connections that come in meet one on HTTP requests.
func (l *link) set(name string, f target.LinkFault) (err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := f.Beside(name, l.faults); err != nil {
		return err
	}
	if f.HTTP.On() {
		if l.web, err = intercept.New(f.HTTP, isOurs); err != nil {
			return err
		}
	}
	l.faults[name] = f
	if f.Bandwidth > 0 {
		l.limits[name] = &limit{rate: f.Bandwidth}
		l.limited()
	}
	return nil
}

// limited says, under l.mu, which limit on the bandwidth is waited for: the lowest, the first by name of several that are alike. What it holds back is not for the others,
// which hold back nothing.
func (l *link) limited() {
	var lowest *limit
	for _, name := range slices.Sorted(maps.Keys(l.limits)) {
		if one := l.limits[name]; lowest == nil || one.rate < lowest.rate {
			lowest = one
		}
	}
	l.lowest.Store(lowest)
}

// unset forgets a fault and answers it; with it what carries connections for it, if it is one on HTTP requests.
func (l *link) unset(name string) (f target.LinkFault, web *intercept.Proxy, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, ok = l.faults[name]
	delete(l.faults, name)
	delete(l.limits, name)
	l.limited()
	if f.HTTP.On() {
		web, l.web = l.web, nil
	}
	return f, web, ok
}

// settle makes a change that waits for data in flight; after settleTime it resets the connections, which ends the wait.
func (l *link) settle(change func() error) error {
	late := time.AfterFunc(settleTime, func() { l.resetAll() })
	defer late.Stop()
	return change()
}

// impaired answers the names of the faults that are on the link.
func (l *link) impaired() []string {
	names := map[string]struct{}{}
	for _, t := range l.proxy.Toxics.GetToxicArray() {
		names[faultOf(t.(*toxics.ToxicWrapper).Name)] = struct{}{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, f := range l.faults {
		if f.Reset || f.HTTP.On() {
			names[name] = struct{}{}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// counts is what the link has carried so far, on ended and open connections, and what a fault on it has held back.
func (l *link) counts(fault string) target.LinkStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	for c := range l.open {
		s = c.addTo(s)
	}
	if l.web != nil { // it counts the bytes of its connections itself
		web := l.web.Counts()
		s.BytesIn, s.BytesOut = s.BytesIn+web.BytesIn, s.BytesOut+web.BytesOut
		s.Requests, s.Hit, s.Foreign = web.Requests, web.Hit, web.Foreign
	}
	if own, ok := l.limits[fault]; ok {
		s.Limited = own.held.Load()
	}
	return s
}
