package control

import (
	"encoding/json"
	"net/http"
	"slices"
)

// Settings is the part of a Backend that shows the running configuration, each
// list in the order of the file. The server picks out a name by itself.
type Settings interface {
	IPsecProfiles() []IPsecProfile
	LSNClients() []LSNClient
	LSNPools() []LSNPool
	LSNGroups() []LSNGroup
	LSNAppsProfiles() []LSNAppsProfile
}

// Words is a list that is [] in JSON when it is empty, never null.
type Words []string

// MarshalJSON implements json.Marshaler.
func (w Words) MarshalJSON() ([]byte, error) {
	if w == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]string(w))
}

// IPsecProfile is a row of "show ipsecalg profile". The names are those of the
// configuration file.
type IPsecProfile struct {
	Name               string  `json:"name"`
	IKESessionTimeout  Seconds `json:"ike_session_timeout_seconds"`
	ESPSessionTimeout  Seconds `json:"esp_session_timeout_seconds"`
	ESPGateTimeout     Seconds `json:"esp_gate_timeout_seconds"`
	IKEHalfOpenTimeout Seconds `json:"ike_half_open_timeout_seconds"`
	ConnFailover       bool    `json:"connfailover"`
	BlockMode          string  `json:"block_mode"`
	LateBindingOut     bool    `json:"late_binding_out"`
	LateBindingIn      bool    `json:"late_binding_in"`
	IKEKeepWithESP     bool    `json:"ike_keep_with_esp"`
	SameClientParallel bool    `json:"same_client_parallel"`
	IKEPortPreserve    bool    `json:"ike_port_preserve"`
	IKECookieDemux     bool    `json:"ike_cookie_demux"`
	GateSeqMax         uint32  `json:"gate_seq_max"` // 0: off
	Groups             Words   `json:"groups"`       // that use it
}

// LSNClient is a row of "show lsn client".
type LSNClient struct {
	Name     string `json:"name"`
	TD       uint16 `json:"td"`
	Networks Words  `json:"networks"`
	Groups   Words  `json:"groups"`
}

// LSNPool is a row of "show lsn pool": what it has and what of it is in use.
type LSNPool struct {
	Name         string `json:"name"`
	TD           uint16 `json:"td"`        // that of the clients whose groups use it
	Addresses    Words  `json:"addresses"` // FIRST-LAST, or one address
	AddressCount uint64 `json:"address_count"`
	Ports        uint64 `json:"ports"` // of one protocol, on all addresses
	UsedTCP      uint64 `json:"used_tcp_ports"`
	UsedUDP      uint64 `json:"used_udp_ports"`
	UsedICMP     uint64 `json:"used_icmp_ids"`
	Held         uint64 `json:"held_ports"`       // of all protocols: they wait before they are given again (R25)
	Blocks       uint64 `json:"port_blocks"`      // 0: ports are given one by one
	UsedBlocks   uint64 `json:"used_port_blocks"` // that belong to a subscriber
	Groups       Words  `json:"groups"`
}

// LSNGroup is a row of "show lsn group".
type LSNGroup struct {
	Name              string  `json:"name"`
	TD                uint16  `json:"td"` // that of its client
	Client            string  `json:"client"`
	Pools             Words   `json:"pools"`
	AppsProfiles      Words   `json:"apps_profiles"`
	TransportProfiles Words   `json:"transport_profiles"`
	IPsecALGProfile   *string `json:"ipsecalg_profile"` // null: no ALG
}

// LSNAppsProfile is a row of "show lsn appsprofile".
type LSNAppsProfile struct {
	Name      string  `json:"name"`
	TD        *uint16 `json:"td"` // null: the client's
	Protocol  string  `json:"protocol"`
	IPPooling string  `json:"ip_pooling"`
	Mapping   string  `json:"mapping"`
	Filtering string  `json:"filtering"`
	Ports     Words   `json:"ports"` // destination ports, N or FIRST-LAST; none is all
	Groups    Words   `json:"groups"`
}

func (p IPsecProfile) passes(f *Filter) bool   { return f.named(p.Name) }
func (c LSNClient) passes(f *Filter) bool      { return f.named(c.Name) && f.in(c.TD) }
func (p LSNPool) passes(f *Filter) bool        { return f.named(p.Name) && f.in(p.TD) }
func (g LSNGroup) passes(f *Filter) bool       { return f.named(g.Name) && f.in(g.TD) }
func (p LSNAppsProfile) passes(f *Filter) bool { return f.named(p.Name) }

// object is a row with a name.
type object interface {
	row
	label() string
}

func (p IPsecProfile) label() string   { return p.Name }
func (c LSNClient) label() string      { return c.Name }
func (p LSNPool) label() string        { return p.Name }
func (g LSNGroup) label() string       { return g.Name }
func (p LSNAppsProfile) label() string { return p.Name }

func (f *Filter) named(name string) bool { return f.Name == "" || f.Name == name }

// FiltersOfObjects are the filters of the views of named objects that are in a
// traffic domain, beside the name: clients, pools and groups.
func FiltersOfObjects() []string { return []string{ByTD} }

// setting answers a view of named objects. kind is the noun: "lsn pool".
func setting[T object](s *Server, kind string, all func() []T, filters ...string) http.Handler {
	return s.setting(kind, objectsOf(all), append(filters, ByName))
}

func (s *Server) setting(kind string, all func() []object, filters []string) http.Handler {
	return s.handle(http.MethodGet, filters, func(f Filter, yield func(row) bool) error {
		rows := all()
		if err := checkName(kind, f, rows); err != nil {
			return err
		}
		for _, r := range rows {
			if !yield(r) {
				break
			}
		}
		return nil
	})
}

// objectsOf makes objects of rows of one kind.
func objectsOf[T object](all func() []T) func() []object {
	return func() []object {
		rows := all()
		out := make([]object, len(rows))
		for i := range rows {
			out[i] = rows[i]
		}
		return out
	}
}

// checkName refuses a name that none of the rows has which pass the filter.
func checkName(kind string, f Filter, rows []object) error {
	if f.Name == "" || slices.ContainsFunc(rows, func(r object) bool { return r.passes(&f) }) {
		return nil
	}
	var known []string
	others := f
	others.Name = ""
	for _, r := range rows {
		if r.passes(&others) {
			known = append(known, r.label())
		}
	}
	return NotFound(kind, f.Name, known...)
}
