package inside

import (
	"fmt"
	"io"
	"net/netip"
	"testing"
	"time"

	"spigate/netstack/flow"
	"spigate/netstack/frame"
	"spigate/tests/bench/report"
)

// inCase is one measurement inside this process. A new one is a new line in
// cases; the first is what the others are compared with.
type inCase struct {
	name string
	run  func(b *testing.B) // one turn is one batch of frame.Batch packets
}

// slowName is the case that is not of the fast path, and so may allocate.
const slowName = "whole router, slow path, UDP 4500"

var cases = []inCase{
	{"flow table, ESP hit", flowHit(frame.ProtoESP)},
	{"flow table, UDP hit", flowHit(frame.ProtoUDP)},
	{"flow table, TCP hit", flowHit(frame.ProtoTCP)},
	{"flow table, ICMP echo hit", flowHit(frame.ProtoICMP)},
	{"flow table, miss", flowMiss},
	{slowName, slowPath},
	{"virtual servers, who of 10 admits", matchAmong(10)},
	{"virtual servers, who of 1,000 admits", matchAmong(1000)},
	{"virtual servers, who of 100,000 admits", matchAmong(100_000)},
}

// inProcess measures every case once in each round, and prints the medians.
func inProcess(rounds int, out io.Writer) {
	ns, allocs := make([][]float64, len(cases)), make([]int64, len(cases))
	for range rounds {
		for i, c := range cases {
			r := testing.Benchmark(c.run)
			allocs[i] = r.AllocsPerOp()
			if r.N != 0 { // 0: the case failed
				ns[i] = append(ns[i], float64(r.T.Nanoseconds())/float64(r.N)/frame.Batch)
			}
		}
	}
	t := report.Table{Head: []string{"in process, batches of 64, 100 byte packets", "ns/packet", "allocs/batch", "ratio"}}
	for i, c := range cases {
		if len(ns[i]) < rounds {
			t.Row(c.name, "failed", "", "")
			continue
		}
		m := report.Median(ns[i])
		t.Row(c.name, fmt.Sprintf("%.0f", m), fmt.Sprint(allocs[i]), report.Ratio(m, report.Median(ns[0])))
	}
	t.Print(out)
}

// lan and wan are the interfaces of the cases.
const (
	lan = frame.Interface(1)
	wan = frame.Interface(2)
)

func samplePacket(proto uint8) []byte {
	return packet{
		proto: proto, dstMAC: frame.MAC{2, 0, 0, 0, 0, 1}, srcMAC: frame.MAC{2, 0, 0, 0, 0, 2},
		src: netip.MustParseAddr("192.0.2.11"), dst: netip.MustParseAddr("203.0.113.254"),
		srcPort: 40000, dstPort: 9999, length: 100,
	}.build()
}

// batchOf is a batch of one frame many times over, and a function that makes
// it new again after it was rewritten.
func batchOf(b []byte) (batch []frame.Frame, renew func()) {
	for range frame.Batch {
		f := frame.Copy(b, 0)
		f.In = lan
		batch = append(batch, f)
	}
	return batch, func() {
		for i := range batch {
			copy(batch[i].Bytes(), b[:54]) // to the end of a TCP header
			batch[i].Out = 0
		}
	}
}

// flowHit forwards one established flow.
func flowHit(proto uint8) func(b *testing.B) {
	return func(b *testing.B) {
		t := flow.New(flow.Config{})
		defer t.Close()
		r := t.Reader()
		batch, renew := batchOf(samplePacket(proto))
		key, ok := flow.KeyOf(&batch[0])
		hop, okHop := t.Hop(wan, frame.Addr{203, 0, 113, 254}, frame.MAC{2}, frame.MAC{2}, 1500)
		e := flow.Entry{Key: key, Addr: frame.Addr{203, 0, 113, 3}, Port: 61000, Hop: hop, Idle: time.Hour}
		if !ok || !okHop || !t.Insert(e, t.Epoch(), 0) {
			b.Fatal("the flow was not taken")
		}
		b.ReportAllocs()
		for b.Loop() {
			renew()
			if r.Process(batch, 1) != len(batch) {
				b.Fatal("missed")
			}
		}
	}
}

// flowMiss is what a packet for the stack pays in front of it.
func flowMiss(b *testing.B) {
	t := flow.New(flow.Config{})
	defer t.Close()
	r := t.Reader()
	batch, renew := batchOf(samplePacket(frame.ProtoESP))
	b.ReportAllocs()
	for b.Loop() {
		renew()
		if r.Process(batch, 1) != 0 {
			b.Fatal("hit")
		}
	}
}
