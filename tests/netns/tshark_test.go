package netns

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"spigate/netstack/natlog"
)

// Link types of captures: frames begin with the Ethernet or the IPv4 header.
const (
	ethernet = 1
	rawIPv4  = 228
)

// pcapFile writes a capture of packets.
func pcapFile(t *testing.T, linkType uint32, packets [][]byte) string {
	t.Helper()
	b := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0}
	b = binary.LittleEndian.AppendUint32(b, linkType)
	for i, p := range packets {
		b = binary.LittleEndian.AppendUint32(b, uint32(i))
		b = append(b, 0, 0, 0, 0)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(p)))
		b = append(b, p...)
	}
	name := filepath.Join(t.TempDir(), "c.pcap")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// inUDP wraps a payload in UDP and IPv4.
func inUDP(payload []byte, port uint16) []byte {
	b := make([]byte, header.IPv4MinimumSize+header.UDPMinimumSize, header.IPv4MinimumSize+header.UDPMinimumSize+len(payload))
	b = append(b, payload...)
	ip := header.IPv4(b)
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(len(b)), TTL: 64, Protocol: uint8(header.UDPProtocolNumber),
		SrcAddr: tcpip.AddrFrom4([4]byte{198, 18, 0, 1}), DstAddr: tcpip.AddrFrom4([4]byte{198, 18, 0, 2}),
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	header.UDP(ip.Payload()).Encode(&header.UDPFields{
		SrcPort: 40000, DstPort: port, Length: uint16(header.UDPMinimumSize + len(payload)),
	})
	return b
}

// tsharkFlows has tshark decode the IPFIX messages in a capture. It returns the
// fields of each data record, as tshark prints them, one a line, and what tshark
// finds wrong with the packets.
func tsharkFlows(t *testing.T, file string) (flows, complaints []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "tshark", "-r", file, "-n", "-d", "udp.port==4739,cflow", "-O", "cflow")
	cmd.WaitDelay = time.Second
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Fatal("tshark, the independent decoder of IPFIX, is not installed: sh tests/deps.sh gets it")
	}
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, talk.String())
	}
	inside := false
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\n")
		depth := len(line) - len(strings.TrimLeft(line, " "))
		text := strings.TrimSpace(line)
		switch {
		case strings.Contains(text, "Expert Info"), strings.Contains(text, "Malformed"), strings.Contains(text, "no template"):
			complaints = append(complaints, text)
		case depth == 8 && strings.HasPrefix(text, "Flow "):
			inside = true
			flows = append(flows, "")
		case inside && depth >= 12:
			flows[len(flows)-1] += text + "\n"
		default:
			inside = false
		}
	}
	return flows, complaints
}

// sink is a connection that keeps what is written to it.
type sink struct {
	net.Conn
	got   [][]byte
	ended chan struct{}
	once  sync.Once
}

func (s *sink) Write(b []byte) (int, error) {
	s.got = append(s.got, bytes.Clone(b))
	return len(b), nil
}

func (s *sink) Read([]byte) (int, error) {
	<-s.ended
	return 0, net.ErrClosed
}

func (s *sink) Close() error {
	s.once.Do(func() { close(s.ended) })
	return nil
}

func (s *sink) LocalAddr() net.Addr { return &net.UDPAddr{} }

// ipfixMessages returns what a log sends to an IPFIX collector.
func ipfixMessages(t *testing.T, target natlog.Target, records ...natlog.Record) [][]byte {
	t.Helper()
	target.Name, target.Address, target.Protocol, target.Detail = "t", "198.18.0.2:4739", natlog.IPFIX, natlog.SessionDetail
	to := &sink{ended: make(chan struct{})}
	l, err := natlog.New(natlog.Config{
		Targets: []natlog.Target{target},
		Now:     func() time.Time { return time.UnixMilli(1772874485250) },
		Dial:    func(context.Context, string, string) (net.Conn, error) { return to, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		l.Emit(r)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel() // what is queued is sent even so
	if err := l.Run(over, nil); err != nil {
		t.Fatal(err)
	}
	return to.got
}
