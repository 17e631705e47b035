package link

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// aheadBytes is how much of a source is read at a time.
const aheadBytes = 64 << 10

// defaultMTU is that of Ethernet.
const defaultMTU = 1500

// PcapConfig describes a port whose cable is a file.
type PcapConfig struct {
	Source string       // capture file that is received, as fast as it is read; a named pipe, as it is written; "" receives nothing
	Sink   string       // capture file that takes what is sent, overwritten; "" forgets it
	MAC    frame.MAC    // the port's address
	MTU    int          // of IP, 0 means 1500
	Now    func() int64 // nanoseconds since 1970 for the sink's records; nil writes 0
}

// pcapPort is a Driver over capture files.
type pcapPort struct {
	mac frame.MAC
	mtu int
	now func() int64

	source *os.File
	ahead  *bufio.Reader // of source: what has been read and not yet received
	reader *PcapReader   // nil: nothing (more) to receive
	broken error         // what ended the reader
	closed chan struct{}

	mu   sync.Mutex // guards what follows
	sink *os.File
	out  *PcapWriter
	end  bool
}

// OpenPcap opens a port that receives the frames of one capture file and
// writes what it sends to another. When the source is at its end the port is
// up and silent. Frames that the capture cut short are received as they are.
func OpenPcap(c PcapConfig) (Driver, error) {
	p := &pcapPort{mac: c.MAC, mtu: c.MTU, now: c.Now, closed: make(chan struct{})}
	if p.mtu == 0 {
		p.mtu = defaultMTU
	}
	if p.now == nil {
		p.now = func() int64 { return 0 }
	}
	if err := p.open(c); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *pcapPort) open(c PcapConfig) error {
	var err error
	if c.Source != "" {
		if p.source, err = os.Open(c.Source); err != nil {
			return fmt.Errorf("pcap source: %w", err)
		}
	}
	if c.Sink != "" {
		if p.sink, err = os.Create(c.Sink); err != nil {
			return fmt.Errorf("pcap sink: %w", err)
		}
		if p.out, err = NewPcapWriter(p.sink); err != nil {
			return fmt.Errorf("pcap sink %s: %w", c.Sink, err)
		}
	}
	// Now that the sink has its header: with two routers whose pipes cross, each
	// would else wait for the other's.
	if c.Source != "" {
		p.ahead = bufio.NewReaderSize(p.source, aheadBytes)
		if p.reader, err = NewPcapReader(p.ahead); err != nil {
			return fmt.Errorf("pcap source %s: %w", c.Source, err)
		}
	}
	return nil
}

// Read implements Driver. A source that turns out broken is an error once the
// frames before the fault have been read.
func (p *pcapPort) Read(batch []frame.Frame) (int, error) {
	n := 0
	// Behind a named pipe somebody else writes: a frame does not wait for those
	// that come later.
	for n < len(batch) && p.reader != nil && (n == 0 || p.ahead.Buffered() > 0) {
		rec, err := p.reader.Next()
		if err != nil {
			p.reader, p.broken = nil, err
			break
		}
		batch[n] = frame.Copy(rec.Data, 0)
		n++
	}
	switch {
	case !p.Up(): // reading a file that Close has just closed fails, too
		return 0, net.ErrClosed
	case n > 0:
		return n, nil
	case p.broken != nil && !errors.Is(p.broken, io.EOF):
		return 0, fmt.Errorf("pcap source %s: %w", p.source.Name(), p.broken)
	}
	<-p.closed
	return 0, net.ErrClosed
}

// Write implements Driver.
func (p *pcapPort) Write(batch []frame.Frame) (int, drop.Reason) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end {
		return 0, drop.PortDown
	}
	for k := range batch {
		f := &batch[k]
		if tooBig(f, p.mtu) {
			return k, drop.FrameTooBig
		}
		if !f.PushTag() || p.out != nil && p.out.Write(p.now(), f.Bytes()) != nil {
			return k, drop.TxRefused
		}
	}
	return len(batch), drop.None
}

// MAC implements Driver.
func (p *pcapPort) MAC() frame.MAC { return p.mac }

// MTU implements Driver.
func (p *pcapPort) MTU() int { return p.mtu }

// Up implements Driver.
func (p *pcapPort) Up() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.end
}

// Lost implements Driver: a file loses nothing.
func (p *pcapPort) Lost() uint64 { return 0 }

// Close implements Driver.
func (p *pcapPort) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end {
		return nil
	}
	p.end = true
	close(p.closed)
	var errs []error
	for _, f := range []*os.File{p.source, p.sink} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
