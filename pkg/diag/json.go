package diag

import (
	"encoding/json"
	"io"
)

// FormatVersion is that of the JSON form.
const FormatVersion = "1"

// WriteJSON writes {format_version, valid, problems}; problems is never null.
func (l List) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(struct {
		FormatVersion string `json:"format_version"`
		Valid         bool   `json:"valid"`
		Problems      List   `json:"problems"`
	}{FormatVersion, !l.Invalid(), append(List{}, l.shown()...)})
}
