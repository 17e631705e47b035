package takeover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A message is an address, route or neighbour as the kernel dumped it. The
// kernel takes the same bytes to make it again, with all that we need not
// know of ("ip route save" relies on the same).
type message struct {
	Text string `json:"text"` // for people, and to tell messages apart
	Data []byte `json:"data"`
}

// dumpTries bounds how often a dump is begun anew because something changed
// meanwhile.
const dumpTries = 10

// dump asks for a list. request is the fixed part of the message.
func dump(get, reply int, request []byte) ([][]byte, error) {
	var err error
	for range dumpTries {
		req := nl.NewNetlinkRequest(get, unix.NLM_F_DUMP)
		req.AddRawData(request)
		var list [][]byte
		list, err = req.Execute(unix.NETLINK_ROUTE, uint16(reply))
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return list, err
		}
	}
	return nil, err
}

// send sends a message as it is, and waits for the kernel's answer.
func send(msgType, flags int, data []byte) error {
	req := nl.NewNetlinkRequest(msgType, flags|unix.NLM_F_ACK)
	req.AddRawData(data)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// create makes again what a message describes; what is there already is fine.
func create(msgType int, data []byte) error {
	err := send(msgType, unix.NLM_F_CREATE|unix.NLM_F_EXCL, data)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// attrs returns the attributes behind the fixed part of a message by type. The
// values are parts of data. (The netlink package's own parser panics on a last
// attribute without padding.)
func attrs(data []byte, fixed int) (map[uint16][]byte, error) {
	if len(data) < fixed {
		return nil, fmt.Errorf("netlink message of %d bytes", len(data))
	}
	m := map[uint16][]byte{}
	for b := data[fixed:]; len(b) >= unix.SizeofRtAttr; {
		n, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if n < unix.SizeofRtAttr || n > len(b) {
			return nil, fmt.Errorf("netlink attribute %d of %d bytes in %d", kind, n, len(b))
		}
		m[kind&^uint16(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER)] = b[unix.SizeofRtAttr:n]
		b = b[min(len(b), (n+3)&^3):]
	}
	return m, nil
}

// addresses lists the device's addresses, of all families.
func addresses(index int) ([]message, error) {
	list, err := dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, make([]byte, unix.SizeofIfAddrmsg))
	if err != nil {
		return nil, fmt.Errorf("addresses: %w", err)
	}
	var out []message
	for _, d := range list {
		a, err := attrs(d, unix.SizeofIfAddrmsg)
		if err != nil {
			return nil, err
		}
		if int(binary.NativeEndian.Uint32(d[4:])) != index {
			continue
		}
		local := a[unix.IFA_LOCAL]
		if local == nil {
			local = a[unix.IFA_ADDRESS]
		}
		out = append(out, message{fmt.Sprintf("%s/%d", ipText(local), d[1]), d})
	}
	return out, nil
}

// neighbours lists the device's permanent neighbours: the kernel forgets even
// them when ARP is switched off.
func neighbours(index int) ([]message, error) {
	list, err := dump(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, make([]byte, unix.SizeofNdMsg))
	if err != nil {
		return nil, fmt.Errorf("neighbours: %w", err)
	}
	var out []message
	for _, d := range list {
		a, err := attrs(d, unix.SizeofNdMsg)
		if err != nil {
			return nil, err
		}
		state := binary.NativeEndian.Uint16(d[8:])
		if int(binary.NativeEndian.Uint32(d[4:])) != index || state&unix.NUD_PERMANENT == 0 {
			continue
		}
		out = append(out, message{fmt.Sprintf("%s lladdr %x", ipText(a[unix.NDA_DST]), a[unix.NDA_LLADDR]), d})
	}
	return out, nil
}

// routes lists the routes that lead to the device, of both families and all
// tables, without those that the kernel makes by itself.
func routes(index int) ([]message, error) {
	var out []message
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		request := make([]byte, unix.SizeofRtMsg)
		request[0] = family
		list, err := dump(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, request)
		if err != nil {
			return nil, fmt.Errorf("routes: %w", err)
		}
		for _, d := range list {
			a, err := attrs(d, unix.SizeofRtMsg)
			if err != nil {
				return nil, err
			}
			if leadsTo(a, index) && !kernelMade(d) {
				clearRouteState(d, a)
				out = append(out, message{routeText(d, a), d})
			}
		}
	}
	return out, nil
}

