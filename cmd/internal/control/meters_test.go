package control

import (
	"io"
	"net/http"
	"testing"
)

func (b *fake) Meters() Metered { return Metered{} }

func TestWhatIsMountedAnswersAtItsPathAlone(t *testing.T) {
	socket := newSocket(t)
	s := New(&fake{}, nil)
	s.Mount(map[string]http.Handler{"/metrics": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x 1\n") })})
	runServer(t, s, socket)
	for path, want := range map[string]int{"/metrics": http.StatusOK, "/metrics/x": http.StatusNotFound, pathStatus: http.StatusOK} {
		code, _, body := raw(t, socket, http.MethodGet, path, nil)
		if code != want || path == "/metrics" && body != "x 1\n" {
			t.Errorf("%s is %d %q, want %d", path, code, body, want)
		}
	}
}
