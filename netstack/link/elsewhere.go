package link

import (
	"sync/atomic"

	"spigate/netstack/frame"
)

// elsewhere is what passed through an interface without any port of ours: the
// kernel, or a chip, forwarded it by itself.
type elsewhere struct {
	rxFrames, rxBytes atomic.Uint64
	txFrames, txBytes atomic.Uint64
}

// Elsewhere counts packets that came in on one interface and left on another
// without passing a port: bytes are those of their IPv4 datagrams, to which the
// counters add the frames' headers. It is safe for concurrent use.
func (f *Fabric) Elsewhere(in, out frame.Interface, packets, bytes uint64) {
	bytes += packets * frame.HeaderLen
	if i := f.interfaces[in].Load(); i != nil {
		i.elsewhere.rxFrames.Add(packets)
		i.elsewhere.rxBytes.Add(bytes)
	}
	if i := f.interfaces[out].Load(); i != nil {
		i.elsewhere.txFrames.Add(packets)
		i.elsewhere.txBytes.Add(bytes)
	}
}

// addTo adds what passed elsewhere to what passed here.
func (e *elsewhere) addTo(c *InterfaceCounters) {
	c.Offloaded = e.rxFrames.Load()
	c.RxFrames += c.Offloaded
	c.RxBytes += e.rxBytes.Load()
	c.TxFrames += e.txFrames.Load()
	c.TxBytes += e.txBytes.Load()
}
