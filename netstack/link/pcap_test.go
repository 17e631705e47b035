package link

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// capture builds a file in any of the four dialects.
func capture(order binary.AppendByteOrder, magic uint32, frames ...[]byte) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 4)
	for _, w := range []uint32{0, 0, 65535, 1} {
		b = order.AppendUint32(b, w)
	}
	for k, f := range frames {
		for _, w := range []uint32{1000 + uint32(k), 5, uint32(len(f)), uint32(len(f))} {
			b = order.AppendUint32(b, w)
		}
		b = append(b, f...)
	}
	return b
}

// readAll returns the records and the error that ended them, nil at the end.
func readAll(b []byte) ([]PcapRecord, error) {
	r, err := NewPcapReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	var out []PcapRecord
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, rec)
	}
}

func TestEveryDialectOfACaptureIsRead(t *testing.T) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		for magic, frac := range map[uint32]int64{pcapMicro: 5000, pcapNano: 5} {
			got, err := readAll(capture(order, magic, []byte("one"), nil))
			want := []PcapRecord{
				{At: 1000e9 + frac, Data: []byte("one"), Full: 3},
				{At: 1001e9 + frac, Data: []byte{}},
			}
			if d := cmp.Diff(want, got); d != "" || err != nil {
				t.Errorf("%v %#x: %v %s", order, magic, err, d)
			}
		}
	}
}

func TestABrokenCaptureIsRefusedWithItsOffset(t *testing.T) {
	good := capture(binary.LittleEndian, pcapMicro, []byte("first frame"), []byte("second"))
	second := pcapHeaderLen + pcapRecordLen + len("first frame")
	patch := func(at int, w uint32) []byte {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b[at:], w)
		return b
	}
	tests := []struct {
		name string
		file []byte
		read int
		want string
	}{
		{"empty", nil, 0, "offset 0: file header: 0 of 24 bytes"},
		{"cut in the header", good[:23], 0, "offset 0: file header: 23 of 24 bytes"},
		{"not a capture", bytes.Repeat([]byte("text"), 20), 0, "offset 0: 0x74786574 is not the start"},
		{"pcapng", patch(0, pcapNGSectionID), 0, "pcapng"},
		{"version 3", patch(4, 3), 0, "offset 4: version 3"},
		{"not Ethernet", patch(20, 101), 0, "offset 20: link type 101"},
		{"cut in a record's header", good[:second+15], 1, "offset 51: record header: 15 of 16 bytes"},
		{"cut behind a record's header", good[:second+16], 1, "offset 67: record: 0 of 6 bytes"},
		{"cut in a record", good[:len(good)-1], 1, "offset 67: record: 5 of 6 bytes"},
		{"a length that would fill memory", patch(second+8, 0xffffffff), 1, "offset 51: record of 4294967295 bytes"},
		{"a second of more than a million microseconds", patch(second+4, 1000000), 1, "offset 55: fraction"},
		{"captured more than there was", patch(second+12, 3), 1, "offset 51: 6 bytes of a frame of 3 bytes"},
		{"a frame of a gigabyte", patch(second+12, 1<<30), 1, "offset 51: 6 bytes of a frame of 1073741824"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readAll(tt.file)
			if len(got) != tt.read || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("read %d, error %v; want %d, %q", len(got), err, tt.read, tt.want)
			}
		})
	}
	if got, err := readAll(patch(second+12, 1500)); err != nil || got[1].Full != 1500 || len(got[1].Data) != 6 {
		t.Errorf("a frame that the capture cut: %v, %v", got, err)
	}
}

