package target

import "time"

// DefaultReady is how long a service may take until it is ready where its `ready.within` says nothing.
const DefaultReady = 15 * time.Second

// Patience is how long an attempt may take that has to wait until services are ready again. Usual is what it gets where nothing is said of them, with DefaultReady in it; ready is
// the longest that is said of one of them, 0 if nothing is: by what that is longer, the attempt may be.
func Patience(usual, ready time.Duration) time.Duration { return usual + max(0, ready-DefaultReady) }
