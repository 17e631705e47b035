package netstack

import (
	"spigate/alg/ftp"
	"spigate/alg/ipsec"
	"spigate/alg/tftp"
	"spigate/netstack/drop"
	"spigate/netstack/flow"
	"spigate/netstack/frag"
	"spigate/netstack/frame"
	"spigate/netstack/link"
	"spigate/netstack/lsn"
	"spigate/netstack/top"
)

// What an operator may look at. All of it is safe for concurrent use.

// Now returns the clock that every time in the tables refers to, in monotonic
// nanoseconds.
func (ch *Chassis) Now() int64 { return ch.now() }

// Drops returns the counters of our own reasons; see also StackDrops.
func (ch *Chassis) Drops() *drop.Counters { return ch.drops }

// Flows returns the fast-path table of all Routers; its owners and interfaces say
// whose a flow is.
func (ch *Chassis) Flows() *flow.Table { return ch.flows }

// Top returns what finds the busiest flows and subscribers.
func (ch *Chassis) Top() *top.Meter { return &ch.top }

// Domain returns the number of the Router's traffic domain.
func (r *Router) Domain() uint16 { return r.domain }

// LSN returns the NAT's table.
func (r *Router) LSN() *lsn.Table { return r.lsn }

// Fragments counts the datagrams whose pieces are on their way.
func (r *Router) Fragments() frag.Stats { return r.frags.Stats() }

// ALG returns the IPsec ALG.
func (r *Router) ALG() *ipsec.ALG { return r.alg }

// ICMPTranslated returns how many ICMP errors about ESP were translated, both
// ways together (R63, R74).
func (r *Router) ICMPTranslated() uint64 { return r.icmpESP.Load() }

// Counters returns what passed through each interface.
func (ch *Chassis) Counters() []link.InterfaceCounters { return ch.fabric.Counters() }

// InterfaceName returns the name of a VLAN by its number, or "".
func (ch *Chassis) InterfaceName(i frame.Interface) string { return ch.names[i] }

// FTP returns what the FTP helper has done.
func (r *Router) FTP() ftp.Stats { return r.helpers.ftp.Stats() }

// TFTP returns what the TFTP helper has done.
func (r *Router) TFTP() tftp.Stats { return r.helpers.tftp.Stats() }
