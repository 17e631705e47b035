package peers

import (
	"fmt"
	"strings"
)

// libreswan keeps plain ESP by nat-ikev1-method=none (IKEv1, as a client) or by
// encapsulation=no on both sides (both versions).
func (s *Site) libreswan(h *Host, r Role) daemon {
	const whack = "/usr/libexec/ipsec/whack --rundir /run "
	names := s.connNames(h)
	add := make([]string, len(names))
	for i, n := range names {
		add[i] = "/usr/libexec/ipsec/addconn --config /run/ipsec.conf --ctlsocket /run/pluto.ctl " + n + " </dev/null"
	}
	// Nobody has a command for a new quick mode on an old IKEv1 SA but the one
	// that begins a tunnel.
	rekey := make([]string, len(names))
	for i, n := range names {
		rekey[i] = whack + "--rekey-ipsec --name " + n
		if r.Version == 1 {
			rekey[i] = whack + "--initiate --name " + n
		}
	}
	return daemon{
		files: map[string]string{
			"ipsec.conf":    s.ipsecConf(h, r),
			"ipsec.secrets": fmt.Sprintf(": PSK %q\n", secret),
		},
		start: "[ -d /run/nss ] || { mkdir -p /run/nss /run/pluto; certutil -N --empty-password -d sql:/run/nss; }; " +
			"setsid /usr/libexec/ipsec/pluto --config /run/ipsec.conf --nofork --rundir /run --nssdir /run/nss" +
			" --secretsfile /run/ipsec.secrets >/run/pluto.out 2>&1 </dev/null & " +
			waitFor("[ -S /run/pluto.ctl ]") + "; " + whack + "--listen && " + strings.Join(add, " && "),
		up:     whack + "--initiate --name " + names[0],
		rekey:  strings.Join(rekey, "; "),
		binary: "pluto",
		log:    "/run/pluto.log",
	}
}

// connNames: a client has one connection, the gateway one for each client.
func (s *Site) connNames(h *Host) []string {
	if h != s.Gateway {
		return []string{"net"}
	}
	return []string{s.Clients[0].Name, s.Clients[1].Name}
}

func (s *Site) ipsecConf(h *Host, r Role) string {
	var b strings.Builder
	lifetime, rekey := r.Lifetime, "yes"
	if lifetime == 0 {
		lifetime = noLifetime
	}
	fmt.Fprintf(&b, `config setup
	ikev1-policy=accept
	logfile=/run/pluto.log
	nssdir=/run/nss
	secretsfile=/run/ipsec.secrets
	virtual-private=%%v4:10.0.0.0/8
conn %%default
	authby=secret
	left=%v
	leftid=%s
	leftsubnet=%v
	leftupdown=/bin/true
	auto=ignore
	mobike=no
	pfs=no
	esn=no
	ikelifetime=8h
	salifetime=%ds
	rekey=%s
	rekeymargin=5s
	rekeyfuzz=0%%
	keyingtries=0
	retransmit-timeout=40s
`, h.Address.Addr(), h.id(), h.InnerNet, seconds(lifetime), rekey)
	if r.DPD > 0 {
		fmt.Fprintf(&b, "\tdpddelay=%d\n\tdpdtimeout=%d\n\tdpdaction=clear\n", seconds(r.DPD), 5*seconds(r.DPD))
	}
	b.WriteString(libreswanVersion(h, r, h == s.Gateway))
	for i, name := range s.connNames(h) {
		peer, address := s.Gateway, s.Gateway.Address.Addr()
		if h == s.Gateway {
			peer, address = s.Clients[i], NATAddress
		}
		fmt.Fprintf(&b, "conn %s\n\tright=%v\n\trightid=%s\n\trightsubnet=%v\n", name, address, peer.id(), peer.InnerNet)
	}
	return b.String()
}

func libreswanVersion(h *Host, r Role, gateway bool) string {
	text := "\tikev2=insist\n\tike=aes128-sha2_256-modp2048\n\tesp=aes128-sha2_256\n"
	if r.Version == 1 {
		text = "\tikev2=no\n\tike=aes128-sha1-modp2048\n\tesp=aes128-sha1\n"
	}
	switch {
	case r.Encap:
		text += "\tencapsulation=no\n"
	case r.Plain && !gateway:
		text += "\tnat-ikev1-method=none\n"
	}
	return text
}
