package dialect_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"spigate/configs"
	"spigate/configs/dialect"
	"spigate/configs/dialect/netscaler"
)

// lsn draws groups, each with what it needs.
func (d *draw) lsn(domains []int) {
	for i := range d.number(1, 3) {
		d.group(i, domains[d.number(0, len(domains)-1)])
	}
	d.table("ipsecalg", "profile", d.name())
	d.table("lsn", "pool", d.name())
	d.WriteString("addresses = [\"198.51.100.1\"]\n")
}

func (d *draw) group(i, domain int) {
	client, pool, group := d.name(), d.name(), d.name()
	d.table("lsn", "client", client)
	d.set("networks", `["100.64.%d.0/24", "100.65.%d.128/25"]`, i, i)
	d.set("traffic_domain", "%d", domain)
	d.table("lsn", "pool", pool)
	d.set("addresses", `["203.0.113.%d-203.0.113.%d", "198.51.100.%d"]`, 10*i+3, 10*i+9, 10*i+7)
	kind := d.number(0, 2)
	switch kind {
	case 1:
		d.set("port_block_allocation", "true")
	case 2:
		d.set("nat_type", `"DETERMINISTIC"`)
	}
	d.maybe("port_realloc_timeout", "%q", d.one("0s", "7s", "600s"))
	d.maybe("max_port_realloc_tmq", "%d", d.number(0, 65536))
	apps, transports := d.profiles(domain)
	d.alg()
	alg := d.last
	d.table("lsn", "logprofile", d.name())
	d.flags("log_compact", "log_subscr_info", "log_ipfix", "log_sess_deletion")
	log := d.last
	d.table("lsn", "group", group)
	d.set("client", "%q", client)
	d.set("pools", "[%q]", pool)
	d.set("apps_profiles", "%s", quoted(apps))
	d.set("transport_profiles", "%s", quoted(transports))
	d.maybe("ipsecalg_profile", "%q", alg)
	d.maybe("log_profile", "%q", log)
	switch kind {
	case 1:
		d.set("port_block_size", "%d", d.number(256, 4096))
	case 2:
		d.set("nat_type", `"DETERMINISTIC"`)
		d.maybe("alloc_policy", "%q", d.one("PORTS", "IPADDRS"))
		d.maybe("port_block_size", "%d", d.number(256, 512))
	}
	d.maybe("preset", "%q", d.one("", "rfc5382", "rfc6888", "rfc6888"))
	d.maybe("rewrite_ip_id", "%q", d.one("FRAGMENTS", "DF-CLEAR"))
	d.maybe("exempt", "%s", `["10.0.0.0/8", "192.168.0.0/16"]`)
	d.maybe("icmp_on_exhaustion", "%q", d.one("HOST-UNREACHABLE", "PROHIBITED", "NONE"))
	d.maybe("snmp_trap_limit", "%d", d.number(0, 10000))
	d.flags("icmp_on_unasked_syn", "ftp", "tftp", "logging", "session_logging", "session_sync")
	d.statics(i, domain, kind == 2)
}

// statics are outside of deterministic pools, whose ports are all given away.
func (d *draw) statics(i, domain int, computed bool) {
	nat := fmt.Sprintf("203.0.113.%d", 10*i+3)
	if computed {
		nat = fmt.Sprintf("192.0.2.%d", 10*i+3)
	}
	for j := range d.number(0, 2) {
		d.table("lsn", "static", d.name())
		switch d.number(0, 2) {
		case 0:
			d.set("protocol", "%q", d.one("TCP", "UDP"))
			d.set("subscriber", `"100.64.%d.%d:80"`, i, j+1)
			d.set("nat", `"%s:%d"`, nat, 2000+j)
		case 1:
			d.set("protocol", "%q", d.one("ICMP", "ALL"))
			d.set("subscriber", `"100.64.%d.%d"`, i, j+1)
			d.set("nat", `"192.0.2.%d"`, 100+10*i+j)
		case 2:
			d.set("protocol", `"UDP"`)
			d.set("subscriber", `"100.64.%d.%d:*"`, i, j+1)
			d.set("nat", `"192.0.2.%d:*"`, 150+10*i+j)
		}
		d.maybe("dest_ip", "%q", "198.18.0.1")
		d.set("traffic_domain", "%d", domain)
	}
}

