package wire

import (
	"encoding/binary"
	"net/netip"

	"spigate/cmd/internal/control"
	"spigate/configs"
	"spigate/netstack"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
	"spigate/netstack/vserver"
)

// Explain implements control.Explainer.
func (v *views) Explain(f control.Filter) (control.Explained, error) {
	in, r, err := v.interfaceOf(f)
	if err != nil {
		return control.Explained{}, err
	}
	if f.Question.Hex != "" {
		return v.explainBytes(in, r, []byte(f.Question.Hex), f.Question.Unsealed)
	}
	packet, err := probe(&f.Question)
	if err != nil {
		return control.Explained{}, err
	}
	x, err := r.Explain(netstack.Question{In: in, Packet: packet, Unsealed: f.Question.Unsealed})
	return v.explained(in, r, control.Summary(packet), &x, err)
}

// explainBytes explains a frame, which may come in by another VLAN of the same
// port than in, or a packet from its IPv4 header on, as the examples of "show
// drops" are: those may be cut, and what is missing is taken for zeros.
func (v *views) explainBytes(in frame.Interface, r *netstack.Router, b []byte, unsealed bool) (control.Explained, error) {
	if control.LooksIPv4(b) {
		b = completed(b, 0)
		x, err := r.Explain(netstack.Question{In: in, Packet: b, Unsealed: unsealed})
		return v.explained(in, r, control.Summary(b), &x, err)
	}
	if len(b) == drop.SampleLen && binary.BigEndian.Uint16(b[12:]) == frame.TypeIPv4 {
		b = completed(b, frame.HeaderLen) // a frame of just this length is such an example, rather than one that lies
	}
	x, by, err := v.chassis.ExplainFrame(netstack.FrameQuestion{In: in, Ethernet: b, Unsealed: unsealed})
	if by != 0 {
		in = by
	}
	return v.explained(in, v.chassis.RouterOf(in), control.Summary(b), &x, err)
}

// completed adds what is missing at the end of an IPv4 packet that begins at at.
func completed(b []byte, at int) []byte {
	if len(b) < at+4 {
		return b
	}
	missing := int(binary.BigEndian.Uint16(b[at+2:])) - (len(b) - at)
	return append(b, make([]byte, max(missing, 0))...)
}

// explained is the answer about a packet that came in by in.
func (v *views) explained(in frame.Interface, r *netstack.Router, summary string, x *netstack.Explanation, err error) (control.Explained, error) {
	if err != nil {
		return control.Explained{}, &control.Error{Message: err.Error(), Code: control.CodeBadRequest}
	}
	row := control.Explained{In: v.chassis.InterfaceName(in), TD: r.Domain(), Packet: summary, Fate: v.fate(r, &x.Fate)}
	c := v.config.Load()
	for i := range x.Findings {
		row.Steps = append(row.Steps, explainStep(c, r.Domain(), &x.Findings[i]))
	}
	return row, nil
}

// interfaceOf finds the VLAN or tunnel that a question names.
func (v *views) interfaceOf(f control.Filter) (frame.Interface, *netstack.Router, error) {
	var known []string
	for i := frame.Interface(1); i != 0; i++ {
		name, r := v.chassis.InterfaceName(i), v.chassis.RouterOf(i)
		if r == nil || f.TD != nil && *f.TD != r.Domain() {
			continue
		}
		if known = append(known, name); name == f.Question.In {
			return i, r, nil
		}
	}
	kind := "VLAN or tunnel"
	if f.TD != nil {
		kind += " of this traffic domain"
	}
	return 0, nil, control.NotFound(kind, f.Question.In, known...)
}

// probe makes the packet that is asked about.
func probe(q *control.Question) ([]byte, error) {
	f := q.Frame
	p := netstack.Probe{
		Proto: f.Protocol, TCPFlags: uint8(q.Flags), Answer: f.Reply, ID: f.ICMPID, SPI: uint32(f.SPI), TTL: q.TTL, DF: q.DF, Payload: []byte(q.Payload),
		Src: frame.Endpoint{Addr: addr(f.SourceIP), Port: f.SourcePort}, Dst: frame.Endpoint{Addr: addr(f.DestIP), Port: f.DestPort},
	}
	switch {
	case f.Protocol == frame.ProtoTCP && q.Flags == 0:
		p.TCPFlags = frame.TCPSyn
	case f.Protocol != frame.ProtoTCP && q.Flags != 0:
		return nil, &control.Error{Message: "only TCP has flags", Code: control.CodeBadRequest}
	}
	if bare := len(p.Packet()); q.Size > 0 && int(q.Size) > bare {
		p.Payload = append(p.Payload, make([]byte, int(q.Size)-bare)...)
	}
	return p.Packet(), nil
}

