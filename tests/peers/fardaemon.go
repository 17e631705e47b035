package peers

import (
	"fmt"
	"net/netip"
	"time"
)

// Fault is what is configured wrongly at the far end.
type Fault uint8

// The faults.
const (
	NoFault       Fault = iota
	WrongSecret         // another pre-shared key
	WrongNet            // another network behind the far end
	WrongProposal       // other algorithms for the child
	WrongIKE            // other algorithms for IKE
)

// Far is the other end of a tunnel that ends on spigate: one daemon with one
// connection.
type Far struct {
	Kind   Kind
	Host   *Host
	Seen   netip.Addr   // its address as spigate sees it
	Net    netip.Prefix // behind it
	Users  netip.Prefix // behind spigate
	Begins bool         // an OpenIKED that begins does so at its start
	Fault  Fault
	// Lifetime and IKELifetime are for daemons that have no command to rekey.
	Lifetime, IKELifetime time.Duration
}

// The names of the ends in IKE.
const (
	nearID = "near.example"
	farID  = "far.example"
)

// algorithms are how a daemon says the same that spigate is configured with.
type algorithms struct{ ike, esp, otherIKE, otherESP string }

func (k Kind) algorithms() algorithms {
	switch k {
	case StrongSwan:
		return algorithms{"aes128gcm16-prfsha256-x25519", "aes256gcm16-ecp256", "aes256-sha512-modp3072", "aes128-sha512"}
	case Libreswan:
		return algorithms{"aes_gcm256-sha2_256-dh19", "aes_gcm128-null", "aes256-sha2_512-modp3072", "aes128-sha2_512"}
	}
	// On Linux OpenIKED hands keys to the kernel by PF_KEY, which has neither
	// AES-GCM nor HMAC-SHA-256 as the RFCs cut it.
	return algorithms{"enc aes-256 prf hmac-sha2-256 auth hmac-sha2-256 group curve25519",
		"enc aes-256 auth hmac-sha2-384 group curve25519",
		"enc aes-256 prf hmac-sha2-512 auth hmac-sha2-512 group modp3072", "enc aes-128 auth hmac-sha2-512"}
}

func (f Far) secret() string {
	if f.Fault == WrongSecret {
		return "another-secret"
	}
	return secret
}

func (f Far) net() netip.Prefix {
	if f.Fault == WrongNet {
		return netip.MustParsePrefix("10.1.9.0/24")
	}
	return f.Net
}

func (f Far) ike() string {
	a := f.Kind.algorithms()
	if f.Fault == WrongIKE {
		return a.otherIKE
	}
	return a.ike
}

func (f Far) esp() string {
	a := f.Kind.algorithms()
	if f.Fault == WrongProposal {
		return a.otherESP
	}
	return a.esp
}

// daemon returns how the far end's daemon is run. stop ends it as a reboot
// does: the other end is told.
func (f Far) daemon() daemon {
	switch f.Kind {
	case StrongSwan:
		return f.strongSwan()
	case Libreswan:
		return f.libreswan()
	}
	return f.openIKED()
}

func (f Far) strongSwan() daemon {
	const env = "STRONGSWAN_CONF=/run/strongswan.conf "
	const ctl = env + "swanctl "
	const at = " --uri unix:///run/charon.vici"
	conf := fmt.Sprintf(`connections { net {
	version = 2
	local_addrs = %v
	remote_addrs = %v
	proposals = %s
	mobike = no
	local {
		auth = psk
		id = %s
	}
	remote {
		auth = psk
		id = %s
	}
	children { net {
		local_ts = %v
		remote_ts = %v
		esp_proposals = %s
	} }
} }
secrets { ike-1 { secret = %q } }
`, f.Host.Address.Addr(), NearAddress.Addr(), f.ike(), farID, nearID, f.net(), f.Users, f.esp(), f.secret())
	return daemon{
		files: map[string]string{"strongswan.conf": charonConf(), "swanctl.conf": conf},
		start: env + "setsid /usr/lib/ipsec/charon >/run/charon.out 2>&1 </dev/null & " + waitFor("[ -S /run/charon.vici ]") + "; " +
			ctl + "--load-all --file /run/swanctl.conf" + at,
		up:       ctl + "--initiate --child net --timeout 40" + at,
		rekey:    ctl + "--rekey --child net" + at,
		rekeyIKE: ctl + "--rekey --ike net" + at,
		binary:   "charon",
		log:      "/run/charon.log",
	}
}

