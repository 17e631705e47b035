//go:build !noweb

package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// listening is a rig at a port of loopback, with TLS.
func listening(t *testing.T, r *rig) string {
	t.Helper()
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	<-r.Ready()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
	})
	return r.Addr().String()
}

func onPort(c *Config) { c.Address = "127.0.0.1:0" }

// leafOf is the certificate that a server shows, and the version of TLS.
func leafOf(t *testing.T, address string, c *tls.Config) (*x509.Certificate, uint16) {
	t.Helper()
	c.InsecureSkipVerify = true
	conn, err := tls.Dial("tcp", address, c)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], conn.ConnectionState().Version
}

func TestTheCertificateIsMadeOnceKeptAndRenewedInTime(t *testing.T) {
	r := newRig(t, onPort)
	file := filepath.Join(r.config.StateDir, ownFile)
	address := listening(t, r)
	first, version := leafOf(t, address, &tls.Config{})
	if version != tls.VersionTLS13 || first.PublicKeyAlgorithm != x509.ECDSA || first.Subject.CommonName != "gw1" {
		t.Errorf("TLS %x, %v of %v", version, first.PublicKeyAlgorithm, first.Subject)
	}
	for _, name := range []string{"gw1", "localhost", "127.0.0.1"} {
		if err := first.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	if !strings.Contains(r.log.String(), fingerprint(first)) {
		t.Errorf("the log has not its fingerprint:\n%s", r.log)
	}
	again := newRig(t, onPort, func(c *Config) { c.StateDir = r.config.StateDir })
	if second, _ := leafOf(t, listening(t, again), &tls.Config{}); !second.Equal(first) {
		t.Error("the next start has another one")
	}
	r.clock.move(ownLife - ownSpare)
	if third, _ := leafOf(t, address, &tls.Config{}); third.Equal(first) || !third.NotAfter.After(first.NotAfter) {
		t.Errorf("a month before its end it is still there, until %s", third.NotAfter)
	}
	if err := os.WriteFile(file, []byte("-----BEGIN NOTHING"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := newRig(t, onPort, func(c *Config) { c.StateDir = r.config.StateDir })
	leafOf(t, listening(t, broken), &tls.Config{})
	if !strings.Contains(broken.log.String(), "another certificate is made") {
		t.Errorf("the log:\n%s", broken.log)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	address := listening(t, newRig(t, onPort))
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err == nil {
		conn.Close()
		t.Error("TLS 1.1 is taken")
	}
	if _, version := leafOf(t, address, &tls.Config{MaxVersion: tls.VersionTLS12}); version != tls.VersionTLS12 {
		t.Errorf("TLS %x", version)
	}
}

func TestTheWholeWayOverTLS(t *testing.T) {
	r := newRig(t, onPort)
	base := "https://" + listening(t, r)
	client := &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	form := url.Values{"name": {"admin"}, "password": {adminPassword}}
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+loginPath, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	q.Header.Set("Origin", base)
	answer, err := client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusSeeOther || len(answer.Cookies()) != 1 {
		t.Fatalf("%d, cookies %v", answer.StatusCode, answer.Cookies())
	}
	// A stream goes on although the time to read a request is over, which is the
	// server's, and ends with the server.
	q, err = http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/ipsec/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.AddCookie(answer.Cookies()[0])
	if answer, err = client.Do(q); err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	line, err := bufio.NewReader(answer.Body).ReadString('\n')
	if err != nil || line != "retry: 3000\n" || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%q %v %v", line, err, answer.Header)
	}
}

func TestSilentConnectionsTakeNobodyElsesPlace(t *testing.T) {
	l := limitConnections(nil).(*limited)
	enter := func(address string) bool {
		_, ok := l.enter(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)))
		return ok
	}
	count := 0
	for range 100 {
		if enter("192.0.2.1:4000") {
			count++
		}
	}
	if count != maxOfCustomer {
		t.Errorf("%d connections of one address, want %d", count, maxOfCustomer)
	}
	count = 0
	for range 100 { // one network of IPv6, whatever its address
		if enter("[2001:db8::1]:4000") || enter("[2001:db8::2]:4000") {
			count++
		}
	}
	if count != maxOfCustomer {
		t.Errorf("%d connections of one network, want %d", count, maxOfCustomer)
	}
	for _, address := range []string{"192.0.2.2:1", "192.0.2.3:1", "192.0.2.4:1", "192.0.2.5:1"} {
		for range maxOfCustomer {
			enter(address)
		}
	}
	if l.all != maxConnections-keptForUs || enter("192.0.2.9:1") {
		t.Errorf("%d connections in all, want %d", l.all, maxConnections-keptForUs)
	}
	if !enter("127.0.0.1:1") {
		t.Error("this machine itself is not let in")
	}
	l.leave(customer(netip.MustParseAddrPort("192.0.2.1:1").Addr()))
	l.leave(customer(netip.MustParseAddrPort("192.0.2.1:1").Addr()))
	if !enter("192.0.2.1:1") {
		t.Error("a place that is free again is not given")
	}
}

func TestAConnectionOverTheBoundIsClosedAtOnce(t *testing.T) {
	r := newRig(t, onPort)
	address := listening(t, r)
	var silent []net.Conn
	defer func() {
		for _, c := range silent {
			c.Close()
		}
	}()
	for range maxConnections {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		silent = append(silent, c)
	}
	one, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	if err := one.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := one.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%d bytes, %v", n, err)
	} else if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Error("it is kept open")
	}
	silent[0].Close()
	for { // the server notices when it does
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
		if err == nil {
			conn.Close()
			return
		}
	}
}

