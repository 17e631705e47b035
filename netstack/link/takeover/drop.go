package takeover

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// A dropState says what there was of tc's on the device.
type dropState struct {
	Qdisc bool `json:"qdisc_added"` // the clsact qdisc is ours

	// QueueLen is the transmit queue length: adding any qdisc to a device
	// without a queue makes the kernel raise it from zero.
	QueueLen int `json:"tx_queue_len"`
}

// Our filters: first in the list, under a number that nobody else is likely
// to take.
const (
	dropPriority = 1
	dropHandle   = 0x5b16
)

// tcActShot is TC_ACT_SHOT: drop the packet.
const tcActShot = 2

// addDrop puts a filter that drops everything on the device's ingress, behind
// the packet tap from which the router reads, and on its egress, which the
// router's own frames do not pass.
func (p *Port) addDrop() error {
	kind, err := p.clsact()
	if err != nil {
		return err
	}
	fresh := p.state.Drop == nil
	if fresh {
		p.state.Drop = &dropState{Qdisc: kind == "", QueueLen: p.link.Attrs().TxQLen}
	}
	if err := p.save(); err != nil {
		return err
	}
	if kind == "" {
		if err := netlink.QdiscAdd(p.clsactQdisc()); err != nil {
			return fmt.Errorf("no clsact qdisc (CONFIG_NET_SCH_INGRESS): %w", err)
		}
		kind = "clsact"
	}
	if err := p.addFilter(netlink.HANDLE_MIN_INGRESS, fresh); err != nil {
		return err
	}
	if kind != "clsact" {
		p.log.Warn("the port has an ingress qdisc of its own, so the kernel can still send there", "device", p.device)
		return nil
	}
	return p.addFilter(netlink.HANDLE_MIN_EGRESS, fresh)
}

// clsact returns the kind of the qdisc on the ingress hook, "" for none:
// clsact, or ingress, which has no egress side.
func (p *Port) clsact() (string, error) {
	list, err := netlink.QdiscList(p.link)
	if err != nil {
		return "", fmt.Errorf("qdiscs: %w", err)
	}
	for _, q := range list {
		if q.Attrs().Parent == netlink.HANDLE_CLSACT {
			return q.Type(), nil
		}
	}
	return "", nil
}

func (p *Port) clsactQdisc() netlink.Qdisc {
	return &netlink.GenericQdisc{
		QdiscType: "clsact",
		QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: p.state.Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
		},
	}
}

// addFilter tries the classifiers that a kernel may have, in the order of how
// little they need: cls_bpf has its own verdict, the others need act_gact. A
// filter of ours that an earlier run left is replaced; fresh says that there
// can be none, so that nobody else's is replaced unseen.
func (p *Port) addFilter(parent uint32, fresh bool) error {
	excl := 0
	if fresh {
		excl = unix.NLM_F_EXCL
	}
	var errs []error
	for _, m := range []struct {
		name string
		add  func() error
	}{
		{"cls_bpf", func() error { return p.bpfFilter(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|excl, parent) }},
		{"cls_matchall", func() error { return addOrReplace(p.matchallFilter(parent), fresh) }},
		{"cls_u32", func() error { return addOrReplace(p.u32Filter(parent), fresh) }},
	} {
		err := m.add()
		if err == nil {
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", m.name, err))
	}
	return fmt.Errorf("the kernel takes no filter that drops everything, so it would forward beside us "+
		"(wanted: cls_bpf, or cls_matchall or cls_u32 with act_gact): %w", errors.Join(errs...))
}

func addOrReplace(f netlink.Filter, fresh bool) error {
	if fresh {
		return netlink.FilterAdd(f)
	}
	return netlink.FilterReplace(f)
}

// bpfFilter adds or deletes a classic BPF program of one instruction whose
// return value is the verdict (direct action). A classic program needs no
// bpf(2) system call, which routers' kernels are often built without.
func (p *Port) bpfFilter(msgType, flags int, parent uint32) error {
	const retK = unix.BPF_RET | unix.BPF_K
	var insn [8]byte // struct sock_filter: code, jt, jf, k
	binary.NativeEndian.PutUint16(insn[0:], retK)
	binary.NativeEndian.PutUint32(insn[4:], tcActShot)
	a := p.filterAttrs(parent)
	req := nl.NewNetlinkRequest(msgType, flags|unix.NLM_F_ACK)
	req.AddData(&nl.TcMsg{
		Family: nl.FAMILY_ALL, Ifindex: int32(a.LinkIndex), Handle: a.Handle, Parent: parent,
		Info: netlink.MakeHandle(a.Priority, nl.Swap16(a.Protocol)),
	})
	req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("bpf")))
	if msgType == unix.RTM_NEWTFILTER {
		options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
		options.AddRtAttr(nl.TCA_BPF_OPS_LEN, nl.Uint16Attr(1))
		options.AddRtAttr(nl.TCA_BPF_OPS, insn[:])
		options.AddRtAttr(nl.TCA_BPF_FLAGS, nl.Uint32Attr(nl.TCA_BPF_FLAG_ACT_DIRECT))
		req.AddData(options)
	}
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

