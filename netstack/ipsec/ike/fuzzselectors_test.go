package ike

import "testing"

// FuzzTrafficSelectors reads two TS payloads, what was offered and what is
// configured: what they are narrowed to is within both, and leaves out nothing
// that both have (RFC 7296 section 2.9).
func FuzzTrafficSelectors(f *testing.F) {
	for _, x := range [][2][]Selector{
		{net4("10.0.0.0/8"), append(net4("10.1.0.0/16"), net4("192.168.0.0/24")...)},
		{append(net4("10.0.0.7/32"), net4("10.0.0.0/8")...), net4("10.0.0.0/16")},
		{{{net4("10.0.0.0/8")[0].From, net4("10.0.0.0/30")[0].To, 6, 80, 90}}, net4("0.0.0.0/0")},
		{net4("0.0.0.0/0"), {{net4("10.0.0.0/8")[0].From, net4("10.0.0.0/30")[0].To, 17, 53, 53}}},
	} {
		f.Add(encodeSelectors(x[0]), encodeSelectors(x[1]))
	}
	f.Add([]byte{1, 0, 0, 0, selectorIPv4, 0, 0, 16, 255, 255, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}, encodeSelectors(net4("10.0.0.0/8"))) // opaque ports
	f.Fuzz(func(t *testing.T, a, b []byte) {
		offered, bad := parseSelectors(a)
		configured, worse := parseSelectors(b)
		if bad != nil || worse != nil {
			return
		}
		got := narrowSelectors(offered, configured)
		if len(got) > 0 && (!subset(got, offered) || !subset(got, configured)) {
			t.Fatalf("%s and %s are narrowed to %s", selectorText(offered), selectorText(configured), selectorText(got))
		}
		if len(got) == maxSelectors {
			return // what was found behind them is left out
		}
		for _, s := range append(offered, configured...) {
			for _, point := range []Selector{
				{s.From, s.From, max(s.Protocol, 1), s.PortFrom, s.PortFrom}, {s.To, s.To, max(s.Protocol, 1), s.PortTo, s.PortTo},
			} {
				both := subset([]Selector{point}, offered) && subset([]Selector{point}, configured)
				if is := subset([]Selector{point}, got); is != both {
					t.Fatalf("%s and %s are narrowed to %s: %v is in it %v, in both %v",
						selectorText(offered), selectorText(configured), selectorText(got), point, is, both)
				}
			}
		}
	})
}
