package ike

// informational handles deletes, notifies and the question whether we live
// (RFC 7296 section 1.4).
func (sa *ikeSA) informational(c *content) {
	var out chain
	over := false
	for _, n := range c.notifies {
		if n.kind.isError() {
			sa.e.log(sa.event(Refused, "the other end says "+n.kind.String(), "see what the other end's log says about it"))
		}
	}
	for _, d := range c.deletes {
		switch d.protocol {
		case protocolIKE:
			over = true
		case protocolESP:
			if gone := sa.deleted(d.spis); len(gone) > 0 {
				out.add(payloadDelete, (&deletion{protocol: protocolESP, spis: gone}).encode())
			}
		}
	}
	sa.respond(exchangeInformational, out)
	if !over {
		return
	}
	// Our own rekeying is forgotten; the other end's counts (RFC 7296 section 2.25.2).
	if sa.next != nil {
		sa.adopt(sa.next)
	}
	if sa.state == stateUp {
		sa.e.log(sa.event(IKEDown, "the other end deleted it", ""))
	}
	sa.bury()
}

// deleted removes the children that the other end deletes and returns our
// SPIs of those for the answer: not of those that we are deleting ourselves
// (RFC 7296 section 1.4.1).
func (sa *ikeSA) deleted(spis []uint32) []uint32 {
	var out []uint32
	for _, spi := range spis {
		c := sa.findOut(spi)
		if c == nil {
			sa.tooEarly(spi)
			continue
		}
		if !c.closing || !sa.isDeleting(c) {
			out = append(out, c.pub.In)
		}
		c.remove("the other end deleted it")
	}
	return out
}

// isDeleting reports whether our delete of a child is under way.
func (sa *ikeSA) isDeleting(c *childSA) bool {
	if sa.pending == nil {
		return false
	}
	for _, o := range sa.pending.task.close {
		if o == c {
			return true
		}
	}
	return false
}

// creating reports whether a child of ours is under way: the other end may
// have it already, and its answer be lost.
func (sa *ikeSA) creating() bool { return sa.pending != nil && sa.pending.task.kind == taskChild }

// tooEarly remembers a delete of a child that is not there yet: the answer
// that makes it was overtaken. RFC 7296 says nothing about this case.
func (sa *ikeSA) tooEarly(spi uint32) {
	if sa.creating() && len(sa.early) < maxDeletes {
		sa.early = append(sa.early, spi)
	}
}