func (p *Port) filterAttrs(parent uint32) netlink.FilterAttrs {
	return netlink.FilterAttrs{
		LinkIndex: p.state.Index, Parent: parent, Handle: dropHandle,
		Priority: dropPriority, Protocol: unix.ETH_P_ALL,
	}
}

func shot() []netlink.Action {
	return []netlink.Action{&netlink.GenericAction{ActionAttrs: netlink.ActionAttrs{Action: netlink.TC_ACT_SHOT}}}
}

func (p *Port) matchallFilter(parent uint32) netlink.Filter {
	return &netlink.MatchAll{FilterAttrs: p.filterAttrs(parent), Actions: shot()}
}

// u32Filter matches any word under an empty mask. u32 numbers its filters by
// itself.
func (p *Port) u32Filter(parent uint32) netlink.Filter {
	a := p.filterAttrs(parent)
	a.Handle = 0
	return &netlink.U32{
		FilterAttrs: a, Actions: shot(),
		Sel: &netlink.TcU32Sel{Nkeys: 1, Flags: netlink.TC_U32_TERMINAL, Keys: []netlink.TcU32Key{{}}},
	}
}

// removeDrop removes our filters, and our qdisc unless somebody else has put
// filters there meanwhile.
func (p *Port) removeDrop() error {
	if p.state.Drop == nil {
		return nil
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_EGRESS, netlink.HANDLE_MIN_INGRESS} {
		if err := p.removeFilter(parent); err != nil {
			return err
		}
	}
	kind, err := p.clsact()
	if err != nil || kind == "" || !p.state.Drop.Qdisc {
		return err
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_EGRESS, netlink.HANDLE_MIN_INGRESS} {
		n, err := p.countFilters(parent)
		if err != nil {
			return err
		}
		if n > 0 {
			p.log.Warn("somebody else uses the clsact qdisc, so it stays", "device", p.device)
			return nil
		}
	}
	if err := netlink.QdiscDel(p.clsactQdisc()); err != nil {
		return fmt.Errorf("remove clsact qdisc: %w", err)
	}
	if p.state.Drop.QueueLen != 0 {
		return nil
	}
	if err := netlink.LinkSetTxQLen(p.link, 0); err != nil {
		return fmt.Errorf("transmit queue length: %w", err)
	}
	return nil
}

// removeFilter removes the filter of whichever classifier it is.
func (p *Port) removeFilter(parent uint32) error {
	if err := p.bpfFilter(unix.RTM_DELTFILTER, 0, parent); err == nil {
		return nil
	}
	if netlink.FilterDel(p.matchallFilter(parent)) == nil {
		return nil
	}
	list, err := netlink.FilterList(p.link, parent)
	if err != nil {
		return nil // no such hook
	}
	for _, f := range list {
		if f.Type() != "u32" || f.Attrs().Priority != dropPriority {
			continue
		}
		if err := netlink.FilterDel(f); err != nil {
			return fmt.Errorf("remove drop filter: %w", err)
		}
	}
	return nil
}

func (p *Port) countFilters(parent uint32) (int, error) {
	list, err := dump(unix.RTM_GETTFILTER, unix.RTM_NEWTFILTER, (&nl.TcMsg{
		Family: nl.FAMILY_ALL, Ifindex: int32(p.state.Index), Parent: parent,
	}).Serialize())
	if err != nil {
		return 0, fmt.Errorf("filters: %w", err)
	}
	return len(list), nil
}
