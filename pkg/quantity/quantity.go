// Package quantity reads and writes amounts with units as experiments spell them: 300ms, 80%, 256MiB, 50/s, 1MiB/s, 0.5.
package quantity

// Unit is the dimension of a quantity.
type Unit string

// The dimensions. Value is in the base unit named.
const (
	None    Unit = ""        // a bare number
	Time    Unit = "time"    // seconds
	Percent Unit = "percent" // a fraction: 80% is 0.8
	Bytes   Unit = "bytes"   // bytes; KiB, MiB, GiB are powers of 1024, kB, MB, GB of 1000
	Rate    Unit = "rate"    // events per second: 50/s, 600/m
	Flow    Unit = "flow"    // bytes per second: 1MiB/s
)

// Quantity is an amount. Text is how it was written.
type Quantity struct {
	Value float64 `json:"value"`
	Unit  Unit    `json:"unit,omitempty"`
	Text  string  `json:"text"`
}
