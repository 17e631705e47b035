package configs

import (
	"crypto"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Bounds of [web]. A log-in takes as long as its hash's cost says: less is found
// out too fast by whoever has the file, more keeps a small router busy.
const (
	maxWebUsers   = 32
	leastHashCost = 10
	mostHashCost  = 14
	webTimeout    = 30 * time.Minute
)

// web reads [web]. It comes behind [control], whose address says what must be in it.
func (r *reader) web(root *table, w *raw) {
	t := root.sub("web")
	served, loopback := r.checkHTTP(keyAt("control", "http"), w.Control.HTTP)
	w.Web.TLS = t.flag("tls", served && !loopback)
	w.Web.SessionTimeout = t.duration("session_timeout", span{webTimeout, time.Minute, 12 * time.Hour, time.Minute})
	w.Web.Chain = t.certificates("certificate", "the certificate of the web pages")
	w.Web.Key = t.privateKey("key")
	t.webPair(w)
	for _, u := range t.named("user", algName) {
		w.Web.Users = append(w.Web.Users, u.webUser())
		u.done()
	}
	t.done()
	switch {
	case len(w.Web.Users) > maxWebUsers:
		r.fault(t.at("user"), "%d users: at most %d", len(w.Web.Users), maxWebUsers)
	case !served || loopback:
		return
	case !w.Web.TLS:
		r.fault(t.at("tls"), "must not be false while [control] http is %q: passwords would cross the network in the clear; only a loopback address goes without", w.Control.HTTP)
	case len(w.Web.Users) == 0:
		r.fault(keyAt("control", "http"), `%q is beyond loopback, and nobody may log in: add a [web.user.NAME] with a password from "spigate web password", or write "127.0.0.1:PORT"`, w.Control.HTTP)
	}
}

// checkHTTP judges the address of the pages: is there one, and is it one that
// only this machine can reach? Names are not taken: a start must not wait for a
// name server.
func (r *reader) checkHTTP(at spot, s string) (served, loopback bool) {
	if s == "" {
		return false, false
	}
	host, port, err := net.SplitHostPort(s)
	n, perr := strconv.ParseUint(port, 10, 16)
	a, aerr := netip.ParseAddr(host)
	if err != nil || perr != nil || n == 0 || aerr != nil && host != "" && host != "localhost" {
		r.fault(at, `%q is not an address with a port such as "127.0.0.1:8080", or ":8443" for every address`, s)
		return false, false
	}
	return true, host == "localhost" || a.IsLoopback()
}

func (t *table) webUser() *WebUser {
	u := &WebUser{Name: t.name(), Role: choose(t, "role", WebReadOnly, webRoleWords())}
	if strings.Contains(u.Name, ":") {
		t.fault(t.here(), "a user's name has no colon: HTTP puts one between name and password")
	}
	if !t.has("password") {
		t.fault(t.at("password"), `is missing: write what "spigate web password" prints, or "file:PATH" of a file with it`)
		return u
	}
	text, ok := t.secret("password", "the hash of a password")
	switch hash := regexp.MustCompile(`^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$`).FindStringSubmatch(text); {
	case !ok:
		if t.text("password", "") == "" {
			t.fault(t.at("password"), `must not be empty: write what "spigate web password" prints`)
		}
	case hash == nil: // and say nothing of what stands there: it may be the password itself
		t.fault(t.at("password"), `is no hash of bcrypt: write what "spigate web password" prints, never the password itself`)
	default:
		cost, err := strconv.Atoi(hash[1])
		if err != nil || cost < leastHashCost || cost > mostHashCost {
			t.fault(t.at("password"), "the hash's cost is %s, must be from %d to %d", hash[1], leastHashCost, mostHashCost)
		}
		u.Password = newSecret([]byte(text))
	}
	return u
}

// webPair: a certificate comes with its key.
func (t *table) webPair(w *raw) {
	switch signer := w.Web.Key.Signer(); {
	case t.has("certificate") && !t.has("key"):
		t.fault(t.at("key"), "is missing: certificate needs it")
	case t.has("key") && !t.has("certificate"):
		t.fault(t.at("certificate"), "is missing: key needs it")
	case len(w.Web.Chain) > 0 && signer != nil:
		same, ok := w.Web.Chain[0].PublicKey.(interface{ Equal(crypto.PublicKey) bool })
		if !ok || !same.Equal(signer.Public()) {
			t.fault(t.at("key"), "is not the key of the first certificate in certificate, which is for %q", w.Web.Chain[0].Subject)
		}
	}
}
