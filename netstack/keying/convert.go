package keying

import (
	"errors"
	"fmt"
	"time"

	"spigate/netstack/ipsec"
	"spigate/netstack/ipsec/ike"
)

// grace is how much longer an SA lives in the database than in the engine,
// which repeats a delete for a minute and a half. It is there for faults.
const grace = 2 * time.Minute

// configs says what a child of IKE is for the database.
func (k *Keyer) configs(c *ike.ChildSA) (in, out ipsec.SAConfig, err error) {
	s, ok := k.deps.Database.Policies().Selector(c.Name)
	switch {
	case !ok || s.Protects == nil:
		return in, out, fmt.Errorf("no selector %q protects anything", c.Name)
	case (s.Protects.Mode == ipsec.Transport) != (c.Mode == ike.Transport):
		return in, out, fmt.Errorf("it is in %v mode, and the policy of selector %q in %v mode", c.Mode, c.Name, s.Protects.Mode)
	case !c.Local.Addr().Is4() || !c.Remote.Addr().Is4():
		return in, out, fmt.Errorf("its ends %v and %v are not IPv4 addresses", c.Local, c.Remote)
	}
	suite, err := suiteOf(c.Cipher, c.Integrity)
	if err != nil {
		return in, out, err
	}
	scope, err := scopeOf(c.LocalSelectors, c.RemoteSelectors)
	if err != nil {
		return in, out, err
	}
	if len(scope) == 1 && scope[0] == s.Pair() {
		scope = nil // all that the selector says: then its SA is found faster
	}
	r, limits := k.plan.children[c.Name], k.plan.limits[c.Name]
	if r.lifetime == 0 {
		r.lifetime = defaultLifetime
	}
	to := remote(c)
	in = ipsec.SAConfig{
		SPI: c.In, Mode: s.Protects.Mode, Local: c.Local.Addr().As4(), Remote: to.Addr, RemotePort: to.Port,
		Suite: suite, ESN: c.ESN, Window: limits.Window, Scope: scope,
		Lifetime: ipsec.Lifetime{HardTime: r.lifetime + grace, SoftBytes: limits.soft(), HardBytes: limits.Bytes},
		Keys:     ipsec.Keys{Encrypt: c.KeysIn.Cipher, Auth: c.KeysIn.Integrity},
	}
	if c.UDP {
		in.LocalPort = c.Local.Port()
	}
	out = in
	in.Follow = c.Follow
	out.SPI, out.Outbound = c.Out, true
	out.Keys = ipsec.Keys{Encrypt: c.KeysOut.Cipher, Auth: c.KeysOut.Integrity}
	return in, out, nil
}

// suiteOf translates algorithms.
func suiteOf(c ike.Cipher, i ike.Integrity) (s ipsec.Suite, err error) {
	switch c {
	case ike.AESGCM128, ike.AESGCM192, ike.AESGCM256:
		s.Cipher, s.Bits = ipsec.AESGCM, 128+64*int(c-ike.AESGCM128)
	case ike.AESCBC128, ike.AESCBC192, ike.AESCBC256:
		s.Cipher, s.Bits = ipsec.AESCBC, 128+64*int(c-ike.AESCBC128)
	case ike.NullCipher:
		s.Cipher = ipsec.Null
	default:
		return s, fmt.Errorf("%v is not known here", c)
	}
	switch i {
	case ike.NoIntegrity:
	case ike.HMACSHA256:
		s.Auth = ipsec.HMACSHA256
	case ike.HMACSHA384:
		s.Auth = ipsec.HMACSHA384
	case ike.HMACSHA512:
		s.Auth = ipsec.HMACSHA512
	default:
		return s, fmt.Errorf("%v is not known here", i)
	}
	return s, s.Check()
}

// scopeOf is what a pair carries: from each selector of ours to each of theirs,
// if they are of one protocol (RFC 7296 section 2.9).
func scopeOf(local, remote []ike.Selector) ([]ipsec.Pair, error) {
	var out []ipsec.Pair
	for _, l := range local {
		for _, r := range remote {
			if !l.From.Is4() || !r.From.Is4() || l.Protocol != r.Protocol && l.Protocol != 0 && r.Protocol != 0 {
				continue
			}
			out = append(out, ipsec.Pair{Local: rangeOf(l), Remote: rangeOf(r), Proto: max(l.Protocol, r.Protocol)})
		}
	}
	switch {
	case len(out) == 0:
		return nil, errors.New("its traffic selectors have no IPv4 traffic of one protocol in common")
	case len(out) > ipsec.MaxPairs:
		return nil, fmt.Errorf("its traffic selectors make %d pairs: there may be %d", len(out), ipsec.MaxPairs)
	}
	return out, nil
}

func rangeOf(s ike.Selector) ipsec.Range {
	return ipsec.Range{First: s.From.As4(), Last: s.To.As4(), FirstPort: s.PortFrom, LastPort: s.PortTo}
}
