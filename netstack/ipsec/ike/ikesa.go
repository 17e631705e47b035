package ike

import (
	"bytes"
	"net/netip"
	"slices"
)

// state is that of an IKE SA. The drawing stands in doc.go.
type state uint8

const (
	stateInit     state = iota // initiator: IKE_SA_INIT sent
	stateAuth                  // initiator: IKE_AUTH sent
	stateHalfOpen              // responder: waits for IKE_AUTH
	stateUp
	stateRekeyed // another has taken over; the other end deletes it
	stateSpare   // made by the other end while our own rekeying is under way
	stateClosing // delete sent
	stateGone
)

// ikeSA is one IKE SA.
type ikeSA struct {
	e         *Engine
	number    uint64
	peer      *peer
	initiator bool // of this SA: of IKE_SA_INIT or of the rekeying
	state     state

	spiI, spiR    uint64
	local, remote netip.AddrPort
	marker        bool // on port 4500
	natHere       bool // we are behind a NAT
	natThere      bool
	fragments     bool     // both ends know RFC 7383
	hashes        []uint16 // RFC 7427, of the other end

	suite          suite
	keys           *ikeKeys
	in, out        *protection
	ni, nr         []byte
	dh             *keyPair
	initSent       []byte // IKE_SA_INIT as we sent it, until authenticated
	initGot        []byte
	cookie         []byte
	restarts       int
	reported       string // an unauthenticated error, for when nothing else comes
	remedy         string // of it
	key            initKey
	identity       Identity // of the other end, authenticated
	created, upAt  int64
	heard, sentAt  int64
	rekeyAt, endAt int64
	dueHalfOpen    int64

	children  []*childSA
	tasks     []*task
	pending   *request
	nextOut   uint32
	nextIn    uint32
	last      *response
	gatherIn  gathering // requests
	gatherOut gathering // responses
	firstHash [32]byte  // of the first piece of what is gathered

	next    *ikeSA   // made by the other end's rekeying, not taken over yet
	nextLow []byte   // the lower nonce of that exchange
	early   []uint32 // children that the other end deleted before we heard of them
	prev    *ikeSA   // of a spare one: where the children still are
}

// newSA makes an IKE SA with our SPI and puts it into the tables.
func (e *Engine) newSA(p *peer, initiator bool, s state, spi uint64) *ikeSA {
	e.number++
	sa := &ikeSA{e: e, number: e.number, initiator: initiator, state: s, created: e.now, heard: e.now,
		rekeyAt: Never, endAt: Never, dueHalfOpen: Never}
	if initiator {
		sa.spiI = spi
	} else {
		sa.spiR = spi
	}
	e.list = append(e.list, sa)
	e.bySPI[spi] = sa
	sa.setPeer(p)
	return sa
}

// setPeer says whose the SA is. nil: nobody's any more.
func (sa *ikeSA) setPeer(p *peer) {
	if o := sa.peer; o != nil {
		o.sas = slices.DeleteFunc(o.sas, func(x *ikeSA) bool { return x == sa })
	}
	if p != nil {
		sa.peer = p
		p.sas = append(p.sas, sa)
	}
}

func (sa *ikeSA) spi() uint64 {
	if sa.initiator {
		return sa.spiI
	}
	return sa.spiR
}

// setKeys makes the keys ready for both directions.
func (sa *ikeSA) setKeys(k *ikeKeys) {
	sa.keys = k
	i, r := &protection{suite: sa.suite, e: k.ei, a: k.ai}, &protection{suite: sa.suite, e: k.er, a: k.ar}
	sa.out, sa.in = i, r
	if !sa.initiator {
		sa.out, sa.in = r, i
	}
}

// header begins a message.
func (sa *ikeSA) header(x exchange, id uint32, response bool) header {
	h := header{spiI: sa.spiI, spiR: sa.spiR, exchange: x, id: id}
	if sa.initiator {
		h.flags |= flagInitiator
	}
	if response {
		h.flags |= flagResponse
	}
	return h
}