// pcapFiles opens a capture port on files of a temporary folder.
func pcapFiles(t *testing.T, source []byte) (d Driver, sink string) {
	t.Helper()
	dir := t.TempDir()
	c := PcapConfig{MAC: routerMAC, Sink: filepath.Join(dir, "out.pcap"), Now: func() int64 { return 1_700_000_000_123_456_789 }}
	if source != nil {
		c.Source = filepath.Join(dir, "in.pcap")
		if err := os.WriteFile(c.Source, source, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := OpenPcap(c)
	if err != nil {
		t.Fatal(err)
	}
	return d, c.Sink
}

func TestAPortOverFilesReceivesOneAndWritesTheOther(t *testing.T) {
	tagged := ether(routerMAC, hostMAC, 20, frame.TypeIPv4, ip(60))
	d, sink := pcapFiles(t, capture(binary.BigEndian, pcapMicro, tagged, tagged, tagged))
	f := NewFabric(Config{})
	p := f.AddPort("wan", d)
	i, err := p.AddInterface(1, "v", 20)
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(chan struct{})
	i.Attach(&fakeStack{do: func(*stack.PacketBuffer) { arrived <- struct{}{} }})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	for range 3 {
		<-arrived
	}
	i.Announce(natA)
	cancel() // the source is at its end; the port waits there
	wg.Wait()
	b, err := os.ReadFile(sink)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(b)
	want := []PcapRecord{{At: 1_700_000_000_123_456_789, Data: arpFrame(broadcast, 20, 1, routerMAC, natA, natA), Full: 46}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
}

func TestAPortOverABrokenFileGivesWhatIsSoundFirst(t *testing.T) {
	file := capture(binary.LittleEndian, pcapNano, make([]byte, 60), make([]byte, 60))
	d, _ := pcapFiles(t, file[:len(file)-1])
	batch := make([]frame.Frame, frame.Batch)
	if n, err := d.Read(batch); n != 1 || err != nil {
		t.Errorf("read %d, %v; want the sound frame", n, err)
	}
	for range 2 {
		if n, err := d.Read(batch); n != 0 || err == nil || !strings.Contains(err.Error(), "in.pcap: pcap: offset 116") {
			t.Errorf("read %d, %v; want the fault", n, err)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := d.Read(batch); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

func TestAPortWithoutFilesIsSilentAndForgets(t *testing.T) {
	d, err := OpenPcap(PcapConfig{MAC: routerMAC, MTU: 100})
	if err != nil {
		t.Fatal(err)
	}
	f := frame.Copy(ether(hostMAC, routerMAC, 0, frame.TypeIPv4, ip(100)), 20)
	big := frame.Copy(ether(hostMAC, routerMAC, 0, frame.TypeIPv4, ip(101)), 20)
	noRoom := frame.New(bytes.Clone(f.Bytes()), 0, f.Len(), 20)
	if n, why := d.Write([]frame.Frame{f, big}); n != 1 || why != drop.FrameTooBig {
		t.Errorf("wrote %d, %v", n, why)
	}
	if n, why := d.Write([]frame.Frame{noRoom}); n != 0 || why != drop.TxRefused {
		t.Errorf("wrote %d, %v", n, why)
	}
	if !d.Up() || d.MTU() != 100 || d.MAC() != routerMAC || d.Lost() != 0 {
		t.Error("the port is not what was asked for")
	}
	if err := errors.Join(d.Close(), d.Close()); err != nil {
		t.Error(err)
	}
	if n, why := d.Write([]frame.Frame{f}); n != 0 || why != drop.PortDown || d.Up() {
		t.Errorf("closed: wrote %d, %v", n, why)
	}
}

func TestFilesThatCannotBeOpenedAreNamed(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing", "file")
	for _, tt := range []struct {
		c    PcapConfig
		want string
	}{
		{PcapConfig{Source: missing}, "pcap source: open " + missing},
		{PcapConfig{Source: garbage}, "pcap source " + garbage + ": pcap: offset 0"},
		{PcapConfig{Sink: missing}, "pcap sink: open " + missing},
	} {
		if _, err := OpenPcap(tt.c); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: error %v, want %q", tt.c, err, tt.want)
		}
	}
}

// broken is a disk that is full.
type broken struct{ after int }

func (b *broken) Write(p []byte) (int, error) {
	if b.after--; b.after < 0 {
		return 0, errors.New("no space")
	}
	return len(p), nil
}

func TestAFullDiskIsReported(t *testing.T) {
	if _, err := NewPcapWriter(&broken{}); err == nil {
		t.Error("no error for the header")
	}
	w, err := NewPcapWriter(&broken{after: 1})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(0, []byte("x")); err == nil {
		t.Error("no error for the record")
	}
	if err := w.Write(0, make([]byte, pcapMaxRecord+1)); err == nil {
		t.Error("no error for a record that no reader would take")
	}
}

func FuzzPcap(f *testing.F) {
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, magic := range []uint32{pcapMicro, pcapNano} {
			f.Add(capture(order, magic, []byte("one"), nil, ether(routerMAC, hostMAC, 20, frame.TypeIPv4, ip(40))))
		}
	}
	f.Add([]byte("\x0a\x0d\x0d\x0a"))
	f.Add(capture(binary.LittleEndian, pcapMicro, []byte("one"))[:42])
	f.Fuzz(func(t *testing.T, b []byte) {
		recs, err := readAll(b)
		if err != nil && !strings.Contains(err.Error(), "pcap: offset ") {
			t.Fatalf("an error without its offset: %v", err)
		}
		var out bytes.Buffer
		w, err := NewPcapWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		for k := range recs {
			recs[k].Full = len(recs[k].Data)
			if err := w.Write(recs[k].At, recs[k].Data); err != nil {
				t.Fatal(err)
			}
		}
		again, err := readAll(out.Bytes())
		if d := cmp.Diff(recs, again); d != "" || err != nil {
			t.Fatalf("written and read again: %v %s", err, d)
		}
	})
}
