package swsim

import (
	"slices"

	"spigate/hw"
)

// MaxPorts is how many ports a switch may have, the router's included: a set of
// them is a word.
const MaxPorts = 64

// set is a set of ports by number.
type set uint64

func one(port int) set          { return 1 << port }
func (s set) has(port int) bool { return s>>port&1 != 0 }
func (s set) with(p int, b bool) set {
	if b {
		return s | one(p)
	}
	return s &^ one(p)
}

// row is the members of a VLAN.
type row struct {
	id               uint16
	tagged, untagged set
}

func (r *row) members() set { return r.tagged | r.untagged }

// tables are what frames are decided by. They are never changed: who wants
// others makes a copy and exchanges the pointer.
type tables struct {
	at   [hw.MaxVLAN + 2]uint16 // index in rows by VLAN id; 0: there is no such VLAN
	rows []row                  // the first has no members; the others in no order
	pvid [MaxPorts]uint16
	on   set // let frames pass
	up   set // their link is up
	mtu  int // of IP, bytes
}

func newTables(mtu int) *tables { return &tables{rows: make([]row, 1), mtu: mtu} }

func (t *tables) copy() *tables {
	c := *t
	c.rows = slices.Clone(t.rows)
	return &c
}

// vlan returns the row of an id, one without members if there is none. Greater
// ids than MaxVLAN+1 do not fit into a tag.
func (t *tables) vlan(id uint16) *row { return &t.rows[t.at[id]] }

// set makes or replaces a row. Only on a copy.
func (t *tables) set(r row) {
	if t.at[r.id] == 0 {
		t.at[r.id] = uint16(len(t.rows))
		t.rows = append(t.rows, row{})
	}
	t.rows[t.at[r.id]] = r
}

// remove removes a row. Only on a copy.
func (t *tables) remove(id uint16) {
	i := t.at[id]
	if i == 0 {
		return
	}
	last := len(t.rows) - 1
	t.rows[i] = t.rows[last]
	t.at[t.rows[i].id] = i
	t.rows, t.at[id] = t.rows[:last], 0
}
