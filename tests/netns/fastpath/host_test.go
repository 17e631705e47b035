package fastpath

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/frame"
	"spigate/tests/netns"
)

// host is the far end of one of the router's cables. It plays every machine
// there: it sends frames as they are given to it, answers the router's ARP for
// all addresses of its network, and keeps what else arrives.
type host struct {
	name     string
	file     *os.File
	tag      uint16     // of the router's VLAN on this cable, 0: frames have none
	prober   frame.Addr // who asks in settle
	reader   chan struct{}
	each     func(b []byte)               // is given what arrives, in place of got; nil: got
	machines func(a frame.Addr) frame.MAC // who has an address, the zero MAC: nobody

	sent, sentBytes atomic.Uint64 // all that went out

	mu     sync.Mutex
	more   chan struct{} // closed and renewed when something arrives
	got    [][]byte      // IPv4 frames that nobody has taken yet, tag included
	count  hostCount
	probed uint32 // answers to ask
}

// hostCount is what passed a host. Bytes are of frames without their tag, as
// the router counts them.
type hostCount struct {
	received, receivedBytes uint64
	arps, arpBytes          uint64 // of those, ARP
	sentARPs                uint64 // ARP that it sent, each of arpLen bytes
	answered                uint64 // of those, answers: the stack gets them
	lost                    uint64 // before they could be read
}

const arpLen = frame.HeaderLen + header.ARPSize

// hostBuffer is how many bytes wait for a host that is slow.
const hostBuffer = 64 << 20

// openHost opens the host on a device.
func openHost(t tb, in *netns.Namespace, device string, h *host) *host {
	t.Helper()
	h.name, h.reader, h.more = in.Name, make(chan struct{}), make(chan struct{})
	err := in.Do(func() error {
		dev, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		h.file, err = rawSocket(dev.Index)
		return err
	})
	if err != nil {
		t.Fatalf("%v", err)
	}
	go h.read()
	t.Cleanup(func() {
		h.file.Close()
		<-h.reader
	})
	return h
}

// rawSocket sends and receives whole frames; of what it receives it is told the
// tag, which the kernel takes out.
func rawSocket(ifindex int) (*os.File, error) {
	all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all))
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, hostBuffer),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifindex}),
	)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "host"), nil
}

func (h *host) read() {
	defer close(h.reader)
	raw, err := h.file.SyscallConn()
	if err != nil {
		return
	}
	buf, oob := make([]byte, 1<<16), make([]byte, 256)
	for {
		var n, m int
		var rerr error
		err := raw.Read(func(fd uintptr) bool {
			n, m, _, _, rerr = unix.Recvmsg(int(fd), buf, oob, 0)
			return rerr != unix.EAGAIN && rerr != unix.EINTR
		})
		if err != nil {
			return
		}
		if rerr == nil { // otherwise the device went down, which says so once
			h.take(retagged(buf[:n], oob[:m]))
		}
	}
}

// retagged is a frame with the tag that it had on the wire.
func retagged(b, oob []byte) []byte {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return append([]byte(nil), b...)
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < 18 {
			continue
		}
		if binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_VLAN_VALID != 0 {
			return withTag(b, binary.NativeEndian.Uint16(m.Data[16:]))
		}
	}
	return append([]byte(nil), b...)
}

// take handles one frame. ARP is answered before it is counted, so that who
// waits for the count knows that the answer is under way.
func (h *host) take(b []byte) {
	plain := untagged(b)
	isARP := binary.BigEndian.Uint16(plain[12:]) == frame.TypeARP
	asked := isARP && h.arp(plain[frame.HeaderLen:])
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count.received++
	h.count.receivedBytes += uint64(len(plain))
	switch {
	case isARP:
		h.count.arps++
		h.count.arpBytes += uint64(len(plain))
		if asked {
			h.count.answered++
			h.count.sentARPs++
		} else if macOf(h.prober) == frame.MAC(plain[:6]) {
			h.probed++
		}
	case h.each != nil:
		h.each(b)
	default:
		h.got = append(h.got, b)
	}
	close(h.more)
	h.more = make(chan struct{})
}

// untagged is a frame without its tag.
func untagged(b []byte) []byte {
	if binary.BigEndian.Uint16(b[12:]) != 0x8100 {
		return b
	}
	return append(append([]byte(nil), b[:12]...), b[16:]...)
}

// arp answers the router's request, if b is one.
func (h *host) arp(b []byte) bool {
	m := header.ARP(b)
	about := frame.Addr(m.ProtocolAddressTarget())
	mac := h.machines(about)
	if m.Op() != header.ARPRequest || about == frame.Addr(m.ProtocolAddressSender()) || mac == (frame.MAC{}) {
		return false
	}
	h.put(arp(header.ARPReply, about, mac, frame.Addr(m.ProtocolAddressSender()), frame.MAC(m.HardwareAddressSender())))
	return true
}

// put sends a frame of this network, tagged as the network is.
func (h *host) put(b []byte) {
	if h.tag != 0 {
		b = withTag(b, h.tag)
	}
	h.send(b)
}

// send sends frames as they are. A device that is down loses them.
func (h *host) send(frames ...[]byte) {
	for _, b := range frames {
		if _, err := h.file.Write(b); err == nil {
			h.sent.Add(1)
			h.sentBytes.Add(uint64(len(b)))
		}
	}
}

// ask has the router say where a NAT address is, and waits for the answer: its
// port has taken in all that was sent before.
func (h *host) ask(ctx context.Context, nat frame.Addr) error {
	h.mu.Lock()
	h.count.sentARPs++
	n := h.probed
	h.mu.Unlock()
	h.put(arp(header.ARPRequest, h.prober, macOf(h.prober), nat, frame.MAC{}))
	return h.wait(ctx, "the answer to a question", func() bool { return h.probed > n })
}

// wait returns once ok, under the host's lock, is true.
func (h *host) wait(ctx context.Context, what string, ok func() bool) error {
	for {
		h.mu.Lock()
		done, more := ok(), h.more
		h.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("%s: %s: %w", h.name, what, ctx.Err())
		}
	}
}

// taken returns the frames that arrived since the last call.
func (h *host) taken() [][]byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.got
	h.got = nil
	return out
}

// counted returns the host's counters, and what the kernel has lost.
func (h *host) counted() hostCount {
	raw, err := h.file.SyscallConn()
	lost := uint64(0)
	if err == nil {
		_ = raw.Control(func(fd uintptr) {
			if s, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
				lost = uint64(s.Drops)
			}
		})
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count.lost += lost
	return h.count
}
