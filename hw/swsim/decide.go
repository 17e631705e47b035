package swsim

// Why says why a frame was not taken at the port where it came in.
type Why uint8

// The reasons. Those up to Long are errors of the frame, the others are rules.
const (
	Taken       Why = iota
	Short           // shorter than its headers
	Long            // longer than the MTU allows
	BadSource       // its source is a group address, or zero
	LinkLocal       // for the bridge at the other end of the cable only
	PortOff         // the port is turned off
	NoPVID          // without tag, where frames without tag are of no VLAN
	UnknownVLAN     // of a VLAN that no port is in
	NotMember       // of a VLAN that its port is not in
	reasons
)

// String names the reason in messages.
func (w Why) String() string {
	return [...]string{"taken", "too short", "too long", "bad source address", "link local", "port is off",
		"no VLAN for untagged frames", "unknown VLAN", "port is not in the VLAN"}[w]
}

// malformed reports whether a reason is an error of the frame.
func (w Why) malformed() bool { return w == Short || w == Long }

// verdict is what becomes of a frame. Sets without members: it goes nowhere.
type verdict struct {
	why              Why
	vlan             uint16
	tagged, untagged set // by which ports it leaves, and how
	hidden           set // by which it does not, for a tag behind its tag
}

// decide says what becomes of a frame that came in at a port, and learns where
// its sender is. It changes nothing but the address table.
func decide(t *tables, addresses *table, in int, f *Frame, now int64) verdict {
	vlan, why := t.classify(in, f)
	if why != Taken {
		return verdict{why: why, vlan: vlan}
	}
	b := f.Bytes()
	dst, src := addressAt(b), addressAt(b[6:])
	addresses.learn(key(vlan, src), in, now)
	row := t.vlan(vlan)
	out := row.members() & t.on & t.up &^ one(in)
	if !dst.group() {
		out = direct(addresses, key(vlan, dst), in, out, now)
	}
	v := verdict{vlan: vlan, tagged: out & row.tagged, untagged: out & row.untagged}
	if v.untagged != 0 && f.twice() {
		v.hidden, v.untagged = v.untagged, 0
	}
	return v
}

// direct narrows the ports down to the one where a station is. One that is not
// known, or at a port that its VLAN has no more, is sought at all of them.
func direct(addresses *table, station uint64, in int, all set, now int64) set {
	val, known := addresses.find(station, now)
	if !known {
		return all
	}
	at := portOf(val)
	if at == in {
		return 0 // it has had the frame already
	}
	if !all.has(at) {
		return all
	}
	return one(at)
}

// classify returns the VLAN of a frame, or why it is not taken (IEEE 802.1Q
// sections 6.9 and 8.6.2).
func (t *tables) classify(in int, f *Frame) (uint16, Why) {
	if !t.on.has(in) {
		return 0, PortOff
	}
	if f.Len() < headerLen {
		return 0, Short
	}
	tci, tagged := f.tag()
	if why := t.sound(f, tagged); why != Taken {
		return 0, why
	}
	vlan := tci & vlanBits
	if vlan == 0 {
		vlan = t.pvid[in]
	}
	if vlan == 0 {
		return 0, NoPVID
	}
	switch members := t.vlan(vlan).members(); {
	case members == 0:
		return vlan, UnknownVLAN
	case !members.has(in):
		return vlan, NotMember
	}
	return vlan, Taken
}

// sound says what is wrong about a frame with a whole header, whatever its VLAN.
func (t *tables) sound(f *Frame, tagged bool) Why {
	b := f.Bytes()
	longest := headerLen + t.mtu
	if tagged {
		longest += TagLen
	}
	if len(b) > longest {
		return Long
	}
	if !tagged && b[12] == typeTag>>8 && b[13] == typeTag&0xff {
		return Short // the tag says that more follows
	}
	if src := addressAt(b[6:]); src.group() || src == 0 {
		return BadSource
	}
	if addressAt(b).linkLocal() {
		return LinkLocal
	}
	return Taken
}
