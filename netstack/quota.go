package netstack

import (
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// espQuota counts ESP sessions as UDP sessions of their subscriber and group
// (R37). It is asked with a lock of the ALG held: the NAT never calls the ALG
// with one of its own.
type espQuota struct{ r *Router }

func (q espQuota) Take(inside frame.Addr) drop.Reason { return q.r.lsn.TakeESP(inside) }

func (q espQuota) Give(inside frame.Addr) { q.r.lsn.GiveESP(inside) }
