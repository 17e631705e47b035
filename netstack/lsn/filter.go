package lsn

import "spigate/netstack/frame"

// admits reports whether a mapping's filter lets a remote endpoint in that has
// no session yet (RFC 4787 section 5). The shard's lock is held.
func (t *Table) admits(sh *inside, mslot uint32, m *mapping, r *rules, remote frame.Endpoint, now int64) bool {
	switch r.app.Filtering {
	case EIF:
		return true
	case ADF:
		if r.width == wideAddress {
			return true // only packets from the claim's one address find the mapping
		}
		if sh.findPermit(permitKey{mslot, remote.Addr}) == 0 {
			return false // no walk along the list for strangers
		}
		return sh.anyOwn(m, r, now, func(s *session) bool { return s.remote.Addr == remote.Addr })
	}
	return false // APDF: whom the subscriber sends to has a session
}

// counted tells whether the remote addresses of a mapping have to be counted:
// only where one mapping serves many of them and the filter asks for them.
func (r *rules) counted() bool { return r.app.Mapping == EIM && r.app.Filtering == ADF }

// allow and disallow keep count of a mapping's own sessions, in all and
// towards each remote address.
func (sh *inside) allow(s *session, m *mapping, r *rules) {
	m.own++
	if r.counted() {
		sh.addPermit(permitKey{s.mapping, s.remote.Addr})
	}
}

func (sh *inside) disallow(s *session, m *mapping, r *rules) {
	m.own--
	if r.counted() {
		sh.dropPermit(permitKey{s.mapping, s.remote.Addr})
	}
}
