package flow

import (
	"bytes"
	"testing"

	"spigate/netstack/frame"
)

func seed(f *testing.F) {
	for _, b := range kinds(30) {
		f.Add(b)
		f.Add(append(b, 0)) // padded
	}
	for _, c := range unsuited {
		f.Add(c.bend(kinds(30)[c.kind]))
	}
	f.Add([]byte{})
}

// FuzzProcess: no bytes make it panic, what is not hit is untouched, and what
// is hit has the slow path's bytes. Half of the runs give the frame an entry.
func FuzzProcess(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		fr := arrived(b, lan)
		k, ok := KeyOf(&fr)
		if !bytes.Equal(fr.Bytes(), b) {
			t.Fatal("KeyOf changed the frame")
		}
		tab := open(t, Config{Capacity: 1})
		hit(t, tab, b, 1)
		if !ok {
			return
		}
		for _, side := range []Side{Source, Destination} {
			e := Entry{Key: k, Side: side, Numbered: side == Source, Addr: outside, Port: uint16(len(b)) * 257, Hop: hopOf(t, tab, wan, gateway), Idle: 1}
			insert(t, tab, e, 0)
			batch := []frame.Frame{arrived(b, lan)}
			if tab.process(batch, 1) == 0 {
				if !bytes.Equal(batch[0].Bytes(), b) {
					t.Fatal("not hit, but changed")
				}
				continue
			}
			if want := slow(t, b, e); !bytes.Equal(batch[0].Bytes(), want) {
				t.Fatalf("came % x\nfast % x\nslow % x", b, batch[0].Bytes(), want)
			}
		}
	})
}
