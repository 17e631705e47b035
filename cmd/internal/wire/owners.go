package wire

import (
	"iter"

	"spigate/cmd/internal/control"
	"spigate/netstack"
	"spigate/netstack/frame"
	"spigate/netstack/lsn"
)

// LSNDeterministic implements control.Owners. Where the filter names a
// subscriber or a NAT address, only its blocks are computed.
func (v *views) LSNDeterministic(f control.Filter) (iter.Seq[control.LSNDeterministic], error) {
	return walked(v, f, func(r *netstack.Router, yield func(control.LSNDeterministic) bool) (more bool) {
		more = true
		show := func(d lsn.DeterministicInfo) bool {
			more = yield(control.LSNDeterministic{
				SubscriberIP: d.Inside.Netip(), NATIP: d.NAT.Netip(), FirstPort: d.First, LastPort: d.Last,
				SubscriberTD: r.Domain(), Group: d.Group.Name, Client: d.Group.Client,
			})
			return more
		}
		switch table := r.LSN(); {
		case f.SourceIP.IsValid():
			if d, ok := table.Deterministic(addr(f.SourceIP)); ok {
				show(d)
			}
		case f.NATIP.IsValid():
			table.WalkDeterministicOn(addr(f.NATIP), show)
		default:
			table.WalkDeterministic(show)
		}
		return more
	})
}

// LSNBlocks implements control.Owners.
func (v *views) LSNBlocks(f control.Filter) (iter.Seq[control.LSNBlock], error) {
	return walked(v, f, func(r *netstack.Router, yield func(control.LSNBlock) bool) (more bool) {
		more = true
		r.LSN().WalkBlocks(func(b lsn.BlockInfo) bool {
			more = yield(control.LSNBlock{
				SubscriberIP: b.Inside.Netip(), SubscriberTD: r.Domain(), NATIP: b.NAT.Netip(), FirstPort: b.First, LastPort: b.Last,
				Mappings: uint64(b.Mappings), UsedTCP: uint64(b.Used[0]), UsedUDP: uint64(b.Used[1]), UsedICMP: uint64(b.Used[2]),
				Pool: b.Pool, Group: b.Group.Name, Client: b.Group.Client,
			})
			return more
		})
		return more
	})
}

// Who implements control.Owners.
func (v *views) Who(f control.Filter) (iter.Seq[control.Who], error) {
	known := false
	for _, r := range v.routers(f) {
		known = known || r.LSN().Owns(addr(f.NATIP))
	}
	if !known {
		return nil, control.NotFound("NAT address", f.NATIP.String())
	}
	outside := frame.Endpoint{Addr: addr(f.NATIP), Port: f.NATPort}
	return walked(v, f, func(r *netstack.Router, yield func(control.Who) bool) (more bool) {
		more = true
		r.LSN().WhoOwns(outside, r.Now(), func(o lsn.Owner) bool {
			row := owner(&o)
			row.NATIP, row.SubscriberTD = f.NATIP, r.Domain()
			more = yield(row)
			return more
		})
		return more
	})
}

func owner(o *lsn.Owner) control.Who {
	row := control.Who{
		Known: control.ByMapping, SubscriberIP: o.Inside.Addr.Netip(),
		FirstPort: o.First, LastPort: o.Last, Group: o.Group.Name,
	}
	switch o.Kind {
	case lsn.OwnedByBlock:
		row.Known = control.ByBlock
		return row
	case lsn.OwnedByArithmetic:
		row.Known = control.ByDeterministic
		return row
	case lsn.OwnedByStatic:
		row.Known = control.ByStatic
	}
	protocol := "ALL"
	if o.Proto != 0 {
		protocol = control.ProtocolName(o.Proto)
	}
	row.Protocol, row.SubscriberPort = &protocol, &o.Inside.Port
	if !o.Remote.Addr.IsZero() {
		row.DestIP = control.Addr{Addr: o.Remote.Addr.Netip()}
	}
	if o.Remote.Port != 0 {
		row.DestPort = &o.Remote.Port
	}
	return row
}
