package tftp

import (
	"testing"

	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

type nat struct {
	asked  []alg.Expectation
	refuse drop.Reason
}

func (n *nat) Expect(e alg.Expectation, _ int64) (frame.Endpoint, drop.Reason) {
	n.asked = append(n.asked, e)
	return frame.Endpoint{}, n.refuse
}

func packet(payload string, dir alg.Direction) *alg.Packet {
	return &alg.Packet{
		Conn: alg.Conn{Session: 7, Proto: frame.ProtoUDP, Inside: frame.Endpoint{Port: 4000}, Remote: frame.Endpoint{Port: Port}},
		Dir:  dir, IP: append(make([]byte, 28), payload...), Header: 20,
	}
}

func TestOnlyRequestsOpenAPort(t *testing.T) {
	for _, tc := range []struct {
		name, payload string
		opens         bool
	}{
		{"a read", "\x00\x01file\x00octet\x00", true},
		{"a write with options", "\x00\x02file\x00netascii\x00blksize\x001432\x00", true},
		{"data", "\x00\x03\x00\x01text", false},
		{"an error", "\x00\x05\x00\x01no\x00", false},
		{"another opcode", "\x01\x01file\x00octet\x00", false},
		{"a request without a name", "\x00\x01\x00octet\x00", false},
		{"a request without a mode", "\x00\x01file\x00", false},
		{"a mode without an end", "\x00\x01file\x00octet", false},
		{"nothing", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, n := New(), &nat{}
			if res := h.Step(packet(tc.payload, alg.In2Out), n, 0); res.Verdict != alg.Forward || res.Transport != nil {
				t.Errorf("%+v", res)
			}
			want := Stats{Strange: 1}
			if tc.opens {
				want = Stats{Opened: 1}
			}
			if h.Stats() != want {
				t.Errorf("counted %+v", h.Stats())
			}
			if opened := len(n.asked) == 1 && n.asked[0] == (alg.Expectation{Session: 7, Port: 4000}); opened != tc.opens {
				t.Errorf("asked for %+v", n.asked)
			}
		})
	}
}

func TestWhatComesInOpensNothing(t *testing.T) {
	h, n := New(), &nat{}
	h.Step(packet("\x00\x01file\x00octet\x00", alg.Out2In), n, 0)
	h.Gone(7)
	if len(n.asked) != 0 || h.Stats() != (Stats{}) {
		t.Errorf("%+v, %+v", n.asked, h.Stats())
	}
}

func TestARefusalIsCounted(t *testing.T) {
	h := New()
	h.Step(packet("\x00\x01file\x00octet\x00", alg.In2Out), &nat{refuse: drop.SessionTableFull}, 0)
	if h.Stats() != (Stats{Refused: 1}) {
		t.Errorf("%+v", h.Stats())
	}
}

func TestWhichDatagramsAreWatched(t *testing.T) {
	h := New()
	for c, want := range map[alg.Conn]bool{
		{Proto: frame.ProtoUDP, Remote: frame.Endpoint{Port: 69}}: true,
		{Proto: frame.ProtoUDP, Inside: frame.Endpoint{Port: 69}}: false,
		{Proto: frame.ProtoTCP, Remote: frame.Endpoint{Port: 69}}: false,
	} {
		if h.Watches(&c) != want {
			t.Errorf("%+v", c)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, s := range []string{"\x00\x01file\x00octet\x00", "\x00\x02\x00\x00", "\x00", "\x00\x01\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n := &nat{}
		if New().Step(packet(string(b), alg.In2Out), n, 0); len(n.asked) == 1 && (len(b) < 6 || b[0] != 0 || b[1]-1 > 1) {
			t.Errorf("%q is taken for a request", b)
		}
	})
}
