package control

import (
	"maps"
	"net/http"
	"time"
)

// Mount adds handlers of others at paths of their own, /metrics for one, so that
// what is there for monitoring can be had where nothing listens on the network.
// The bounds of the server hold for them too. Call it before Run.
func (s *Server) Mount(handlers map[string]http.Handler) {
	if s.mounted == nil {
		s.mounted = map[string]http.Handler{}
	}
	maps.Copy(s.mounted, handlers)
}

func (s *Server) mount(mux *http.ServeMux) {
	for path, h := range s.mounted {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			// Where a deadline cannot be set there is no reader to be waited for.
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(min(s.stall, shortTimeout)))
			h.ServeHTTP(w, r)
		})
	}
}
