package ipsec

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"net/netip"
	"slices"
)

// manualID says whether two manual SAs are the same, without keeping keys.
type manualID struct {
	name                string
	source, destination netip.Addr
	outbound, transport bool
	spi                 uint32
	suite               Suite
	keys                [sha256.Size]byte
}

func (m *ManualSA) id(c *SAConfig) manualID {
	h := sha256.New()
	h.Write(m.Keys.Encrypt)
	h.Write(m.Keys.Auth) // the lengths are the suite's
	id := manualID{
		name: m.Name, source: m.Source, destination: m.Destination, outbound: c.Outbound,
		transport: c.Mode == Transport, spi: m.SPI, suite: m.Suite,
	}
	h.Sum(id.keys[:0])
	return id
}

func (p *Policies) isManual(policy string) bool {
	return slices.ContainsFunc(p.manual, func(m ManualSA) bool { return m.Policy == policy })
}

// protected are the selectors of a policy.
func (p *Policies) protected(policy string) (out []*Selector) {
	for _, s := range p.selectors {
		if s.Protects != nil && s.Policy == policy {
			out = append(out, s)
		}
	}
	return out
}

// Apply exchanges the policies in one step. SAs of selectors that say the same
// as before, between the same ends, stay, and so do manual SAs: their numbers
// go on. gone are the others: they are removed and wiped, and IKE tells the
// peer. After an error nothing has changed. p must be new: it belongs to one
// database.
func (db *Database) Apply(p *Policies, now int64) (gone []*SA, err error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	old := db.policies.Load()
	kept := map[manualID]*SA{}
	for sa := range db.all {
		if sa.manual != nil {
			kept[*sa.manual] = sa
		}
	}
	manual, err := db.makeManual(p, kept, now)
	if err != nil {
		return nil, err
	}
	stays := map[string]bool{}
	for _, s := range p.selectors {
		o := old.byName[s.Name]
		if o == nil {
			continue
		}
		s.tally = o.tally // what it has counted is the name's, whatever it says now
		if s.same(o) {
			s.bundle, stays[s.Name] = o.bundle, true
		}
	}
	for sa := range db.all {
		if sa.manual == nil && stays[sa.selectors[0]] || slices.Contains(manual, sa) {
			continue
		}
		gone = append(gone, sa)
	}
	for _, sa := range gone {
		db.drop(sa) // from the bundles that are the old selectors' and the new ones'
	}
	db.attach(p, old, manual)
	db.policies.Store(p)
	for _, o := range old.selectors {
		if o.bundle != nil && !stays[o.Name] {
			o.bundle.end(&db.held)
		}
	}
	slices.SortFunc(gone, func(a, b *SA) int { return cmp.Compare(a.SPI, b.SPI) })
	return gone, nil
}

// same reports whether the SAs of o are good for s.
func (s *Selector) same(o *Selector) bool {
	return s.Protects != nil && o.Protects != nil && s.pair == o.pair &&
		s.Protects.Local == o.Protects.Local && s.Protects.Remote == o.Protects.Remote &&
		(s.Protects.Mode == Transport) == (o.Protects.Mode == Transport)
}

// makeManual finds or makes p's manual SAs.
func (db *Database) makeManual(p *Policies, kept map[manualID]*SA, now int64) (all []*SA, err error) {
	var faults []error
	var fresh []*SA
	for i := range p.manual {
		m := &p.manual[i]
		c := m.config(p.policies[m.Policy], nil)
		id := m.id(&c)
		sa := kept[id]
		if sa == nil {
			made, err := db.makeOver(c, kept, now)
			if err != nil {
				faults = append(faults, err)
				continue
			}
			sa = made
			sa.manual = &id
			fresh = append(fresh, sa)
		}
		all = append(all, sa)
	}
	if len(faults) > 0 {
		for _, sa := range fresh {
			sa.Wipe()
		}
		return nil, errors.Join(faults...)
	}
	return all, nil
}

// makeOver makes a manual SA, if need be in the place of another one that the
// new configuration does not have.
func (db *Database) makeOver(c SAConfig, kept map[manualID]*SA, now int64) (*SA, error) {
	if !c.Outbound {
		for _, sa := range kept {
			if sa.SPI == c.SPI && sa.Local == c.Local {
				return NewSA(c, now)
			}
		}
	}
	return db.make(c, now)
}

// attach puts manual SAs behind their policies' selectors, and labels on all.
func (db *Database) attach(p, old *Policies, manual []*SA) {
	for i, sa := range manual {
		var scope []Pair
		own := p.protected(p.manual[i].Policy)
		sa.selectors = sa.selectors[:0:0]
		for _, s := range old.selectors {
			if s.bundle != nil {
				s.bundle.remove(sa)
			}
		}
		for _, s := range own {
			scope = append(scope, s.pair)
			sa.selectors = append(sa.selectors, s.Name)
			if sa.Outbound {
				s.bundle.remove(sa)
				s.bundle.add(sa)
			}
		}
		sa.setScope(scope)
		sa.ids = &db.ids
		if !db.all[sa] {
			db.insert(sa)
		}
	}
	for sa := range db.all {
		for _, name := range sa.selectors {
			sa.label.Store(uint32(p.Label(p.byName[name].Policy)))
		}
	}
}
