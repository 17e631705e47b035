package peers

import (
	"fmt"
	"strings"
	"time"
)

// charonPlugins are the plugins of strongSwan that the tests use. Loading all
// of them takes seconds in an emulated machine.
func charonPlugins() []string {
	return []string{"random", "nonce", "openssl", "kdf", "kernel-netlink", "socket-default", "vici", "pem"}
}

// strongSwan has no switch against NAT traversal: it speaks plain ESP with
// peers that do not offer it.
func (s *Site) strongSwan(h *Host, r Role) daemon {
	const env = "STRONGSWAN_CONF=/run/strongswan.conf "
	const ctl = env + "swanctl "
	const at = " --uri unix:///run/charon.vici"
	return daemon{
		files: map[string]string{"strongswan.conf": charonConf(), "swanctl.conf": s.swanctlConf(h, r)},
		start: env + "setsid /usr/lib/ipsec/charon >/run/charon.out 2>&1 </dev/null & " + waitFor("[ -S /run/charon.vici ]") + "; " +
			ctl + "--load-all --file /run/swanctl.conf" + at,
		up:     fmt.Sprintf(ctl+"--initiate --ike v%d --child net --timeout 80"+at, r.Version),
		rekey:  ctl + "--rekey --child net" + at,
		binary: "charon",
		log:    "/run/charon.log",
	}
}

// charonConf is patient: the emulated machine may stand still for seconds.
func charonConf() string {
	return `charon {
	load = ` + strings.Join(charonPlugins(), " ") + `
	retransmit_timeout = 2.0
	retransmit_base = 1.4
	retransmit_tries = 4
	delete_rekeyed_delay = 2
	plugins { vici { socket = unix:///run/charon.vici } }
	filelog { log { path = /run/charon.log
		time_format = %T
		flush_line = yes
		default = 1 } }
}
swanctl { load = random openssl pem }
`
}

// swanctlConf has a connection for each version of IKE: v1 and v2. A gateway
// takes every client that knows the secret.
func (s *Site) swanctlConf(h *Host, r Role) string {
	remote, peer := s.Gateway.InnerNet, fmt.Sprintf("remote_addrs = %v\n", s.Gateway.Address.Addr())
	them := "id = " + s.Gateway.id()
	if h == s.Gateway {
		remote, peer, them = innerAll, "", ""
	}
	conn := func(version int, ike, esp string) string {
		return fmt.Sprintf(`v%d {
	version = %d
	local_addrs = %v
	%sproposals = %s
	mobike = no
	dpd_delay = %d
	local {
		auth = psk
		id = %s
	}
	remote {
		auth = psk
		%s
	}
	children { net {
		local_ts = %v
		remote_ts = %v
		esp_proposals = %s
		rekey_time = %d
		life_time = %d
		rand_time = 0
	} }
}
`, version, version, h.Address.Addr(), peer, ike, seconds(r.DPD), h.id(), them,
			h.InnerNet, remote, esp, seconds(r.Lifetime), seconds(2*r.Lifetime))
	}
	return "connections {\n" + conn(1, "aes128-sha1-modp2048", "aes128-sha1") +
		conn(2, "aes128-sha256-modp2048", "aes128-sha256,aes128-sha1") +
		"}\nsecrets { ike-1 { secret = \"" + secret + "\" } }\n"
}

func seconds(d time.Duration) int { return int(d / time.Second) }
