package ipsec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"spigate/alg"
	"spigate/netstack/drop"
	"spigate/netstack/frame"
)

// Restored says what became of a snapshot's records.
type Restored struct {
	IKE, ESP, Tombstones int
	Refused              int // no room, a profile that is not configured, or an SPI that is taken
}

// maxAge bounds what a snapshot may say about the past, so that no sum of
// times can overflow.
const maxAge = uint64(100 * 365 * 24 * time.Hour)

var (
	errSnapshotMagic   = errors.New("not a snapshot of the IPsec ALG")
	errSnapshotVersion = errors.New("snapshot: version not known")
	errSnapshotCut     = errors.New("snapshot: cut short")
)

// Restore adds a snapshot's sessions, with the time that was left to them
// counted from now; TakeOver then restarts their timers. It is all or nothing
// where the bytes are wrong; a record that has no room, or whose profile is
// not in profiles, is left out and counted. The actions set the timers of the
// IKE sessions' mappings, which keep their numbers.
func (a *ALG) Restore(b []byte, profiles map[string]*Profile, now int64) (Restored, []Action, error) {
	if len(b) <= len(snapshotMagic) || string(b[:len(snapshotMagic)]) != snapshotMagic {
		return Restored{}, nil, errSnapshotMagic
	}
	if b[len(snapshotMagic)] != snapshotVersion {
		return Restored{}, nil, errSnapshotVersion
	}
	b = b[len(snapshotMagic)+1:]
	check := &restorer{now: now}
	if err := check.run(b); err != nil {
		return Restored{}, nil, err
	}
	r := &restorer{a: a, profiles: profiles, now: now}
	err := r.run(b)
	return r.done, r.actions, err
}

// restorer reads records; without an ALG it only checks them.
type restorer struct {
	a        *ALG
	profiles map[string]*Profile
	now      int64
	profile  *Profile
	done     Restored
	actions  []Action
}

func (r *restorer) run(b []byte) error {
	for len(b) > 0 {
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return errSnapshotCut
		}
		kind, body := b[0], b[2:2+int(b[1])]
		b = b[2+len(body):]
		if err := r.record(kind, body); err != nil {
			return fmt.Errorf("snapshot: record %q: %w", kind, err)
		}
	}
	return nil
}

var (
	errRecordKind   = errors.New("kind not known")
	errRecordLength = errors.New("wrong length")
	errRecordTime   = errors.New("impossible time")
	errRecordValue  = errors.New("impossible value")
)

func (r *restorer) record(kind byte, body []byte) error {
	want, known := map[byte]int{recordIKE: ikeLen, recordESP: espLen, recordTombstone: tombstoneLen, recordProfile: len(body)}[kind]
	switch {
	case !known:
		return errRecordKind
	case len(body) != want || len(body) > maxProfileName:
		return errRecordLength
	}
	d := &decoder{b: body, now: r.now}
	switch kind {
	case recordProfile:
		r.profile = r.profiles[string(body)]
	case recordIKE:
		return r.ike(d)
	case recordESP:
		return r.esp(d)
	case recordTombstone:
		return r.tombstone(d)
	}
	return nil
}

// decoder reads the fields of a record whose length is right.
type decoder struct {
	b   []byte
	now int64
	err error
}

func (d *decoder) u8() byte {
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) u32() uint32 {
	v := binary.BigEndian.Uint32(d.b)
	d.b = d.b[4:]
	return v
}

func (d *decoder) u64() uint64 {
	v := binary.BigEndian.Uint64(d.b)
	d.b = d.b[8:]
	return v
}

func (d *decoder) addr() frame.Addr {
	a := frame.Addr(d.b[:4])
	d.b = d.b[4:]
	if a.IsZero() {
		d.err = errRecordValue
	}
	return a
}

func (d *decoder) past() int64 {
	age := d.u64()
	if age == neverAge {
		return never
	}
	if age > maxAge {
		d.err = errRecordTime
		return never
	}
	return d.now - int64(age)
}

// seen is past for a moment that must have been.
func (d *decoder) seen() int64 {
	at := d.past()
	if at == never {
		d.err = errRecordTime
	}
	return at
}

// step begins work on the pair's shard; end is to be called after it.
func (r *restorer) step(k pairKey) (st *step, end func()) {
	sh := r.a.shardOf(k.NAT, k.Server)
	sh.mu.Lock()
	st = &step{a: r.a, sh: sh, now: r.now}
	return st, func() {
		st.settle(sh.pairs[k])
		sh.done()
		r.actions = append(r.actions, st.actions...)
	}
}

func (r *restorer) ike(d *decoder) error {
	inside, k := d.addr(), pairKey{d.addr(), d.addr()}
	s := ikeSession{profile: r.profile, mapping: d.u64(), initiator: d.u64(), responder: d.u64(),
		heard: [2]uint64{d.u64(), d.u64()}, version: d.u8(), state: IKEState(d.u8())}
	flags := d.u8()
	s.pickedUp = flags&flagPickedUp != 0
	token := flags&flagToken != 0
	s.created, s.lastSeen, s.lastCreateChild = d.seen(), d.seen(), d.past()
	switch {
	case d.err != nil:
		return d.err
	case s.initiator == 0, s.version != 1 && s.version != 2, s.state > Floated, flags > flagPickedUp|flagToken,
		s.state == Up && s.responder == 0, s.state == Half && s.responder != 0, token && s.state != Up:
		return errRecordValue
	case r.a == nil:
		return nil
	case s.profile == nil, !r.enterIKE(&s, inside, k, token):
		r.done.Refused++
	default:
		r.done.IKE++
	}
	return nil
}

