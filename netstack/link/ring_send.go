package link

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

const (
	// senderBuffer is the most memory in bytes that frames on their way out by
	// one socket may take in the kernel.
	senderBuffer = 4 << 20

	// senderCells is how many frames of one socket may be on their way at
	// least: a card gives a cell back when it has sent the frame.
	senderCells = 512

	// Where in a cell the frame's header for the kernel stands (struct
	// virtio_net_hdr), and the frame.
	senderHint  = (unix.SizeofTpacket2Hdr + tpacketAlign - 1) / tpacketAlign * tpacketAlign
	senderFrame = senderHint + virtioHeaderLen

	virtioHeaderLen  = 10
	virtioHeaderSize = 2 // offset of hdr_len
)

// A sender sends frames from wherever they lie, mostly another port's ring:
// it copies them into a ring that the kernel sends from, with one system call
// for a batch, so the memory can be given back at once. PACKET_QDISC_BYPASS
// hands frames to the device without queueing, and past the drop that takeover
// puts on the device's egress.
//
// The header before each frame says that all of it is header, so that the kernel
// copies it in one piece. Otherwise it would lend the cell's pages to the
// device, which costs more for frames of these sizes, above all where a veth has
// to copy them after all. Processor time for each frame to a veth whose other
// end drops it (which is 0.5 us of it), in batches of 64:
//
//	                          100 bytes   1400 bytes
//	sendmmsg                    1.51 us      1.67 us
//	the same, with queueing     1.49         1.65
//	ring, pages lent            1.73         1.83
//	ring, copied in one piece   1.27         1.40
//
// With such a header the kernel leaves it to the device to refuse frames that
// are longer than an MTU which was made smaller after the port was opened.
type sender struct {
	dev device
	mtu int

	mu     sync.Mutex // held while sending, and to close
	closed bool

	mem                 []byte
	blockSize, cellSize int // bytes
	perBlock, cells     int // counts
	next                int // the cell to be filled next, which is also the kernel's next
}

func openSender(index, mtu int, name string) (*sender, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	s := &sender{dev: device{name: name, fd: fd}, mtu: mtu}
	if err := s.mapRing(); err != nil {
		s.close()
		return nil, err
	}
	// Without CAP_NET_ADMIN the buffer stays as large as the system allows.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, senderBuffer)
	// Protocol 0: this socket never receives.
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: index}); err != nil && err != unix.ENETDOWN {
		s.close()
		return nil, fmt.Errorf("bind for sending: %w", err)
	}
	return s, nil
}

func (s *sender) mapRing() error {
	fd := s.dev.fd
	for _, o := range []struct {
		what          string
		option, value int
	}{
		{"qdisc bypass", unix.PACKET_QDISC_BYPASS, 1},
		{"ring version 2", unix.PACKET_VERSION, unix.TPACKET_V2},
		{"frame headers", unix.PACKET_VNET_HDR, 1},
	} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, o.option, o.value); err != nil {
			return fmt.Errorf("%s: %w", o.what, err)
		}
	}
	g := geometry{blockSize: ringBlockSize, cellSize: oddLines(senderFrame + frame.HeaderLen + frame.TagLen + s.mtu)}
	for g.cellSize > g.blockSize {
		g.blockSize *= 2
	}
	g.blocks = (senderCells + g.perBlock() - 1) / g.perBlock()
	if err := unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_TX_RING, g.request()); err != nil {
		return fmt.Errorf("ring of %d blocks of %d bytes for sending: %w", g.blocks, g.blockSize, err)
	}
	mem, err := unix.Mmap(fd, 0, g.blocks*g.blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("memory of the ring for sending: %w", err)
	}
	s.mem, s.blockSize, s.cellSize, s.perBlock, s.cells = mem, g.blockSize, g.cellSize, g.perBlock(), g.perBlock()*g.blocks
	return nil
}

// cell returns the memory of a cell.
func (s *sender) cell(n int) []byte {
	at := n/s.perBlock*s.blockSize + n%s.perBlock*s.cellSize
	return s.mem[at : at+s.cellSize]
}

