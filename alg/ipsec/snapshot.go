package ipsec

import (
	"encoding/binary"

	"spigate/alg"
	"spigate/netstack/frame"
)

// A snapshot is what a standby needs to go on after this router (R72): IKE
// sessions with their right to bind late, ESP sessions and tombstones, all
// with the time that is left to them. Locks, gates and held messages are not
// in it: IKE sends again what was lost with them. Profiles without
// connFailover are left out.
//
//	"SPIA", version 1 byte, then records until the end:
//	  kind 1 byte, length of the body 1 byte, body
//	  'P' profile: its name; sessions refer to the last one before them
//	  'I' IKE session   'E' ESP session   'T' tombstone
//
// All numbers are big endian. A moment is its age: 8 bytes of nanoseconds
// before the snapshot, all ones for never.
const (
	snapshotMagic   = "SPIA"
	snapshotVersion = 1

	recordProfile   = 'P'
	recordIKE       = 'I'
	recordESP       = 'E'
	recordTombstone = 'T'

	addrsLen     = 12 // inside, NAT, server
	ikeLen       = addrsLen + 5*8 + 3 + 3*8
	espLen       = addrsLen + 8 + 4*8 + 4*8
	tombstoneLen = 8 + 4 + 8

	flagPickedUp = 1 << 0
	flagToken    = 1 << 1

	neverAge = ^uint64(0)
)

// Snapshot appends the state to b and returns it. Shards are visited one after
// the other, so that it is not of one instant; a session is never cut.
func (a *ALG) Snapshot(b []byte, now int64) []byte {
	b = append(b, snapshotMagic...)
	e := &encoder{b: append(b, snapshotVersion), now: now}
	a.each(func(sh *shard) {
		for _, row := range sh.ikes.rows {
			e.ike(row.what)
		}
		for _, row := range sh.esps.rows {
			e.esp(row.what)
		}
		for i := range sh.stones.count { // in order of expiry, as the ring wants them
			k := sh.stones.ring[(sh.stones.first+i)%len(sh.stones.ring)]
			e.tombstone(k, sh.stones.until[k])
		}
	})
	return e.b
}

type encoder struct {
	b       []byte
	now     int64
	profile string
	named   bool
}

func (e *encoder) u32(v uint32)      { e.b = binary.BigEndian.AppendUint32(e.b, v) }
func (e *encoder) u64(v uint64)      { e.b = binary.BigEndian.AppendUint64(e.b, v) }
func (e *encoder) addr(a frame.Addr) { e.b = append(e.b, a[:]...) }

func (e *encoder) head(kind byte, length int) { e.b = append(e.b, kind, byte(length)) }

// age writes a moment. A packet that another port saw may be a little younger
// than now.
func (e *encoder) age(at int64) {
	if at == never {
		e.u64(neverAge)
		return
	}
	e.u64(uint64(max(0, e.now-at)))
}

// under begins a session's record, after its profile's name where that is not
// the last one.
func (e *encoder) under(p *Profile, kind byte, length int) {
	if name := p.Name[:min(len(p.Name), maxProfileName)]; !e.named || name != e.profile {
		e.head(recordProfile, len(name))
		e.b = append(e.b, name...)
		e.profile, e.named = name, true
	}
	e.head(kind, length)
}

// maxProfileName is what a record can hold; R1 allows 32.
const maxProfileName = 127

func (e *encoder) ike(s *ikeSession) {
	if !s.profile.ConnFailover || e.now > s.deadline() {
		return
	}
	e.under(s.profile, recordIKE, ikeLen)
	e.addr(s.client.inside)
	e.addr(s.client.pair.key.NAT)
	e.addr(s.client.pair.key.Server)
	e.u64(s.mapping)
	e.u64(s.initiator)
	e.u64(s.responder)
	e.u64(s.heard[alg.In2Out])
	e.u64(s.heard[alg.Out2In])
	flags := byte(boolToInt(s.pickedUp))*flagPickedUp | byte(boolToInt(s.token))*flagToken
	e.b = append(e.b, s.version, byte(s.state), flags)
	e.age(s.created)
	e.age(s.lastSeen)
	e.age(s.lastCreateChild)
}

func (e *encoder) esp(s *espSession) {
	if !s.profile.ConnFailover || e.now > s.deadline() {
		return
	}
	e.under(s.profile, recordESP, espLen)
	e.addr(s.client.inside)
	e.addr(s.nat)
	e.addr(s.server)
	e.u32(s.spiIn)
	e.u32(s.spiOut)
	e.age(s.created)
	e.age(s.gateOpened)
	for dir := range s.seen {
		e.age(s.seen[dir])
		e.u64(s.count[dir].packets)
		e.u64(s.count[dir].bytes)
	}
}

// tombstone writes the time that is left, not an age.
func (e *encoder) tombstone(k spiKey, until int64) {
	if e.now > until {
		return
	}
	e.head(recordTombstone, tombstoneLen)
	e.addr(k.NAT)
	e.addr(k.Server)
	e.u32(k.SPI)
	e.u64(uint64(until - e.now))
}
