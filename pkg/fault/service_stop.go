package fault

import "context"

// newStop makes service.stop: an orderly stop that lasts.
func newStop(r Request) (Fault, error) {
	grace := r.Params.Duration("grace")
	return eachInstance(r, func(i instance) (subject, error) {
		o, err := newOutage(r, i, "service.stop", "stopped")
		o.grace = grace
		o.down = func(ctx context.Context) error { return o.starter.Stop(ctx, o.Target, grace) }
		return o, err
	})
}