// leadsTo reports whether a route, or one path of it, leads to the device.
func leadsTo(a map[uint16][]byte, index int) bool {
	if oif := a[unix.RTA_OIF]; len(oif) == 4 && int(binary.NativeEndian.Uint32(oif)) == index {
		return true
	}
	found := false
	eachNexthop(a[unix.RTA_MULTIPATH], func(h []byte) {
		found = found || int(binary.NativeEndian.Uint32(h[4:])) == index
	})
	return found
}

// kernelMade reports whether the kernel makes the route anew by itself: cached
// ones, the local table, and what follows from IPv6 addresses or router
// advertisements.
func kernelMade(d []byte) bool {
	const cloned = unix.RTM_F_CLONED
	table, protocol := d[4], d[5]
	if binary.NativeEndian.Uint32(d[8:])&cloned != 0 {
		return true
	}
	switch protocol {
	case unix.RTPROT_KERNEL:
		return table == unix.RT_TABLE_LOCAL || d[0] == unix.AF_INET6
	case unix.RTPROT_RA, unix.RTPROT_REDIRECT:
		return true
	}
	return false
}

// clearRouteState takes out flags by which a dump says how a route is doing,
// which the kernel refuses in a new one.
func clearRouteState(d []byte, a map[uint16][]byte) {
	const keep = unix.RTNH_F_ONLINK | unix.RTNH_F_PERVASIVE
	binary.NativeEndian.PutUint32(d[8:], binary.NativeEndian.Uint32(d[8:])&keep)
	eachNexthop(a[unix.RTA_MULTIPATH], func(h []byte) { h[2] &= keep })
}

// eachNexthop calls fn with every struct rtnexthop of a route of several
// paths.
func eachNexthop(b []byte, fn func([]byte)) {
	for len(b) >= unix.SizeofRtNexthop {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtNexthop || n > len(b) {
			return
		}
		fn(b[:n])
		b = b[min(len(b), (n+3)&^3):]
	}
}

// routeText names a route by what makes it a different one.
func routeText(d []byte, a map[uint16][]byte) string {
	table, metric := uint32(d[4]), uint32(0)
	if t := a[unix.RTA_TABLE]; len(t) == 4 {
		table = binary.NativeEndian.Uint32(t)
	}
	if m := a[unix.RTA_PRIORITY]; len(m) == 4 {
		metric = binary.NativeEndian.Uint32(m)
	}
	dst := "default"
	if a[unix.RTA_DST] != nil {
		dst = fmt.Sprintf("%s/%d", ipText(a[unix.RTA_DST]), d[1])
	}
	via := ""
	if a[unix.RTA_GATEWAY] != nil {
		via = " via " + ipText(a[unix.RTA_GATEWAY])
	}
	if a[unix.RTA_MULTIPATH] != nil {
		via = " by several paths"
	}
	return fmt.Sprintf("inet%d %s%s table %d tos %d metric %d type %d", map[byte]int{unix.AF_INET: 4, unix.AF_INET6: 6}[d[0]],
		dst, via, table, d[3], metric, d[7])
}

func ipText(b []byte) string {
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return "?"
	}
	return a.String()
}

// gone reports whether an error says that what was to be removed is not there.
func gone(err error) bool {
	for _, e := range []syscall.Errno{unix.EADDRNOTAVAIL, unix.ESRCH, unix.ENOENT, unix.ENODEV} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
