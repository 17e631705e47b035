package ike

import "slices"

type taskKind uint8

const (
	taskAuth        taskKind = iota // IKE_SA_INIT and IKE_AUTH, with a child
	taskChild                       // a new child, or one that replaces old
	taskRekey                       // of the IKE SA
	taskDeleteChild                 // of close
	taskDeleteIKE
	taskProbe // empty: does the peer live?
)

// task is an exchange that we want to begin, or have begun.
type task struct {
	kind      taskKind
	cfg       *Child
	old       *childSA
	close     []*childSA
	spi       uint32 // of the child to come, inbound
	ike       uint64 // our SPI of the IKE SA to come
	ni        []byte
	dh        *keyPair
	group     Group // that the other end asked for
	notice    notifyType
	tries     int
	notBefore int64
}

// abandon gives back what a task holds.
func (t *task) abandon(e *Engine) {
	if t.spi != 0 {
		e.freeChildSPI(t.spi)
	}
	t.dh.wipe()
	t.dh, t.spi = nil, 0
	if t.old != nil {
		t.old.rekeying = false
	}
}

// allTasks lists what is queued and what is under way.
func (sa *ikeSA) allTasks() []*task {
	if sa.pending == nil {
		return sa.tasks
	}
	return append(slices.Clone(sa.tasks), sa.pending.task)
}

// hasTask reports whether a task is for a child.
func (sa *ikeSA) hasTask(k *Child) bool {
	return sa.pending != nil && sa.pending.task.cfg == k || slices.ContainsFunc(sa.tasks, func(t *task) bool { return t.cfg == k })
}

// run begins the next task whose time has come, if none is under way.
func (sa *ikeSA) run() {
	for sa.pending == nil && (sa.state == stateUp || sa.state == stateClosing) {
		i := slices.IndexFunc(sa.tasks, func(t *task) bool { return t.notBefore <= sa.e.now })
		if i < 0 {
			return
		}
		t := sa.tasks[i]
		sa.tasks = slices.Delete(sa.tasks, i, i+1)
		sa.beginTask(t)
	}
}

// beginTask sends a task's request, or drops it if it has become void.
func (sa *ikeSA) beginTask(t *task) {
	switch t.kind {
	case taskChild:
		sa.childBegin(t)
	case taskRekey:
		sa.rekeyBegin(t)
	case taskDeleteChild:
		t.close = slices.DeleteFunc(t.close, func(c *childSA) bool { return c.gone })
		if len(t.close) == 0 {
			return
		}
		d := deletion{protocol: protocolESP}
		for _, c := range t.close {
			d.spis = append(d.spis, c.pub.In)
		}
		sa.request(exchangeInformational, chain{{payloadDelete, d.encode()}}, t)
	case taskDeleteIKE:
		var c chain
		if t.notice != 0 {
			c.notify(t.notice, nil)
		}
		c.add(payloadDelete, (&deletion{protocol: protocolIKE}).encode())
		sa.request(exchangeInformational, c, t)
	case taskProbe:
		sa.request(exchangeInformational, nil, t)
	}
}

// later puts a task off after TEMPORARY_FAILURE; false when it was too often
// (RFC 7296 section 2.25).
func (sa *ikeSA) later(t *task) bool {
	if t.tries++; t.tries > 10 {
		return false
	}
	if t.spi != 0 {
		sa.e.freeChildSPI(t.spi)
	}
	t.dh.wipe()
	t.dh, t.spi = nil, 0
	t.notBefore = sa.e.now + sa.e.jitter(int64(sa.e.cfg.RetryAfter))
	sa.tasks = append(sa.tasks, t)
	return true
}