// enterIKE puts a session where createIKE would have put it.
func (r *restorer) enterIKE(s *ikeSession, inside frame.Addr, k pairKey, token bool) bool {
	st, end := r.step(k)
	defer end()
	a := r.a
	if r.now > s.deadline() || a.count.ikeSessions.Load() >= int64(a.cfg.MaxIKESessions) {
		return false
	}
	c := st.sh.pairs[k].client(inside)
	m := &message{header: header{initiator: s.initiator, responder: s.responder, version: s.version}}
	if c.find(s.mapping, m, r.now) != nil {
		return false
	}
	if a.subsOf(inside).reserve(inside, s.state == Half, false) != drop.None {
		return false
	}
	pr, c := st.sh.ensure(k.NAT, k.Server, inside)
	s.client = c
	c.sessions = append(c.sessions, s)
	st.sh.cookies.enter(s)
	s.tally = a.tallies.of(s.profile)
	st.countIKE(s, 1)
	st.countHalf(s, boolToInt(s.state == Half))
	if want := a.mapsOf(s.mapping).enter(s.mapping, inside, k, s.state, s.mappingIdle()); want != 0 {
		st.setMappingIdle(s.mapping, want)
	}
	pr.setToken(s, token)
	st.sh.ikes.put(s)
	return true
}

func (r *restorer) esp(d *decoder) error {
	inside, k := d.addr(), pairKey{d.addr(), d.addr()}
	in, out := d.u32(), d.u32()
	s := espSession{profile: r.profile, nat: k.NAT, server: k.Server, created: d.seen(), gateOpened: d.past()}
	for dir := range s.seen {
		s.seen[dir] = d.past()
		s.count[dir] = traffic{d.u64(), d.u64()}
	}
	switch {
	case d.err != nil:
		return d.err
	case in == 0 && out == 0, in != 0 && in < firstSPI, out != 0 && out < firstSPI:
		return errRecordValue
	case s.lastSeen() == never:
		return errRecordTime
	case r.a == nil:
		return nil
	case s.profile == nil, !r.enterESP(&s, inside, in, out):
		r.done.Refused++
	default:
		r.done.ESP++
	}
	return nil
}

// enterESP puts a session where bind would have put it. An SPI that is bound
// already never moves.
func (r *restorer) enterESP(s *espSession, inside frame.Addr, in, out uint32) bool {
	k := pairKey{s.nat, s.server}
	st, end := r.step(k)
	defer end()
	a := r.a
	taken := in != 0 && st.sh.inbound[spiKey{s.nat, s.server, in}] != nil ||
		out != 0 && a.subsOf(inside).find(outKey{inside, s.server, out}) != nil
	if taken || a.count.espSessions.Load() >= int64(a.cfg.MaxESPSessions) {
		return false
	}
	if q := a.cfg.Quota; q != nil && q.Take(inside) != drop.None {
		return false
	}
	_, c := st.sh.ensure(k.NAT, k.Server, inside)
	s.id, s.client, s.tally = st.sh.newID(), c, a.tallies.of(s.profile)
	c.lastOut = max(c.lastOut, s.seen[alg.In2Out])
	c.esp++
	st.sh.byID[s.id] = s
	st.countESP(s, 1)
	if in != 0 {
		st.setIn(s, in)
	}
	if out != 0 {
		st.setOut(s, out)
	}
	if in != 0 && out != 0 {
		s.state = ESPEstablished
		st.sh.tally(s.tally).Active++
	}
	st.sh.esps.put(s)
	return !st.endIfOver(s)
}

func (r *restorer) tombstone(d *decoder) error {
	k := spiKey{NAT: d.addr(), Server: d.addr(), SPI: d.u32()}
	left := d.u64()
	switch {
	case d.err != nil:
		return d.err
	case k.SPI < firstSPI:
		return errRecordValue
	case left > uint64(tombstoneLife):
		return errRecordTime
	case r.a == nil:
		return nil
	}
	st, end := r.step(pairKey{k.NAT, k.Server})
	defer end()
	st.sh.stones.add(k, r.now-int64(tombstoneLife)+int64(left))
	r.done.Tombstones++
	return nil
}

// TakeOver restarts every idle timer at its full value: the standby cannot
// know what passed the other router since the snapshot (R72).
func (a *ALG) TakeOver(now int64) {
	a.each(func(sh *shard) {
		for _, row := range sh.ikes.rows {
			row.what.lastSeen = max(row.what.lastSeen, now)
		}
		for _, row := range sh.esps.rows {
			for dir, at := range row.what.seen {
				if at != never {
					row.what.seen[dir] = max(at, now)
				}
			}
		}
	})
}