// profiles are for IKE, for all of TCP, and for each protocol's times.
func (d *draw) profiles(domain int) (apps, transports []string) {
	attributes := d.name()
	d.table("lsn", "appsattributes", attributes)
	d.set("protocol", `"UDP"`)
	d.maybe("ports", "%s", `["53", "123-125"]`)
	d.maybe("session_timeout", "%q", d.one("1s", "30s", "2m", "1500ms"))
	for _, protocol := range []string{"UDP", "TCP"} {
		apps = append(apps, d.name())
		d.table("lsn", "appsprofile", d.last)
		d.set("protocol", "%q", protocol)
		if protocol == "UDP" {
			d.set("ip_pooling", `"PAIRED"`)
			d.maybe("appsattributes", "[%q]", attributes)
			d.maybe("ports", "%s", d.one(`["500"]`, `["500", "4500"]`, `["1-600", "4500"]`))
		} else {
			d.maybe("ip_pooling", "%q", d.one("PAIRED", "RANDOM"))
		}
		d.maybe("mapping", "%q", d.one("EIM", "ADM", "APDM"))
		d.maybe("filtering", "%q", d.one("EIF", "ADF", "APDF"))
		d.maybe("traffic_domain", "%d", domain)
		d.flags("inbound_refresh", "exempt")
	}
	for _, protocol := range []string{"TCP", "UDP", "ICMP"} {
		transports = append(transports, d.name())
		d.table("lsn", "transportprofile", d.last)
		d.set("protocol", "%q", protocol)
		d.maybe("session_timeout", "%q", d.one("60s", "120s", "2h4m", "61500ms"))
		if protocol == "TCP" {
			d.maybe("fin_rst_timeout", "%q", d.one("30s", "1s"))
			d.maybe("syn_idle_timeout", "%q", d.one("60s", "30s"))
			d.flags("syn_check")
		}
		if protocol == "UDP" {
			d.maybe("stun_timeout", "%q", d.one("10m", "121s"))
		}
		d.maybe("port_quota", "%d", d.number(0, 65535))
		d.maybe("session_quota", "%d", d.number(0, 65535))
		d.maybe("group_session_limit", "%d", d.number(0, 99999))
		d.flags("port_preserve_parity", "port_preserve_range")
	}
	return apps, transports
}

func (d *draw) alg() {
	d.table("ipsecalg", "profile", d.name())
	d.maybe("ike_session_timeout", "%q", d.one("60m", "45m", "90s", "24h"))
	d.maybe("esp_session_timeout", "%q", d.one("60m", "40m", "1m"))
	d.maybe("esp_gate_timeout", "%q", d.one("30s", "20s", "3500ms"))
	d.maybe("ike_half_open_timeout", "%q", d.one("30s", "3s"))
	d.maybe("block_mode", "%q", d.one("HOLD", "DROP"))
	d.maybe("gate_seq_max", "%d", d.number(0, 1<<31-1))
	d.flags("connfailover", "late_binding_out", "late_binding_in", "ike_keep_with_esp", "same_client_parallel")
	d.maybe(d.one("ike_port_preserve", "ike_cookie_demux"), "%s", "true")
}

// commands is a listing as a text.
func commands(c *configs.Config) string {
	var b strings.Builder
	for _, l := range netscaler.List(c) {
		b.WriteString(l.Text + "\n")
	}
	return b.String()
}

func TestAConfigurationSurvivesNetScaler(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newDraw(t)
		_, domains := d.net()
		d.lsn(domains)
		want := check(t, "drawn", d.String())
		listed := commands(want)
		r := netscaler.Import([]byte(listed))
		got := check(t, "imported", r.TOML)
		if diff := same(want, got); diff != "" {
			t.Fatalf("(-want +got):\n%s\n%s\n%s", diff, listed, findings(r))
		}
		if r.Has(dialect.Unknown, dialect.Left) {
			t.Fatalf("%s\n%s", findings(r), listed)
		}
	})
}
