package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"spigate/cmd/internal/control"
)

// BIG-IP's views of what a virtual server, a NAT and a SNAT have counted.

const ltmExamples = `

Numbers of 1000 and more are shortened to K, M, G and T (powers of 1000); --raw
prints them in full, --field-fmt one on a line under the name it has in tmsh's
field-fmt. Bits are of whole IP packets, before IPsec adds to them.`

func (s *shower) ltmVirtual() *cobra.Command {
	cmd := pageCommand(s, view[control.LTMVirtual]{
		noun: "virtual", short: "Statistics of virtual servers, or of the one of this name", named: true,
		long: "Statistics of virtual servers, in the order of their names, as tmsh prints them.\n" +
			"In is what those sent who opened the connections, Out what they were sent. A\n" +
			"connection is counted on the server that admitted its first packet. Durations\n" +
			"are of closed connections. Availability is always unknown: there are no pools\n" +
			"and no monitors. Lines that count nothing here and are always 0: Ephemeral,\n" +
			"Evicted and Slow Connections, Total Requests, SYN Cookies, and CPU Usage Ratio,\n" +
			"which is not measured for each server (\"show status\" has the ports' traffic).\n" +
			"--json has more: source, VLANs, refused, expired and reset connections." + ltmExamples,
		filters: control.FiltersOfObjects(),
		ask:     (*control.Client).LTMVirtuals,
	}, virtualPage)
	cmd.Example = "  spigate show ltm virtual\n  spigate show ltm virtual ipsec-2\n  spigate show ltm virtual ipsec-2 --raw --field-fmt\n  spigate show ltm virtual --td 7 --json"
	return cmd
}

func (s *shower) ltmNAT() *cobra.Command {
	cmd := pageCommand(s, view[control.LTMNAT]{
		noun: "nat", short: "Statistics of NATs, or of the one of this name", named: true,
		long: "Statistics of NATs, in the order of their names. The counters and their column\n" +
			"are those that BIG-IP's MIB has for a NAT; the addresses are ours. In is what\n" +
			"those sent who opened the connections, from either side, Out what they were\n" +
			"sent." + ltmExamples,
		filters: control.FiltersOfObjects(),
		ask:     (*control.Client).LTMNATs,
	}, natPage)
	cmd.Example = "  spigate show ltm nat\n  spigate show ltm nat NAT-1 --raw\n  spigate show ltm nat --json"
	return cmd
}

func (s *shower) ltmSNAT() *cobra.Command {
	cmd := pageCommand(s, view[control.LTMSNAT]{
		noun: "snat", short: "Statistics of SNATs, or of the one of this name", named: true,
		long: "Statistics of SNATs, in the order of their names. The counters and their column\n" +
			"are those that BIG-IP's MIB has for a SNAT; the addresses are ours. A connection\n" +
			"that a virtual server admitted and a SNAT translated is counted on both." + ltmExamples,
		filters: control.FiltersOfObjects(),
		ask:     (*control.Client).LTMSNATs,
	}, snatPage)
	cmd.Example = "  spigate show ltm snat\n  spigate show ltm snat S1 --field-fmt\n  spigate show ltm snat --json"
	return cmd
}

// Where the columns of tmsh's tables end.
const (
	endFirst  = 46
	endSecond = 57
	endThird  = 66
	endAlone  = 47
)

// virtualPage prints what tmsh does (VR38 to VR43).
func virtualPage(w io.Writer, form *tmshForm, v *control.LTMVirtual) error {
	if form.fieldFmt {
		return writeFields(w, "ltm virtual", v.Name, virtualFields(form, v))
	}
	cmp, mode := cmpWords(v.CMP)
	n, p := form.number, &page{}
	p.title("Ltm::Virtual Server", v.Name)
	p.facts("Status", [][2]string{{"Availability", v.Availability}, {"State", v.State}, {"Reason", v.Reason},
		{"CMP", cmp}, {"CMP Mode", mode}, {"Destination", v.Destination}})
	p.WriteByte('\n')
	lines := append(trafficLines(form, &v.LTMTraffic), []string{"Evicted Connections", "0"}, []string{"Slow Connections Killed", "0"})
	for i := range lines {
		lines[i] = append(lines[i], "0", "-")
	}
	for _, l := range [][2]string{{"Min Conn Duration/msec", n(v.MinDuration)}, {"Max Conn Duration/msec", n(v.MaxDuration)},
		{"Mean Conn Duration/msec", n(v.MeanDuration)}, {"Total Requests", "0"}} {
		lines = append(lines, []string{l[0], "-", "-", l[1]})
	}
	p.table([]int{endFirst, endSecond, endThird}, []string{"Traffic", "ClientSide", "Ephemeral", "General"}, lines)
	p.WriteByte('\n')
	lines = [][]string{{"Status", synCookieStatus}}
	for _, label := range []string{"Hardware SYN Cookie Instances", "Software SYN Cookie Instances", "Current SYN Cache", "SYN Cache Overflow",
		"Total Software", "Total Software Accepted", "Total Software Rejected", "Total Hardware", "Total Hardware Accepted"} {
		lines = append(lines, []string{label, "0"})
	}
	p.table([]int{endAlone}, []string{"SYN Cookies"}, lines)
	p.WriteByte('\n')
	p.table([]int{endAlone}, []string{"CPU Usage Ratio (%)"}, [][]string{{"Last 5 Seconds", "0"}, {"Last 1 Minute", "0"}, {"Last 5 Minutes", "0"}})
	_, err := io.WriteString(w, p.String())
	return err
}

