package qca8k

// ports is how many the chip has (qca8k NUM_PORTS, ar8327 NUM_PORTS).
const ports = 7

// regID: bits 15:8 which chip, 7:0 revision (qca8k MASK_CTRL). Bit 31 resets
// the chip (ssdk SOFT_RST); it is never written.
const (
	regID     = 0x000
	idAR8327  = 0x12 // qca8k ID_QCA8327
	idQCA8337 = 0x13 // qca8k ID_QCA8337
)

// What the boot loader sets for the board: pads of the MACs 0, 5 and 6, straps
// at power-on, the serial interface (qca8k PORT0_PAD_CTRL … PWS, SGMII_CTRL).
const (
	regPad0  = 0x004
	regPad5  = 0x008
	regPad6  = 0x00c
	regStrap = 0x010
	regSGMII = 0x0e0
)

// The counters' module is off after a reset (qca8k, ar8327 MODULE_EN); bit 20
// of the function register keeps counters that are read (qca8k MIB_CPU_KEEP).
const (
	regModules = 0x030
	modulesMIB = 1 << 0
	regMIB     = 0x034
	mibKeep    = 1 << 20
)

// regFrame: the greatest frame in bytes, from the destination address to the
// checksum; tags are not counted (qca8k MAX_FRAME_SIZE: MTU + 18). The chip
// hangs when it is written while port 0 or 6 is on (qca8k port_change_mtu).
const (
	regFrame  = 0x078
	frameMask = 0x3fff // ar8327 MAX_FRAME_SIZE_MTU
	frameMore = 18     // addresses 12, type 2, checksum 4
)

// status is a port's MAC (qca8k PORT_STATUS, ar8327 PORT_STATUS).
func regStatus(port int) uint32 { return 0x07c + 4*uint32(port) }

const (
	statusSpeed  = 0x3    // 0, 1, 2: 10, 100, 1000 Mbit/s; 3: none
	statusTx     = 1 << 2 // the MAC sends
	statusRx     = 1 << 3
	statusDuplex = 1 << 6
	statusUp     = 1 << 8 // read only
	statusAuto   = 1 << 9 // the PHY says how the MAC is set
	statusSet    = 0x127f // speed, MACs, flow control, duplex, auto: what can be written
)

// regHeader: with vendor tags in frames at a port, or without (0) (qca8k
// PORT_HDR_CTRL, ar8327 PORT_HEADER).
func regHeader(port int) uint32 { return 0x09c + 4*uint32(port) }

// regDefault: the VLAN of frames without tag, twice: customer's VLAN in bits
// 27:16 and service provider's in 11:0 (qca8k PORT_VLAN_CTRL0).
func regDefault(port int) uint32 { return 0x420 + 8*uint32(port) }

const (
	defaultCustomer = 16
	defaultMask     = 0x0fff0fff
	idMask          = 0xfff
)

// regTagging: bits 13:12 how frames leave (0: as the VLAN's row says; 3, as
// after a reset: untouched), 6 keep priorities, 3:2 which frames may come in
// (0: all, 1: with a tag only) (ar8327 PORT_VLAN1, ssdk IN_VLAN_MODE).
func regTagging(port int) uint32 { return 0x424 + 8*uint32(port) }

const (
	taggingOut       = 3 << 12
	taggingKeep      = 1 << 6
	taggingIn        = 3 << 2
	taggingOnly      = 1 << 2
	taggingDangerous = 1<<11 | 1<<8 | 1<<7 // VLANs off, all frames are the default VLAN's, transparent (ssdk)
)

// The table of addresses (qca8k ATU_FUNC).
const (
	regATU       = 0x60c
	atuBusy      = 1 << 31
	atuPortOn    = 1 << 14 // the port's number counts
	atuPort      = 8
	atuFlushPort = 5
)

// The VLAN table: a row's data, and the command with the row's id (qca8k
// VTU_FUNC0, VTU_FUNC1).
const (
	regVTUData  = 0x610
	vtuValid    = 1 << 20
	vtuOwn      = 1 << 19 // addresses are learned in each VLAN by itself
	regVTU      = 0x614
	vtuBusy     = 1 << 31
	vtuID       = 16
	vtuFull     = 1 << 4
	vtuLoad     = 2
	vtuPurge    = 3
	vtuNext     = 5 // the next row after the id; id 0 afterwards: there is none (ssdk vlan_next)
	vtuPortMode = 3
)

// vtuShift is where a port's mode stands in a row (qca8k EG_MODE_PORT_SHIFT).
func vtuShift(port int) int { return 4 + 2*port }

// Modes of a port in a row.
const (
	modeAsIs  = 0 // a member; frames leave as they came
	modeUntag = 1
	modeTag   = 2
	modeNot   = 3 // no member
)

// regForward0: bit 10 there is a port of the router, 7:4 the port that sees
// copies, 15: none (qca8k GLOBAL_FW_CTRL0).
const (
	regForward0   = 0x620
	forwardCPU    = 1 << 10
	forwardMirror = 0xf << 4
)

// regForward1: where frames to nobody in particular go: bits 6:0 unknown
// stations, 14:8 groups, 22:16 all, each still held to the VLAN; 30:24 IGMP, as
// any other group if 0 (qca8k GLOBAL_FW_CTRL1; as ar8327 sets it).
const (
	regForward1 = 0x624
	forwardAll  = 0x007f7f7f
)

// regLookup: where frames of a port may go (qca8k PORT_LOOKUP_CTRL, ssdk
// PORT_LOOKUP_CTL): bits 6:0 other ports, 9:8 mode, 18:16 state, 20 learn.
func regLookup(port int) uint32 { return 0x660 + 12*uint32(port) }

const (
	lookupPorts   = 0x7f
	lookupMode    = 3 << 8
	lookupSecure  = 3 << 8 // the VLAN must be there, and the port a member
	lookupState   = 7 << 16
	lookupOff     = 0 << 16
	lookupForward = 4 << 16
	lookupLearn   = 1 << 20
	// Bits through which frames pass around VLANs: loop back, copies to the
	// mirror, addresses, groups and ARP that leak; and 10, by which the ports of
	// bits 6:0 replace the VLAN's (ssdk).
	lookupDangerous = 1<<10 | 1<<21 | 1<<25 | 1<<26 | 1<<27 | 1<<28
)

// regHOL1: bit 16 copies what leaves at a port to the mirror (qca8k
// PORT_HOL_CTRL1).
func regHOL1(port int) uint32 { return 0x974 + 8*uint32(port) }

const holMirror = 1 << 16

// regCounter is a counter of a port (qca8k PORT_MIB_COUNTER and ar8327_mib).
func regCounter(port int, offset uint32) uint32 { return 0x1000 + 0x100*uint32(port) + offset }