// send implements Driver.Write. The caller holds mu.
//
// The device may refuse a frame because it is full, or because of this very
// frame: the other end of a veth takes none that is longer than its own MTU. So
// the shorter ones behind it are tried all the same, and no others.
func (s *sender) send(batch []frame.Frame) (sent int, why drop.Reason) {
	if s.closed {
		return 0, drop.PortDown
	}
	shorter := math.MaxInt
	for at := 0; at < len(batch); {
		first, part := s.next, batch[at:min(at+frame.Batch, len(batch))]
		n, r := s.fill(part, shorter)
		done, errno := s.flush(first, n)
		for range done {
			toFront(batch, sent, at)
			sent, at = sent+1, at+1
		}
		if done == len(part) {
			continue
		}
		if done < n {
			r, shorter = s.reason(errno), batch[at].Len()
		}
		if why = r; r == drop.PortDown {
			return sent, r
		}
		at++ // it was left out, or refused
	}
	return sent, why
}

// fill puts frames into cells, up to the first that cannot be sent: so many, and
// why not that one. So is one that is not shorter than so many bytes.
func (s *sender) fill(batch []frame.Frame, shorter int) (n int, why drop.Reason) {
	for k := range batch {
		f := &batch[k]
		if tooBig(f, s.mtu) {
			return k, drop.FrameTooBig
		}
		if f.Len() < frame.HeaderLen || !f.PushTag() || f.Len() >= shorter || !s.put(f.Bytes()) {
			return k, drop.TxRefused // put: the device has not sent what is in the cells
		}
	}
	return len(batch), drop.None
}

// flush sends the n cells from first on, and returns how many the kernel took.
func (s *sender) flush(first, n int) (int, unix.Errno) {
	if n == 0 {
		return 0, 0
	}
	_, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(s.dev.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return s.taken(first, n), errno
}

// put fills the next cell, if it is free.
func (s *sender) put(b []byte) bool {
	c := s.cell(s.next)
	h := (*unix.Tpacket2Hdr)(unsafe.Pointer(&c[0]))
	if atomic.LoadUint32(&h.Status)&(unix.TP_STATUS_SEND_REQUEST|unix.TP_STATUS_SENDING) != 0 {
		return false
	}
	nativeEndian.PutUint16(c[senderHint+virtioHeaderSize:], uint16(len(b)))
	copy(c[senderFrame:], b)
	h.Len = uint32(virtioHeaderLen + len(b))
	atomic.StoreUint32(&h.Status, unix.TP_STATUS_SEND_REQUEST)
	s.next = (s.next + 1) % s.cells
	return true
}

// taken returns how many of the n cells from first on the kernel has taken. The
// others are taken back: it stops at the first that it cannot send, or finds
// fault with, and will begin with that cell the next time, as we do.
func (s *sender) taken(first, n int) int {
	for k := range n {
		w := word(s.cell((first+k)%s.cells), 0)
		if atomic.LoadUint32(w)&(unix.TP_STATUS_SEND_REQUEST|unix.TP_STATUS_WRONG_FORMAT) == 0 {
			continue
		}
		s.next = (first + k) % s.cells
		for k := k; k < n; k++ {
			atomic.StoreUint32(word(s.cell((first+k)%s.cells), 0), unix.TP_STATUS_AVAILABLE)
		}
		return (s.next - first + s.cells) % s.cells
	}
	return n
}

// reason tells a port that is down from one that is busy. Without a queue the
// kernel says ENOBUFS for both a full device and a lost carrier.
func (s *sender) reason(errno unix.Errno) drop.Reason {
	switch errno {
	case unix.ENETDOWN, unix.ENXIO, unix.ENODEV:
		return drop.PortDown
	}
	if !s.dev.up() {
		return drop.PortDown
	}
	return drop.TxRefused
}

// up implements Driver.Up.
func (s *sender) up() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.closed && s.dev.up()
}

func (s *sender) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	if s.mem != nil {
		_ = unix.Munmap(s.mem)
		s.mem = nil
	}
	_ = unix.Close(s.dev.fd)
}
