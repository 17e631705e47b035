package golden_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/tests/golden"
)

func load(t *testing.T, name string) golden.Conversation {
	t.Helper()
	c, err := golden.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The figures are those of the recordings' own text dumps.
func TestEachRecordingHoldsWhatItIsSaidToHold(t *testing.T) {
	type figures struct{ ClientIKE, GatewayIKE, ClientESP, GatewayESP, ClientSPIs, GatewaySPIs int }
	want := map[string]figures{
		golden.IKEv1:               {22, 17, 9, 9, 3, 3},
		golden.IKEv1First:          {9, 9, 9, 9, 2, 2},
		golden.IKEv1Second:         {8, 8, 6, 6, 2, 2},
		golden.IKEv2:               {7, 7, 9, 9, 2, 2},
		golden.IKEv2First:          {6, 6, 9, 9, 2, 2},
		golden.IKEv2Second:         {6, 6, 6, 6, 2, 2},
		golden.IKEv2Libreswan:      {4, 4, 6, 6, 2, 2},
		golden.IKEv1BaselineFirst:  {5, 4, 9, 12, 1, 2},
		golden.IKEv1BaselineSecond: {5, 4, 3, 0, 1, 0},
		golden.IKEv2BaselineFirst:  {2, 2, 9, 12, 1, 2},
		golden.IKEv2BaselineSecond: {2, 2, 6, 0, 1, 0},
	}
	got := map[string]figures{}
	for _, n := range golden.Names() {
		c := load(t, n)
		got[n] = figures{
			c.Count(golden.Client, golden.IKE), c.Count(golden.Gateway, golden.IKE),
			c.Count(golden.Client, golden.ESP), c.Count(golden.Gateway, golden.ESP),
			len(c.SPIs(golden.Client)), len(c.SPIs(golden.Gateway)),
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error("want(-) got(+)\n" + d)
	}
}

func TestTheFirstStepOpensAnIKESession(t *testing.T) {
	for _, n := range golden.Names() {
		s := load(t, n).Steps[0]
		x := s.Exchange()
		if s.From != golden.Client || s.Kind != golden.IKE || s.MessageID() != 0 ||
			x != golden.ExchangeIdentity && x != golden.ExchangeInit {
			t.Errorf("%s starts with %v", n, &s)
		}
	}
}

func TestRebasedPacketsKeepEveryPayloadByte(t *testing.T) {
	client, gateway := netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("203.0.113.254")
	c := load(t, golden.IKEv1)
	moved := c.Rebase(client, gateway)
	for i, s := range c.Steps {
		var p frame.Packet
		if r := p.Parse(moved.Packet(i)); r != drop.None {
			t.Fatalf("step %d: %v", i, r)
		}
		src, dst := client, gateway
		if s.From == golden.Gateway {
			src, dst = dst, src
		}
		payload := p.Transport()
		if s.Kind == golden.IKE {
			payload = p.UDPPayload()
		}
		if p.Src.Netip() != src || p.Dst.Netip() != dst || !bytes.Equal(payload, s.Payload) {
			t.Errorf("step %d %v: %v > %v, payload equal %v", i, &s, p.Src, p.Dst, bytes.Equal(payload, s.Payload))
		}
	}
	if c.Client == client {
		t.Error("Rebase changed its receiver")
	}
}

func TestPacketsHaveRightChecksums(t *testing.T) {
	c := load(t, golden.IKEv2First)
	for i, s := range c.Steps {
		ip := header.IPv4(c.Packet(i))
		if !ip.IsChecksumValid() {
			t.Errorf("step %d: IP checksum", i)
		}
		if s.Kind == golden.IKE && !header.UDP(ip.Payload()).IsChecksumValid(
			ip.SourceAddress(), ip.DestinationAddress(), payloadSum(ip.Payload()[header.UDPMinimumSize:])) {
			t.Errorf("step %d: UDP checksum", i)
		}
	}
}

// payloadSum is the plain ones' complement sum of RFC 1071, written out here
// so that the test does not lean on what it tests.
func payloadSum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		w := uint32(b[i]) << 8
		if i+1 < len(b) {
			w |= uint32(b[i+1])
		}
		sum += w
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

func TestFramesCarryThePacket(t *testing.T) {
	c := load(t, golden.IKEv2First)
	src, dst := frame.MAC{2, 0, 0, 0, 0, 1}, frame.MAC{2, 0, 0, 0, 0, 2}
	f := frame.Copy(c.Frame(0, src, dst), 0)
	if f.Src() != src || f.Dst() != dst || f.EtherType() != frame.TypeIPv4 || !bytes.Equal(f.Payload(), c.Packet(0)) {
		t.Errorf("frame %x", f.Bytes())
	}
}

func TestRepeatAddsOnlyESP(t *testing.T) {
	c := load(t, golden.IKEv1First)
	r := c.Repeat(2)
	if got, want := len(r.Steps), len(c.Steps)+2*18; got != want {
		t.Fatalf("%d steps, want %d", got, want)
	}
	for i := len(c.Steps); i < len(r.Steps); i++ {
		if r.Steps[i].Kind != golden.ESP {
			t.Errorf("step %d is %v", i, &r.Steps[i])
		}
	}
}

func TestARetransmissionInTheRecordingIsOneStep(t *testing.T) {
	c := load(t, golden.IKEv2Libreswan)
	n := 0
	for _, s := range c.Steps {
		if s.Exchange() == golden.ExchangeAuth {
			n++
		}
	}
	if n != 2 { // the recording has four: both sides sent theirs twice
		t.Errorf("%d IKE_AUTH steps, want 2", n)
	}
}

// The recorded baseline: masquerading gave the second client's inbound ESP to
// the first client.
func TestRecordedMasqueradeDeliversToTheWrongClient(t *testing.T) {
	for _, v := range [][2]string{
		{golden.IKEv1BaselineFirst, golden.IKEv1BaselineSecond},
		{golden.IKEv2BaselineFirst, golden.IKEv2BaselineSecond},
	} {
		first, second := load(t, v[0]), load(t, v[1])
		if n := second.Count(golden.Gateway, golden.ESP); n != 0 {
			t.Errorf("%s: %d ESP packets reached the second client", v[1], n)
		}
		in, out := first.SPIs(golden.Gateway), first.SPIs(golden.Client)
		if len(in) != 2 || len(out) != 1 {
			t.Errorf("%s: %d inbound SPIs for %d outbound", v[0], len(in), len(out))
		}
	}
}

func TestBrokenPcapIsAnError(t *testing.T) {
	whole := pcapOf(load(t, golden.IKEv2).Frame(0, frame.MAC{}, frame.MAC{}))
	huge := bytes.Clone(whole)
	binary.LittleEndian.PutUint32(huge[24+8:], 1<<31)
	big := bytes.Clone(whole)
	big[0] = 0
	raw := bytes.Clone(whole)
	raw[20] = 101
	for name, b := range map[string][]byte{
		"empty file":           {},
		"cut header":           whole[:20],
		"nothing but a header": whole[:24],
		"cut record header":    whole[:30],
		"cut record":           whole[:len(whole)-1],
		"length that lies":     huge,
		"unknown magic":        big,
		"not Ethernet":         raw,
	} {
		if _, err := golden.Read("x", bytes.NewReader(b)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := golden.Read("x", bytes.NewReader(whole)); err != nil {
		t.Errorf("the whole file: %v", err)
	}
	if _, err := golden.Load("no such recording"); err == nil {
		t.Error("unknown name: no error")
	}
}

func pcapOf(frames ...[]byte) []byte {
	var b []byte
	for _, w := range []uint32{0xa1b2c3d4, 4<<16 | 2, 0, 0, 1 << 18, 1} {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	for _, f := range frames {
		for _, w := range []uint32{0, 0, uint32(len(f)), uint32(len(f))} {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
		b = append(b, f...)
	}
	return b
}

func FuzzRead(f *testing.F) {
	for _, n := range []string{golden.IKEv1, golden.IKEv2BaselineSecond} {
		c, err := golden.Load(n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(pcapOf(c.Frame(0, frame.MAC{}, frame.MAC{}), c.Frame(1, frame.MAC{}, frame.MAC{}), c.Frame(len(c.Steps)-1, frame.MAC{}, frame.MAC{})))
	}
	f.Add(pcapOf([]byte("short")))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := golden.Read("fuzz", bytes.NewReader(b))
		if err != nil {
			return
		}
		if s := c.Steps[0]; s.From != golden.Client || s.Kind != golden.IKE {
			t.Errorf("first step %v", &s)
		}
		for i := range c.Steps {
			_ = c.Steps[i].String()
			if len(c.Packet(i)) < len(c.Steps[i].Payload) {
				t.Errorf("step %d lost bytes", i)
			}
		}
	})
}
