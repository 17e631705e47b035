package link

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// receive binds a lane's socket to the port, from which on the kernel fills its
// ring. It comes last: a socket of protocol 0 receives nothing, so no frame can
// arrive before the ring stands, or from another port.
func (l *ringLane) receive(index int, promiscuous bool) error {
	if promiscuous {
		m := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
		if err := unix.SetsockoptPacketMreq(l.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m); err != nil {
			return fmt.Errorf("promiscuous mode: %w", err)
		}
	}
	to := unix.SockaddrLinklayer{Protocol: hton16(unix.ETH_P_ALL), Ifindex: index}
	if err := unix.Bind(l.fd, &to); err != nil && !errors.Is(err, unix.ENETDOWN) {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

// Spread implements Laned: it puts the lanes into one fanout group, in their
// order, which is also the one in which the kernel brings them back when the
// port comes up again: a flow keeps its lane. Nothing is lost or seen twice
// meanwhile: until the program is set the kernel gives everything to the first
// lane, and the others are deaf from their bind until they have joined.
//
// Before Linux 6.15 a port that is administratively down cannot be spread.
func (r *ring) Spread() error {
	if len(r.lanes) == 1 {
		return nil
	}
	r.spreading.Do(func() {
		err := net.ErrClosed
		r.lanes[0].gate.whileOpen(func() { err = r.spread() })
		if err != nil {
			r.notSpread = fmt.Errorf("spread over %d lanes: %w", len(r.lanes), err)
		}
	})
	return r.notSpread
}

func (r *ring) spread() error {
	const kind = unix.PACKET_FANOUT_CBPF | unix.PACKET_FANOUT_FLAG_IGNORE_OUTGOING
	first := r.lanes[0].fd
	// The kernel finds a number for the group that nobody has.
	if err := joinFanout(first, 0, kind|unix.PACKET_FANOUT_FLAG_UNIQUEID); err != nil {
		return err
	}
	group, err := unix.GetsockoptInt(first, unix.SOL_PACKET, unix.PACKET_FANOUT)
	if err != nil {
		return fmt.Errorf("fanout group: %w", err)
	}
	for _, l := range r.lanes[1:] {
		err := net.ErrClosed
		l.gate.whileOpen(func() { err = l.joinDeaf(r.index, group&0xffff, kind) })
		if err != nil {
			return err
		}
	}
	steer := steering()
	prog := unix.SockFprog{Len: uint16(len(steer)), Filter: &steer[0]}
	if err := unix.SetsockoptSockFprog(first, unix.SOL_PACKET, unix.PACKET_FANOUT_DATA, &prog); err != nil {
		return fmt.Errorf("fanout program: %w", err)
	}
	return nil
}

func joinFanout(fd, group, kind int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, group|kind<<16); err != nil {
		return fmt.Errorf("fanout: %w", err)
	}
	return nil
}

// joinDeaf binds a lane and lets it join a group, with a filter that refuses
// everything until it has: it must be bound before, and would get each frame a
// second time.
func (l *ringLane) joinDeaf(index, group, kind int) error {
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	if err := unix.SetsockoptSockFprog(l.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing}); err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	if err := l.receive(index, false); err != nil {
		return err
	}
	if err := joinFanout(l.fd, group, kind); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(l.fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); err != nil {
		return fmt.Errorf("filter: %w", err)
	}
	return nil
}
