package qca8ksim

// Ports is how many ports the chip has.
const Ports = 7

// Ids of chips.
const (
	AR8327  = 0x12
	QCA8337 = 0x13
)

// register is what is known of one: its value after power-on, the bits that
// can be written, and those that only the chip changes. All others are
// reserved: they are written as they were read.
type register struct {
	reset, write, status uint32
}

// registers lists what there is, by address.
func registers(id uint32) map[uint32]register {
	m := map[uint32]register{
		0x000: {reset: id<<8 | 2, status: 0xffff, write: 1 << 31},
		0x010: {reset: 0x40000000, write: 0xffffffff},
		0x030: {write: 0x7},
		0x034: {write: 0x07f1ffff},
		0x078: {reset: 1518, write: 0x3fff},
		0x0e0: {write: 0xffffffff},
		0x600: {write: 0xffffffff},
		0x604: {write: 0x007fffff},
		0x608: {write: 0x000fff0f},
		0x60c: {write: 0x80006f0f, status: 0x1000},
		0x610: {write: 0x001fffff},
		0x614: {write: 0x8fff0f07, status: 0x10},
		0x618: {reset: 0x2b, write: 0x0000ffff},
		0x620: {reset: 0xf0, write: 0x4f0},
		0x624: {write: 0x7f7f7f7f},
	}
	for pad := uint32(0x004); pad <= 0x00c; pad += 4 {
		m[pad] = register{write: 0xffffffff}
	}
	for n := uint32(0); n < Ports; n++ {
		m[0x07c+4*n] = register{reset: portStatus(n), write: 0x127f, status: 0x0d80}
		m[0x09c+4*n] = register{write: 0xf}
		m[0x420+8*n] = register{reset: 0x00010001, write: 0xefffefff}
		m[0x424+8*n] = register{reset: 0x3000, write: 0x3ffc}
		m[0x660+12*n] = register{reset: 0x00140000 | 0x7f&^(1<<n), write: 0x9e37077f}
		m[0x974+8*n] = register{reset: 0x6, write: 0x101cf}
		for off := uint32(0); off <= 0xac; off += 4 {
			if id == QCA8337 || off < 0xa8 {
				m[0x1000+0x100*n+off] = register{status: 0xffffffff}
			}
		}
	}
	return m
}

// portStatus: ports with a PHY obey it; the others are as a boot loader leaves
// the router's: a gigabit, full duplex, both ways.
func portStatus(n uint32) uint32 {
	if n >= 1 && n <= 5 {
		return 1<<9 | 1<<12
	}
	return 2 | 1<<2 | 1<<3 | 1<<6
}

// Where things are that the simulation itself looks at.
const (
	addrModules = 0x030
	addrMIB     = 0x034
	addrFrame   = 0x078
	addrATU     = 0x60c
	addrVTUData = 0x610
	addrVTU     = 0x614
	addrForward = 0x620
	addrFlood   = 0x624

	busyBit = 1 << 31
)

func addrStatus(n int) uint32  { return 0x07c + 4*uint32(n) }
func addrHeader(n int) uint32  { return 0x09c + 4*uint32(n) }
func addrDefault(n int) uint32 { return 0x420 + 8*uint32(n) }
func addrTagging(n int) uint32 { return 0x424 + 8*uint32(n) }
func addrLookup(n int) uint32  { return 0x660 + 12*uint32(n) }