func (f Far) libreswan() daemon {
	const whack = "/usr/libexec/ipsec/whack --rundir /run "
	conf := fmt.Sprintf(`config setup
	logfile=/run/pluto.log
	nssdir=/run/nss
	secretsfile=/run/ipsec.secrets
	virtual-private=%%v4:10.0.0.0/8
conn net
	authby=secret
	left=%v
	leftid=@%s
	leftsubnet=%v
	leftupdown=/bin/true
	right=%v
	rightid=@%s
	rightsubnet=%v
	auto=ignore
	ikev2=insist
	mobike=no
	esn=no
	pfs=yes
	ike=%s
	esp=%s
	keyingtries=1
	retransmit-timeout=40s
`, f.Host.Address.Addr(), farID, f.net(), NearAddress.Addr(), nearID, f.Users, f.ike(), f.esp())
	return daemon{
		files: map[string]string{"ipsec.conf": conf, "ipsec.secrets": fmt.Sprintf(": PSK %q\n", f.secret())},
		start: "[ -d /run/nss ] || { mkdir -p /run/nss /run/pluto; certutil -N --empty-password -d sql:/run/nss; }; " +
			"setsid /usr/libexec/ipsec/pluto --config /run/ipsec.conf --nofork --rundir /run --nssdir /run/nss" +
			" --secretsfile /run/ipsec.secrets >/run/pluto.out 2>&1 </dev/null & " +
			waitFor("[ -S /run/pluto.ctl ]") + "; " + whack + "--listen && " +
			"/usr/libexec/ipsec/addconn --config /run/ipsec.conf --ctlsocket /run/pluto.ctl net </dev/null",
		up:       whack + "--initiate --name net",
		rekey:    whack + "--rekey-ipsec --name net",
		rekeyIKE: whack + "--rekey-ike --name net",
		binary:   "pluto",
		log:      "/run/pluto.log",
	}
}

func (f Far) openIKED() daemon {
	mode := "passive"
	if f.Begins {
		mode = "active"
	}
	lifetime, ikeLifetime := f.Lifetime, f.IKELifetime
	if lifetime == 0 {
		lifetime, ikeLifetime = noLifetime, noLifetime
	}
	conf := fmt.Sprintf(`set dpd_check_interval 0
ikev2 "net" %s esp from %v to %v local %v peer %v \
 ikesa %s \
 childsa %s \
 srcid %s dstid %s ikelifetime %d lifetime %d psk %q
`, mode, f.net(), f.Users, f.Host.Address.Addr(), NearAddress.Addr(), f.ike(), f.esp(), farID, nearID,
		seconds(ikeLifetime), seconds(lifetime), f.secret())
	return daemon{
		files: map[string]string{"iked.conf": conf, "local.key": ecKey()},
		start: "mkdir -p /run/iked; mkdir -p /etc/iked/private; cp /run/local.key /etc/iked/private/local.key; " +
			"setsid /usr/sbin/iked -d -v -f /run/iked.conf -s /run/iked.sock >/run/iked.log 2>&1 </dev/null & " +
			waitFor("ikectl -s /run/iked.sock show sa >/run/ikectl.out 2>&1") + "; sleep 1", // its last part forgets what came before it
		// It tells nobody when it is ended.
		leave:  "ikectl -s /run/iked.sock reset sa",
		binary: "iked",
		log:    "/run/iked.log",
	}
}