// synCookieStatus is said of every server: a router has no use for SYN cookies.
const synCookieStatus = "not-activated"

// cmpWords are the words for a setting that changes nothing here.
func cmpWords(enabled bool) (state, mode string) {
	if enabled {
		return "enabled", "all-cpus"
	}
	return "disabled", "disabled"
}

// virtualFields are the fields in the order of their names, which are those of
// BIG-IP's statistics.
func virtualFields(form *tmshForm, v *control.LTMVirtual) []field {
	n := form.number
	cmp, mode := cmpWords(v.CMP)
	out := sideFields(form, "clientside", &v.LTMTraffic)
	out = append(out, field{"cmp-enable-mode", mode}, field{"cmp-enabled", cmp},
		field{"cs-max-conn-dur", n(v.MaxDuration)}, field{"cs-mean-conn-dur", n(v.MeanDuration)}, field{"cs-min-conn-dur", n(v.MinDuration)},
		field{"destination", v.Destination})
	out = append(out, sideFields(form, "ephemeral", &control.LTMTraffic{})...)
	out = append(out, field{"five-min-avg-usage-ratio", "0"}, field{"five-sec-avg-usage-ratio", "0"},
		field{"name", v.Name}, field{"one-min-avg-usage-ratio", "0"},
		field{"status.availability-state", v.Availability}, field{"status.enabled-state", v.State}, field{"status.status-reason", v.Reason},
		field{"syncookie-status", synCookieStatus})
	for _, name := range []string{"accepts", "hw-accepts", "hw-syncookies", "hwsyncookie-instance", "rejects",
		"swsyncookie-instance", "syncache-curr", "syncache-over", "syncookies"} {
		out = append(out, field{"syncookie." + name, "0"})
	}
	return append(out, field{"tot-requests", "0"})
}

// sideFields are the fields of a side of a virtual server: beside those of
// trafficFields two that are never counted.
func sideFields(form *tmshForm, side string, t *control.LTMTraffic) (out []field) {
	for _, f := range trafficFields(form, side, t) {
		switch f.name {
		case side + ".max-conns":
			out = append(out, field{side + ".evicted-conns", "0"})
		case side + ".tot-conns":
			out = append(out, field{side + ".slow-killed", "0"})
		}
		out = append(out, f)
	}
	return out
}

func natPage(w io.Writer, form *tmshForm, n *control.LTMNAT) error {
	if form.fieldFmt {
		return writeFields(w, "ltm nat", n.Name, append([]field{{"name", n.Name}, {"originating-address", n.Originating}},
			append(trafficFields(form, "serverside", &n.LTMTraffic), field{"translation-address", n.Translation})...))
	}
	p := &page{}
	p.title("Ltm::NAT", n.Name)
	p.facts("Addresses", [][2]string{{"Originating", n.Originating}, {"Translation", n.Translation}})
	return trafficPage(w, p, form, "ServerSide", &n.LTMTraffic)
}

func snatPage(w io.Writer, form *tmshForm, s *control.LTMSNAT) error {
	translation := "automap"
	if !s.Automap {
		translation = strings.Join(s.Translation, ", ")
	}
	if form.fieldFmt {
		return writeFields(w, "ltm snat", s.Name, append(trafficFields(form, "clientside", &s.LTMTraffic),
			field{"name", s.Name}, field{"origins", strings.Join(s.Origins, " ")}, field{"translation", strings.ReplaceAll(translation, ",", "")}))
	}
	p := &page{}
	p.title("Ltm::SNAT", s.Name)
	p.facts("Addresses", [][2]string{{"Origins", strings.Join(s.Origins, ", ")}, {"Translation", translation}})
	return trafficPage(w, p, form, "ClientSide", &s.LTMTraffic)
}

// trafficPage ends a page with the counters of one side.
func trafficPage(w io.Writer, p *page, form *tmshForm, side string, t *control.LTMTraffic) error {
	p.WriteByte('\n')
	p.table([]int{endFirst}, []string{"Traffic", side}, trafficLines(form, t))
	_, err := io.WriteString(w, p.String())
	return err
}
