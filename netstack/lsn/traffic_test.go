package lsn

import (
	"testing"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

func TestPacketsAndBytesAreCountedByGroupAndProtocol(t *testing.T) {
	f := build(t, config(nat1))
	b := f.mustOut(udp(at(subscriber, 1), at(serverY, 53)), 0, 0) // 100 bytes
	f.mustOut(b.Tuple, 0, 1)
	f.reply(b, 0, 1, drop.None) // 50
	f.FlowActive(b.Session, true, 2, 7, 700)
	f.FlowActive(b.Session, false, 2, 3, 3000)
	f.mustOut(tcp(at(other, 1), at(serverY, 80)), frame.TCPSyn, 0)
	f.Refused(f.cfg().groups[0], b.Tuple, drop.NotSYN, 3)
	f.Refused(nil, b.Tuple, drop.NoMapping, 3)
	st := f.Stats()
	g := st.Groups[0]
	if g.Out[1] != (Volume{9, 900}) || g.In[1] != (Volume{4, 3050}) || g.Out[0] != (Volume{1, 100}) || g.In[0] != (Volume{}) {
		t.Errorf("out %v, in %v", g.Out, g.In)
	}
	if g.Subscribers != 2 || g.Sessions != [3]int{1, 1, 0} || g.Dropped[1] != 1 || st.Dropped[1] != 2 {
		t.Errorf("%+v, dropped %v", g, st.Dropped)
	}
	f.ClearStats()
	st = f.Stats()
	g = st.Groups[0]
	if g.Out != [3]Volume{} || g.In != [3]Volume{} || g.Dropped != [3]uint64{} || st.Dropped != [3]uint64{} || st.Created != [3]uint64{} {
		t.Errorf("after clearing: %+v", st)
	}
	if g.Subscribers != 2 || st.Sessions != [3]int{1, 1, 0} {
		t.Errorf("clearing took sessions away: %+v", st)
	}
	f.check()
}
