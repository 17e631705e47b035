package wire

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"spigate/cmd/internal/web"
)

// webUser is a user of the pages, with a hash that no password has.
const webUser = "[web.user.admin]\npassword = \"$2a$10$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234\"\n"

func TestAReloadTellsThePagesWhoMayLogIn(t *testing.T) {
	with := reloaded(t, "version = 1\n", "version = 1\n"+webUser)
	d := &Daemon{views: newViews(with), chassis: newOperated(t).router.Chassis, log: silent}
	pages, err := web.New(web.Config{Address: ":8443", Backend: d.views, Editor: d.views, Web: with.Web})
	if err != nil {
		t.Fatal(err)
	}
	d.web = pages
	ask := func() int {
		w := httptest.NewRecorder()
		q := httptest.NewRequest(http.MethodGet, "/login", nil)
		q.Host = "gw1"
		pages.ServeHTTP(w, q)
		return w.Code
	}
	if got := ask(); got != http.StatusOK {
		t.Errorf("with a user: %d", got)
	}
	if err := d.Reload(reloaded(t)); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != http.StatusForbidden {
		t.Errorf("without one: %d", got)
	}
	if err := d.Reload(with); err != nil {
		t.Fatal(err)
	}
	if got := ask(); got != http.StatusOK {
		t.Errorf("with one again: %d", got)
	}
}
