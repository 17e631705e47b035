package netns

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// The kernel of the router has neither of its addresses: spigate has them, and
// serves its pages there itself, to the side that the address is on.
func TestThePagesAreServedAtTheRoutersOwnAddress(t *testing.T) {
	tools(t)
	s := site(t)
	hash, err := bcrypt.GenerateFromPassword([]byte("a long password"), 10)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.AddrPortFrom(Inside.Addr(), 443)
	variantAt(t, s, at.String(), fmt.Sprintf("[web.user.admin]\npassword = %q\nrole = \"admin\"\n", hash))
	if err := s.GatewayRouteInside(); err != nil {
		t.Fatal(err)
	}
	ask := func(n *Namespace, path string) (string, error) {
		return n.Run(deadline(t), "", "curl", "-sSk", "--max-time", "20", "-D-", "https://"+at.String()+path)
	}
	page, err := ask(s.Client1, "/login")
	if err != nil || !strings.Contains(page, "200 OK") || !strings.Contains(page, `type="password"`) {
		t.Errorf("%v\n%s", err, page)
	}
	if text, err := ask(s.Client1, "/healthz"); err != nil || !strings.Contains(text, "200 OK") {
		t.Errorf("%v\n%s", err, text)
	}
	if text, err := ask(s.Client1, "/metrics"); err != nil || !strings.Contains(text, "401 Unauthorized") {
		t.Errorf("%v\n%s", err, text)
	}
	if text, err := ask(s.Gateway, "/healthz"); err == nil {
		t.Errorf("the outside was served:\n%s", text)
	}
}
