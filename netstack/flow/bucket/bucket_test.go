package bucket

import (
	"testing"
	"unsafe"
)

func TestAFlowIsFoundAndCounted(t *testing.T) {
	w := newWorld(t, 64, seedOf(1))
	k := espKey(1)
	slot, ok := w.Insert(k, Destination|DFOnly, PackValue(0x01020304, 0x1234, 7), 99)
	if !ok {
		t.Fatal("an empty table has no room")
	}
	f, ok := w.find(k)
	if !ok {
		t.Fatal("not found")
	}
	if addr, port, hop := UnpackValue(f.Value); addr != 0x01020304 || port != 0x1234 || hop != 7 {
		t.Errorf("value is %x %x %d", addr, port, hop)
	}
	if f.Flags != Valid|Destination|DFOnly {
		t.Errorf("flags %x", f.Flags)
	}
	f.Entry.Add(100)
	f.Entry.Add(1400)
	if packets, bytes := w.Credit(slot); packets != 2 || bytes != 1500 {
		t.Errorf("%d packets, %d bytes", packets, bytes)
	}
	if packets, bytes := w.Credit(slot); packets != 0 || bytes != 0 {
		t.Errorf("counted again: %d packets, %d bytes", packets, bytes)
	}
	if s, own, ok := w.Lookup(k); s != slot || own != 99 || !ok {
		t.Errorf("the writer finds slot %d, own %d, %t", s, own, ok)
	}
	for _, other := range []Key{
		MakeKey(k.Addrs()+1, k.ID(), k.Proto(), k.Context()), MakeKey(k.Addrs(), k.ID()+1, k.Proto(), k.Context()),
		MakeKey(k.Addrs(), k.ID(), k.Proto()+1, k.Context()), MakeKey(k.Addrs(), k.ID(), k.Proto(), k.Context()+1),
	} {
		if _, ok := w.find(other); ok {
			t.Errorf("%v is found", other)
		}
	}
}

func TestARemovedFlowsSlotRestsOneWholeSweepAndCountsLatePackets(t *testing.T) {
	w := newWorld(t, Ways, seedOf(1))
	slot, _ := w.Insert(espKey(1), 0, 0, 7)
	f, _ := w.find(espKey(1))
	w.Remove(slot)
	if _, ok := w.find(espKey(1)); ok {
		t.Error("a removed flow is found")
	}
	for _, want := range []State{Resting, Free} {
		f.Entry.Add(60) // a reader that found it before
		var told []State
		w.Sweep(0, w.Len(), func(at, own uint32, packets, bytes uint64, s State) {
			if at != slot || own != 7 || packets != 1 || bytes != 60 {
				t.Errorf("slot %d, own %d: %d packets, %d bytes", at, own, packets, bytes)
			}
			told = append(told, s)
		})
		if len(told) != 1 || told[0] != want || w.State(slot) != want {
			t.Errorf("told %v, slot is %v, want %v", told, w.State(slot), want)
		}
	}
}

func TestAWordInTheArenaHasItsBytesAsOnTheWire(t *testing.T) {
	w := newWorld(t, Ways, seedOf(1))
	wire := [12]byte{192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 0x56, 0x78}
	value := [8]byte{203, 0, 113, 9, 0xab, 0xcd}
	*(*uint16)(unsafe.Pointer(&value[6])) = 513
	k := MakeKey(*(*uint64)(unsafe.Pointer(&wire[0])), *(*uint32)(unsafe.Pointer(&wire[8])), 50, 3)
	slot, _ := w.Insert(k, Destination, *(*uint64)(unsafe.Pointer(&value[0])), 0)
	b := w.memory.Bytes()[slot*EntrySize:]
	if [12]byte(b) != wire || [8]byte(b[16:]) != value {
		t.Errorf("the entry is % x", b[:EntrySize])
	}
	if tag := *(*uint32)(unsafe.Pointer(&b[12])); tag != 50<<24|3<<16|1<<4|3 {
		t.Errorf("the tag is %#x", tag)
	}
	if _, _, hop := UnpackValue(w.Value(slot)); hop != 513 {
		t.Errorf("hop %d", hop)
	}
}
