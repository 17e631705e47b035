package board

// Memory is what the router may use: bytes for the whole process, and entries
// of its tables.
type Memory struct {
	Limit       int64 // bytes of Go's heap and runtime (GOMEMLIMIT); 0: no limit
	Flows       int
	LSNSessions int
	IKESessions int
	ESPSessions int
	Connections int // of virtual servers, NATs and SNATs
}

// What an entry costs, in bytes of the heap, indexes and slack included:
// measured with full tables on a machine with 32-bit pointers, rounded up.
const (
	flowBytes       = 180
	lsnBytes        = 260
	ikeBytes        = 310
	espBytes        = 370
	connectionBytes = 265
)

// least is the smallest size of a table that a configuration may have.
const least = 64

// plenty is for machines whose memory is not scarce: the configuration's
// defaults.
func plenty() Memory {
	return Memory{Flows: 131072, LSNSessions: 65536, IKESessions: 16384, ESPSessions: 16384, Connections: 262144}
}

// Budget divides a machine's memory. ram is what the kernel has for programs
// (MemTotal of /proc/meminfo), in bytes; 0 means that it is not known.
//
// Half of it is the daemon's: the image's files, the kernel's buffers and the
// supervisor live in the other half. Three quarters of that may be tables, all
// of them full: the rest is for packets under way, answers to the operator and
// what the collector has not taken up yet. Most goes to flows and NAT sessions,
// two flows for each session; virtual servers have what is left. No table is
// larger than the configuration's default.
func Budget(ram int64) Memory {
	most := plenty()
	if ram <= 0 {
		return most
	}
	m := Memory{Limit: ram / 2}
	tables := m.Limit / 4 * 3
	m.Flows = entries(tables*46/100, flowBytes, most.Flows)
	m.LSNSessions = entries(tables*33/100, lsnBytes, most.LSNSessions)
	m.IKESessions = entries(tables*4/100, ikeBytes, most.IKESessions)
	m.ESPSessions = entries(tables*5/100, espBytes, most.ESPSessions)
	m.Connections = entries(tables-m.Tables(1), connectionBytes, most.Connections)
	return m
}

// entries returns how many of a size fit, in steps of 64.
func entries(bytes, each int64, most int) int {
	n := min(bytes/each, int64(most))
	return int(max(n/least*least, least))
}

// Tables returns the bytes that the tables take when all are full. Each of the
// traffic domains has its own, but for the flows, which they share.
func (m Memory) Tables(domains int) int64 {
	own := int64(m.LSNSessions)*lsnBytes + int64(m.IKESessions)*ikeBytes + int64(m.ESPSessions)*espBytes +
		int64(m.Connections)*connectionBytes
	return int64(m.Flows)*flowBytes + own*int64(domains)
}

// Fits reports whether all tables can be full at once within the limit.
func (m Memory) Fits(domains int) bool { return m.Limit <= 0 || m.Tables(domains) <= m.Limit/4*3 }
