package resilience

import "net/http"

// Shed passes at most limit requests to next at a time and hands the others to refuse at once; 0 is no limit.
func Shed(limit int, refuse, next http.Handler) http.Handler {
	if limit == 0 {
		return next
	}
	slots := make(chan struct{}, limit)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			next.ServeHTTP(w, r)
		default:
			refuse.ServeHTTP(w, r)
		}
	})
}
