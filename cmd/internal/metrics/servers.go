package metrics

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"spigate/cmd/internal/control"
)

// object is what admits connections, by its kind and name.
type object struct {
	kind, name string
	*control.LTMTraffic
}

func (t *text) servers(b control.Backend, m *control.Metered) {
	var all []object
	virtuals, nats, snats := b.LTMVirtuals(), b.LTMNATs(), b.LTMSNATs()
	for i := range virtuals {
		all = append(all, object{"virtual", virtuals[i].Name, &virtuals[i].LTMTraffic})
	}
	for i := range nats {
		all = append(all, object{"nat", nats[i].Name, &nats[i].LTMTraffic})
	}
	for i := range snats {
		all = append(all, object{"snat", snats[i].Name, &snats[i].LTMTraffic})
	}
	t.traffic(all)
	f := t.family("vserver_refused_total", counter, "Connections that a virtual server's own limits refused.")
	for i := range virtuals {
		f.add(virtuals[i].Limited, "vserver", virtuals[i].Name, "kind", "virtual", "cause", "connection_limit")
		f.add(virtuals[i].RateLimited, "vserver", virtuals[i].Name, "kind", "virtual", "cause", "rate_limit")
	}
	f = t.family("connections", gauge, "Connections of virtual servers, NATs and SNATs.")
	for _, n := range m.NAT {
		f.add(n.Connections, "td", strconv.Itoa(int(n.TD)))
	}
}

func (t *text) traffic(all []object) {
	f := t.family("vserver_connections", gauge, "Connections of a virtual server, NAT or SNAT.")
	for _, o := range all {
		f.add(o.Current, "vserver", o.name, "kind", o.kind)
	}
	f = t.family("vserver_connections_total", counter, "Connections that it has admitted.")
	for _, o := range all {
		f.add(o.Total, "vserver", o.name, "kind", o.kind)
	}
	f = t.family("vserver_packets_total", counter, "Packets of its connections; rx is from those that opened them.")
	for _, o := range all {
		f.add(o.PacketsIn, "vserver", o.name, "kind", o.kind, "dir", "rx")
		f.add(o.PacketsOut, "vserver", o.name, "kind", o.kind, "dir", "tx")
	}
	f = t.family("vserver_bytes_total", counter, "Bytes of the same packets, with their IP headers.")
	for _, o := range all {
		f.add(o.BitsIn/8, "vserver", o.name, "kind", o.kind, "dir", "rx")
		f.add(o.BitsOut/8, "vserver", o.name, "kind", o.kind, "dir", "tx")
	}
}

func (t *text) tunnels(b control.Backend) {
	stats := b.NetIPsecStats()
	f := t.family("tunnel_sas", gauge, "Security associations of tunnels that end here; each direction is one.")
	for i := range stats {
		f.add(stats[i].SAs, "td", strconv.Itoa(int(stats[i].TD)))
	}
	f = t.family("tunnel_packets_total", counter, "Packets that were to be sealed, opened or let through in clear, by what became of them.")
	for i := range stats {
		s := &stats[i]
		f.results(s.Out, "dir", "out", "td", strconv.Itoa(int(s.TD)))
		f.results(s.In, "dir", "in", "td", strconv.Itoa(int(s.TD)))
		f.results(s.Clear, "dir", "clear", "td", strconv.Itoa(int(s.TD)))
	}
	f = t.family("tunnel_ike_events_total", counter, "What IKE has counted.")
	for i := range stats {
		s := &stats[i]
		for _, word := range slices.Sorted(maps.Keys(s.IKE)) {
			f.add(s.IKE[word], "event", word, "td", strconv.Itoa(int(s.TD)))
		}
	}
	t.peers(b.NetIPsecPeers())
}

// results writes what became of packets, in the order of the words.
func (f *family) results(n map[string]uint64, labels ...string) {
	for _, word := range slices.Sorted(maps.Keys(n)) {
		f.add(n[word], append(labels, "result", word)...)
	}
}

// peers writes how many of a peer's ends are up. A peer that is used at several
// of our addresses has several rows, which are called NAME/ADDRESS: an address
// is no label, so they are counted.
func (t *text) peers(rows []control.NetIPsecPeer) {
	type peer struct{ name, td string }
	ends := map[peer]uint64{}
	var order []peer
	for i := range rows {
		name, _, _ := strings.Cut(rows[i].Name, "/")
		p := peer{name, strconv.Itoa(int(rows[i].TD))}
		if _, had := ends[p]; !had {
			order = append(order, p)
			ends[p] = 0
		}
		if rows[i].State == control.StateUp {
			ends[p]++
		}
	}
	f := t.family("tunnel_peer_up", gauge, "At how many of our addresses the IKE peer is up: 0 or 1, unless it is used at several.")
	for _, p := range order {
		f.add(ends[p], "peer", p.name, "td", p.td)
	}
}
