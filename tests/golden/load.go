package golden

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/link"
)

//go:embed *.pcap
var recordings embed.FS

// The recorded conversations. README.md says who speaks in which.
const (
	IKEv1          = "ikev1-libreswan-strongswan"
	IKEv1First     = "ikev1-libreswan-strongswan-first"
	IKEv1Second    = "ikev1-libreswan-strongswan-second"
	IKEv2          = "ikev2-strongswan-iked"
	IKEv2First     = "ikev2-iked-strongswan-first"
	IKEv2Second    = "ikev2-iked-strongswan-second"
	IKEv2Libreswan = "ikev2-libreswan-libreswan"

	// What stock Linux masquerading made of two clients.
	IKEv1BaselineFirst  = "ikev1-baseline-first"
	IKEv1BaselineSecond = "ikev1-baseline-second"
	IKEv2BaselineFirst  = "ikev2-baseline-first"
	IKEv2BaselineSecond = "ikev2-baseline-second"
)

// Names returns the names of all recorded conversations.
func Names() []string {
	return []string{IKEv1, IKEv1First, IKEv1Second, IKEv2, IKEv2First, IKEv2Second, IKEv2Libreswan,
		IKEv1BaselineFirst, IKEv1BaselineSecond, IKEv2BaselineFirst, IKEv2BaselineSecond}
}

// Load returns a recorded conversation by name.
func Load(name string) (Conversation, error) {
	b, err := recordings.ReadFile(name + ".pcap")
	if err != nil {
		return Conversation{}, fmt.Errorf("golden: %w", err)
	}
	return Read(name, bytes.NewReader(b))
}

// Read makes a conversation of a pcap stream of Ethernet frames. The first IKE
// packet tells who is the client; frames that are not IKE or ESP between that
// client and its gateway are left out, ARP for one.
func Read(name string, r io.Reader) (Conversation, error) {
	in, err := link.NewPcapReader(r)
	if err != nil {
		return Conversation{}, fmt.Errorf("golden: %s: %w", name, err)
	}
	c := Conversation{Name: name}
	seen := map[string]bool{}
	var start int64
	for {
		rec, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Conversation{}, fmt.Errorf("golden: %s: %w", name, err)
		}
		s, src, dst, ok := parse(rec.Data)
		if !ok || !c.admit(&s, src, dst) || s.Kind == IKE && seen[key(&s)] {
			continue
		}
		seen[key(&s)] = true
		if len(c.Steps) == 0 {
			start = rec.At
		}
		s.At = time.Duration(rec.At - start)
		c.Steps = append(c.Steps, s)
	}
	if len(c.Steps) == 0 {
		return Conversation{}, fmt.Errorf("golden: %s: no IKE in it", name)
	}
	return c, nil
}

// admit settles who sent the step and whether it belongs here.
func (c *Conversation) admit(s *Step, src, dst netip.Addr) bool {
	if !c.Client.IsValid() {
		if s.Kind != IKE {
			return false
		}
		c.Client, c.Gateway = src, dst
	}
	switch {
	case src == c.Client && dst == c.Gateway:
		s.From = Client
	case src == c.Gateway && dst == c.Client:
		s.From = Gateway
	default:
		return false
	}
	return true
}

func key(s *Step) string { return s.From.String() + string(s.Payload) }

// parse reads one Ethernet frame; false means that it is neither IKE nor ESP.
func parse(b []byte) (s Step, src, dst netip.Addr, ok bool) {
	if len(b) < frame.HeaderLen {
		return s, src, dst, false
	}
	f := frame.Copy(b, 0)
	var p frame.Packet
	if f.EtherType() != frame.TypeIPv4 || p.Parse(f.Payload()) != drop.None {
		return s, src, dst, false
	}
	s = Step{TTL: p.TTL(), TOS: p.Bytes()[1], DF: p.DontFragment()}
	switch {
	case p.Proto == frame.ProtoESP && len(p.Transport()) >= 8:
		s.Kind, s.Payload = ESP, bytes.Clone(p.Transport())
	case p.Proto == frame.ProtoUDP && (p.SrcPort == Port || p.DstPort == Port) && len(p.UDPPayload()) >= ikeHeader:
		s.Kind, s.Payload = IKE, bytes.Clone(p.UDPPayload())
	default:
		return s, src, dst, false
	}
	return s, p.Src.Netip(), p.Dst.Netip(), true
}

const ikeHeader = 28 // RFC 7296 section 3.1