func FuzzAnythingThatIsAskedHasAnAnswer(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: gw1\r\n\r\n",
		"POST /login HTTP/1.1\r\nHost: gw1\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 14\r\n\r\nname=a&x=%zz;b",
		"POST /ipsec HTTP/1.1\r\nHost: [::1]:x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ntoken\r\n0\r\n\r\n",
		"GET /flows?from=9&source_ip=*&network=0.0.0.0/0&td=7 HTTP/1.1\r\nHost: gw1\r\nCookie: __Host-spigate=COOKIE\r\n\r\n",
		"GET /explain?in=inside&protocol=other&source=1&destination=,,, HTTP/1.1\r\nHost: gw1\r\nCookie: __Host-spigate=COOKIE\r\n\r\n",
		"POST /edit?kind=x HTTP/1.1\r\nHost: gw1\r\nOrigin: https://gw1\r\nCookie: __Host-spigate=COOKIE\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 9\r\n\r\n--b\r\n\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: \xff\r\n\r\n",
	} {
		f.Add(seed)
	}
	r := newRig(f)
	cookie := r.logIn("admin", adminPassword)
	f.Fuzz(func(t *testing.T, text string) {
		q, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(text, "COOKIE", cookie))))
		if err != nil || r.site.streams(q.URL.Path) {
			return
		}
		q.RemoteAddr = "192.0.2.1:4000"
		w := &flusher{header: http.Header{}}
		status := 0
		r.ServeHTTP(statusOf{w, &status}, q)
		if status < 200 || status == http.StatusInternalServerError {
			t.Errorf("%d: %q\n%s", status, text, r.log)
		}
		if did := r.house.doings(); len(did) > 0 {
			t.Errorf("did %v: %q", did, text)
		}
	})
}

// statusOf takes an answer's status and throws its body away.
type statusOf struct {
	*flusher
	status *int
}

func (s statusOf) WriteHeader(status int)      { *s.status = status }
func (s statusOf) Write(b []byte) (int, error) { return io.Discard.Write(b) }

// A flash that cannot be written keeps no router from its work.
func TestACertificateThatCannotBeKeptServesAllTheSame(t *testing.T) {
	inTheWay := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(inTheWay, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, onPort, func(c *Config) { c.StateDir = filepath.Join(inTheWay, "state") })
	c, err := r.certificates()
	if err != nil || c.is.Leaf == nil || !strings.Contains(r.log.String(), "the certificate cannot be kept") {
		t.Errorf("%v\n%s", err, r.log)
	}
}