func explainStep(c *configs.Config, domain uint16, f *netstack.Finding) control.ExplainStep {
	return control.ExplainStep{
		Hook: f.Hook, Step: f.Step, Says: f.Says, Rule: f.Rule, Verdict: f.Verdict.String(), Decided: explainObject(c, domain, f.Of),
	}
}

// explainObject tells where an object stands in the configuration.
func explainObject(c *configs.Config, domain uint16, of netstack.Object) *control.ExplainObject {
	path := objectPath(c, domain, of)
	if path == nil {
		return nil
	}
	return &control.ExplainObject{Table: configs.Table(path...), Name: of.Name, File: c.File, Line: c.Places.Line(path...)}
}

// objectPath is the table that defines an object, nil if none does.
func objectPath(c *configs.Config, domain uint16, of netstack.Object) []string {
	switch of.Kind {
	case vserver.KindServer.String():
		return []string{"ltm", "virtual", of.Name}
	case vserver.KindNAT.String():
		return []string{"ltm", "nat", of.Name}
	case vserver.KindSNAT.String():
		return []string{"ltm", "snat", of.Name}
	case vserver.KindGroup.String():
		return []string{"lsn", "group", of.Name}
	case netstack.ObjectALGProfile:
		return []string{"ipsecalg", "profile", of.Name}
	case netstack.ObjectVLAN:
		return []string{"vlan", of.Name}
	case netstack.ObjectTunnel:
		return []string{"net", "tunnel", of.Name}
	case netstack.ObjectSelector:
		path := []string{"net", "ipsec", "selector", of.Name}
		if c.Places.Line(path...) == 0 { // that of a tunnel without any carries everything
			return []string{"net", "tunnel", of.Name}
		}
		return path
	case netstack.ObjectRoute:
		for i := range c.Routes {
			if r := &c.Routes[i]; r.Domain() == domain && r.Prefix.String() == of.Name {
				return []string{"route", r.Name}
			}
		}
	}
	return nil
}

// fate is how the way of a packet ends.
func (v *views) fate(r *netstack.Router, f *netstack.Fate) control.ExplainFate {
	out := control.ExplainFate{
		End: f.End.String(), Told: f.Told, SourceIP: f.Src.Addr.Netip(), SourcePort: f.Src.Port, DestIP: f.Dst.Addr.Netip(), DestPort: f.Dst.Port,
		Depends: f.Depends, Selector: f.Selector, SPI: control.SPI(f.SPI), Admits: f.Admits,
	}
	if !f.To.Addr.IsZero() {
		out.To = f.To.Addr.String()
		if f.To.Port != 0 {
			out.To = netip.AddrPortFrom(f.To.Addr.Netip(), f.To.Port).String()
		}
	}
	switch f.End {
	case netstack.EndForwarded, netstack.EndSealed:
		out.Out, out.NextHop, out.NextHopKnown = v.chassis.InterfaceName(f.Out), control.Addr{Addr: f.Next.Netip()}, f.Known
	case netstack.EndOpened:
		out.Label = v.chassis.InterfaceName(f.Label)
	case netstack.EndDropped:
		explainReason(r, f, &out)
	}
	if f.Drawn != nil {
		out.Drawn = &control.ExplainDrawn{FirstPort: f.Drawn.First, LastPort: f.Drawn.Last}
		for _, a := range f.Drawn.Addresses {
			out.Drawn.Addresses = append(out.Drawn.Addresses, a.Netip())
		}
	}
	return out
}

// explainReason tells what the reason of a drop means, and what to do.
func explainReason(r *netstack.Router, f *netstack.Fate, out *control.ExplainFate) {
	if f.Reason != drop.None {
		in := f.Reason.Info()
		out.Reason, out.Means, out.Do = &in.Word, in.Means, in.Do
		return
	}
	for _, s := range r.StackDrops() {
		if s.Word == f.Stack {
			out.Reason, out.Means, out.Do = &s.Word, s.Means, s.Do
		}
	}
}
