package propagation

import (
	"chaosgate/pkg/journal"
	"chaosgate/pkg/stat"
)

// The names of the signals.
const (
	Errors      = "errors"      // the part of the requests that failed
	Slow        = "slow"        // the part of the requests that were slower than hardly any in the steady state
	Inside      = "inside"      // errors inside, a second
	Unreachable = "unreachable" // the part of the scrapes that nobody answered
)

// Signal is one of the things by which a place shows that it is touched. Values are parts of a whole, of Inside events per second; nil was not measured.
type Signal struct {
	Name string `json:"signal"`
	Change
	SlowerThan *float64 `json:"slower_than_seconds,omitempty"` // of Slow
	// Rose says that it was higher during the fault than in the steady state, and not by chance: by chance it seems so in one case of a thousand.
	Rose bool `json:"rose"`
	// FirstSeen is how many seconds after the injection, if it rose: the first sample that shows it.
	FirstSeen float64 `json:"first_seen_seconds"`
	// Back says whether it had come back after the fault, by the same rule; nil if that was not measured.
	Back *bool `json:"back"`
}

// share is how much of something was counted, out of how much.
type share struct{ part, whole float64 }

func (s share) ratio() *float64 {
	if s.whole <= 0 {
		return nil
	}
	v := s.part / s.whole
	return &v
}

// kind is a row of the signals: what it counts in a stretch and in a sample; false is not measured.
type kind struct {
	name   string
	share  func(journal.Amounts, journal.Stretch) (share, bool)
	sample func(journal.SignalSample) (share, bool)
	scaled bool // shown per second
}

func kinds(step float64) []kind {
	return []kind{
		{Errors, func(a journal.Amounts, _ journal.Stretch) (share, bool) { return part(a.Errors, a.Requests) },
			func(s journal.SignalSample) (share, bool) { return part(s.Errors, s.Requests) }, false},
		{Slow, func(a journal.Amounts, _ journal.Stretch) (share, bool) { return part(a.Slow, a.Requests) },
			func(s journal.SignalSample) (share, bool) { return part(s.Slow, s.Requests) }, false},
		{Inside, func(a journal.Amounts, s journal.Stretch) (share, bool) { return over(a.Inside, s.Length().Seconds()) },
			func(s journal.SignalSample) (share, bool) { return over(s.Inside, 2*step) }, true},
		{Unreachable, func(a journal.Amounts, s journal.Stretch) (share, bool) {
			return over(a.Missed, s.Length().Seconds()/step)
		},
			func(s journal.SignalSample) (share, bool) { return over(s.Missed, 2) }, false},
	}
}

func part(n, of *float64) (share, bool) {
	if n == nil || of == nil {
		return share{}, false
	}
	return share{max(0, *n), *of}, true
}

func over(n *float64, whole float64) (share, bool) {
	if n == nil || whole <= 0 {
		return share{}, false
	}
	return share{max(0, *n), whole}, true
}

// fill judges the signals of a place. What had nothing to be a part of during the fault was not measured: of requests that nobody made, or that had no answer yet,
// none failed, and that says nothing.
func (p *Place) fill(m journal.PlaceSignals, s journal.Signals) {
	for _, k := range kinds(seconds(s.Step)) {
		before, _ := k.share(m.Before, s.Before)
		during, ok := k.share(m.During, s.During)
		if !ok || during.whole <= 0 {
			continue
		}
		after, recovered := k.share(m.After, s.After)
		signal := Signal{Name: k.name, Change: Change{before.ratio(), during.ratio(), nil}, Rose: k.rose(before, during)}
		if k.name == Slow {
			signal.SlowerThan = m.SlowerThan
		}
		if recovered {
			back := !k.rose(before, after)
			signal.Back, signal.After = &back, after.ratio()
		}
		if signal.Rose {
			signal.FirstSeen = k.firstSeen(before, m.Samples, s)
		}
		p.Signals = append(p.Signals, signal)
	}
	p.Requests = Change{rate(m.Before.Requests, s.Before), rate(m.During.Requests, s.During), rate(m.After.Requests, s.After)}
	p.Mean = Change{m.Before.Mean, m.During.Mean, m.After.Mean}
	p.P99 = Change{m.Before.P99, m.During.P99, m.After.P99}
}

// rose compares two shares. Of counts over time it asks which part of all events a stretch would get by its length alone.
func (k kind) rose(before, during share) bool {
	switch {
	case k.name == Unreachable:
		return during.part-before.part >= 1
	case k.scaled:
		low, _ := stat.Wilson(during.part, before.part+during.part, stat.OneIn1000)
		return before.whole > 0 && low > during.whole/(before.whole+during.whole)
	default:
		return stat.Rise(before.part, before.whole, during.part, during.whole, stat.OneIn1000) > 0
	}
}

// firstSeen is the first sample from the injection on with a higher share than the steady state had.
func (k kind) firstSeen(before share, samples []journal.SignalSample, s journal.Signals) float64 {
	usual := 0.0
	if r := before.ratio(); r != nil {
		usual = *r
	}
	for _, sample := range samples {
		at := float64(sample.T-s.Struck.UnixMilli()) / 1000
		v, ok := k.sample(sample)
		if r := v.ratio(); at > 0 && ok && r != nil && v.part > 0.5 && *r > usual {
			return at
		}
	}
	return s.During.To.Sub(s.Struck).Seconds()
}

func rate(n *float64, s journal.Stretch) *float64 {
	if n == nil || s.Length() <= 0 {
		return nil
	}
	v := *n / s.Length().Seconds()
	return &v
}
