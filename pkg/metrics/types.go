package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Float is a float64 whose NaN and infinities survive JSON: they are the strings "NaN", "+Inf" and "-Inf".
type Float float64

// MarshalJSON implements json.Marshaler.
func (f Float) MarshalJSON() ([]byte, error) {
	v := float64(f)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return json.Marshal(strconv.FormatFloat(v, 'g', -1, 64))
	}
	return json.Marshal(v)
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *Float) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || b[0] != '"' {
		var v float64
		err := json.Unmarshal(b, &v)
		*f = Float(v)
		return err
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return fmt.Errorf("not a number: %q", s)
	}
	*f = Float(v)
	return nil
}

// Point is one sample: T in Unix milliseconds (Prometheus' own resolution).
type Point struct {
	T int64 `json:"t"`
	V Float `json:"v"`
}

// Series is one labelled series; of an instant query it has one point.
type Series struct {
	Labels map[string]string `json:"labels"`
	Points []Point           `json:"points"`
}

// Result is the evidence of one look.
type Result struct {
	Query    string    `json:"query"` // rendered, as evaluated
	At       time.Time `json:"at"`
	Series   []Series  `json:"series"` // never null
	Warnings []string  `json:"warnings"`
	Source   string    `json:"source"` // "embedded" or "prometheus 2.42.0"
}

// Source answers PromQL. It is safe for concurrent use.
type Source interface {
	Query(ctx context.Context, query string, at time.Time) (Result, error)
	QueryRange(ctx context.Context, query string, from, to time.Time, step time.Duration) (Result, error)
	// Describe is for the report: "embedded, every 250ms"; it holds no credentials.
	Describe() string
}
