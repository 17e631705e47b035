package configs

import (
	"net/netip"
	"time"
)

// Config is a whole configuration, checked: names are resolved to pointers,
// defaults are filled in. Lists are in the file's order.
type Config struct {
	File     string // where the text came from, for messages
	Source   Secret // the text: it may have secrets in it
	System   System
	Control  Control
	Board    Board
	Limits   Limits
	Offload  Offload
	Ports    []*Port
	Switches []*Switch
	VLANs    []*VLAN   // one interface of the router each; at most 255 with Tunnels
	Tunnels  []*Tunnel // [net.tunnel.NAME], as VLANs
	Routes   []Route   // without the connected networks
	LSN      LSN
	ALG      []*ALGProfile // [ipsecalg.profile.NAME]
	LTM      LTM
	IPsec    IPsec
	DB       DB
	Log      Log
	Web      Web
	Places   Places // of its tables and keys in the text
}

// System is [system].
type System struct {
	Hostname string
	StateDir string // absolute path
}

// Control is [control].
type Control struct {
	Socket string // absolute path of the unix socket
	HTTP   string // HOST:PORT, or "" for off
}

// Limits is [limits]: the sizes of the tables, in entries. Those that the file
// does not say are Options.Limits', or DefaultLimits.
type Limits struct {
	Flows       int
	LSNSessions int
	IKESessions int
	ESPSessions int
	Connections int // of virtual servers, NATs and SNATs
}

// Offload is [offload]: which flows the kernel forwards between ports that
// have XDP.
type Offload struct {
	Flows int         // directions, at most
	After int         // packets in a second that make a flow busy enough
	Mode  OffloadMode // of every port
}

// Port is [port.NAME]: a place frames come from.
type Port struct {
	Name   string
	Driver Driver
	Device string // kernel device; for DriverPcap the file to read; "" with DriverSwitch
	Sink   string // DriverPcap: the file to write, or ""
	MAC    [6]byte
	HasMAC bool // false: the device's own address (raw), or a made-up one
	MTU    int  // bytes of IP; 0: the device's own
	XDP    bool // DriverXDP: the kernel may forward busy flows from and to it
	// Threads is how many goroutines receive: only a port with a ring has more
	// than one. 0: what suits the number of processors.
	Threads int
	Ring    Ring
}

// Ring sizes the receive ring of a raw port. Zero values mean the driver's.
type Ring struct {
	BlockSize int // bytes, a power of two
	Blocks    int
	Retire    time.Duration // frames gather for so long before they are read; 0: not at all
}

// VLAN is [vlan.NAME]: one interface of the router.
type VLAN struct {
	Name      string
	ID        uint16         // 802.1Q id, 0 = untagged, which none on a Switch is
	Port      *Port          // where its frames come from: with a Switch that one's CPUPort
	Switch    *Switch        // or nil
	Tagged    []string       // names of the Switch's ports, in the file's order; a name is in
	Untagged  []string       // one of the lists at most, and in Untagged of one VLAN at most
	Domain    uint16         // traffic domain
	Addresses []netip.Prefix // our addresses with their networks' lengths
}

// Route is [route."PREFIX"], or [route.NAME] with the prefix in it. It leads to
// a neighbour, or into a tunnel.
type Route struct {
	Name   string
	Prefix netip.Prefix // masked
	Via    netip.Addr   // on a connected network; invalid with a Tunnel
	VLAN   *VLAN        // the one on whose network Via is; nil with a Tunnel
	Tunnel *Tunnel      // or nil
}

// Domain is the route's traffic domain: that of what it leads to.
func (r *Route) Domain() uint16 {
	if r.Tunnel != nil {
		return r.Tunnel.Domain
	}
	return r.VLAN.Domain
}

// ALGProfile is [ipsecalg.profile.NAME].
type ALGProfile struct {
	Name               string
	IKESessionTimeout  time.Duration
	ESPSessionTimeout  time.Duration
	ESPGateTimeout     time.Duration
	IKEHalfOpenTimeout time.Duration // R40
	ConnFailover       bool          // R72
	BlockMode          BlockMode     // R58
	LateBindingOut     bool          // R66
	LateBindingIn      bool          // R66
	IKEKeepWithESP     bool          // R48
	SameClientParallel bool          // R57
	IKEPortPreserve    bool          // R39
	IKECookieDemux     bool          // N40
	GateSeqMax         uint32        // R65; 0 = off
}
