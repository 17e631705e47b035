package tap

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"sync/atomic"

	"spigate/netstack/frame"
)

// receiver reads what comes out of a device until that is closed: it answers
// ARP, and counts the packets to one host by their source.
type receiver struct {
	at             *device
	own            frame.MAC // whose ARP answers are
	target, source netip.Prefix

	arrived, wrong atomic.Uint64
}

// run reads until the device is closed.
func (r *receiver) run() error {
	b := make([]byte, 2048)
	for {
		n, err := r.at.fd.Read(b)
		if errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := r.take(b[:n]); err != nil {
			return err
		}
	}
}

func (r *receiver) take(b []byte) error {
	if len(b) < frame.HeaderLen+28 {
		return nil
	}
	switch binary.BigEndian.Uint16(b[12:]) {
	case frame.TypeARP:
		if !question(b) {
			return nil
		}
		_, err := r.at.fd.Write(answer(b, r.own))
		return err
	case frame.TypeIPv4:
		if !r.target.Contains(netip.AddrFrom4([4]byte(b[30:34]))) {
			return nil
		}
		if r.source.Contains(netip.AddrFrom4([4]byte(b[26:30]))) {
			r.arrived.Add(1)
		} else {
			r.wrong.Add(1)
		}
	}
	return nil
}

// question reports whether a frame asks for somebody else than who asks
// (RFC 826; RFC 5227 announces with both the same).
func question(b []byte) bool {
	return binary.BigEndian.Uint16(b[20:]) == 1 && [4]byte(b[28:32]) != [4]byte(b[38:42])
}

// answer says that whoever is asked for is at own.
func answer(b []byte, own frame.MAC) []byte {
	out := make([]byte, 60)
	copy(out, b[6:12])
	copy(out[6:], own[:])
	copy(out[12:], b[12:20])
	out[21] = 2
	copy(out[22:], own[:])
	copy(out[28:], b[38:42])
	copy(out[32:], b[22:32])
	return out
}