// low is the lower of an exchange's nonces (RFC 7296 section 2.8.1).
func low(a, b []byte) []byte {
	if bytes.Compare(a, b) < 0 {
		return a
	}
	return b
}

// established starts the clocks of an SA that is up.
func (sa *ikeSA) established() {
	e := sa.e
	sa.state, sa.upAt, sa.dueHalfOpen = stateUp, e.now, Never
	sa.rekeyAt, sa.endAt = e.lifetimes(int64(sa.peer.Lifetime))
	sa.heard, sa.sentAt = e.now, e.now
	sa.dh.wipe()
	sa.dh, sa.initSent, sa.initGot = nil, nil, nil
}

// lifetimes gives the moments at which something that lives for d is rekeyed
// and ends. Both ends draw the first, so that they seldom rekey together.
func (e *Engine) lifetimes(d int64) (rekeyAt, endAt int64) {
	return e.now + d*8/10 + (e.jitter(d)-d*3/4)/5, e.now + d
}

// close tells the other end that the SA ends. why says it to people, notice
// to the other end, if it is not 0.
func (sa *ikeSA) close(why string, notice notifyType) {
	switch sa.state {
	case stateClosing, stateGone:
		return
	case stateInit, stateHalfOpen:
		sa.bury()
		return
	}
	if sa.state == stateUp {
		sa.e.log(sa.event(IKEDown, why, ""))
	}
	sa.removeChildren(why)
	if next := sa.next; next != nil {
		sa.next = nil
		next.close(why, 0)
	}
	sa.dropTasks()
	// What is under way has no one left that waits for it, but its message id
	// is taken: the delete follows its answer.
	if sa.pending != nil {
		sa.pending.task.abandon(sa.e)
		sa.pending.task = &task{kind: taskProbe}
	}
	sa.state = stateClosing
	sa.endAt, sa.rekeyAt = Never, Never
	sa.tasks = []*task{{kind: taskDeleteIKE, notice: notice}}
}

func (sa *ikeSA) removeChildren(why string) {
	for _, c := range slices.Clone(sa.children) {
		c.remove(why)
	}
}

func (sa *ikeSA) dropTasks() {
	for _, t := range sa.tasks {
		t.abandon(sa.e)
	}
	sa.tasks = nil
}

// bury takes the SA out of all tables and wipes its keys. What it answered
// last can still be repeated, for an answer may be lost.
func (sa *ikeSA) bury() {
	if sa.state == stateGone {
		return
	}
	e := sa.e
	sa.removeChildren("the IKE SA has ended")
	sa.dropTasks()
	if sa.pending != nil {
		sa.pending.task.abandon(e)
	}
	if next := sa.next; next != nil {
		sa.next = nil
		next.bury()
	}
	if p := sa.prev; p != nil && p.next == sa {
		p.next = nil
	}
	sa.state = stateGone
	sa.setPeer(nil)
	delete(e.bySPI, sa.spi())
	if e.inits[sa.key] == sa {
		delete(e.inits, sa.key)
	}
	e.dig(sa)
	sa.wipe()
}

func (sa *ikeSA) wipe() {
	sa.keys.wipe()
	sa.dh.wipe()
	sa.gatherIn.drop()
	sa.gatherOut.drop()
	sa.keys, sa.in, sa.out, sa.dh, sa.pending, sa.last = nil, nil, nil, nil, nil, nil
	sa.initSent, sa.initGot, sa.ni, sa.nr = nil, nil, nil, nil
}

// grave holds the last answer of an SA that is gone.
type grave struct {
	spi   uint64
	last  response
	until int64
}

const (
	maxGraves = 1024
	graveTime = 60 * second
)

func (e *Engine) dig(sa *ikeSA) {
	if sa.last == nil {
		return
	}
	if len(e.graves) == maxGraves {
		e.graves = slices.Delete(e.graves, 0, 1)
	}
	e.graves = append(e.graves, &grave{spi: sa.spi(), last: *sa.last, until: e.now + graveTime})
}
