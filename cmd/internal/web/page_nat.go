//go:build !noweb

package web

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"spigate/cmd/internal/control"
)

func (p *site) poolsPage() page {
	return page{path: "/pools", title: "LSN pools", menu: "Address sharing", template: "pools", refresh: 10, get: p.pools, post: p.clearLSN}
}

// pools are the address pools and who uses them.
type pools struct {
	Pools   []control.LSNPool
	Groups  []control.LSNGroup
	Clients []control.LSNClient
	Stat    control.LSNStat
}

func (p *site) pools(r *request) (any, error) {
	b := r.backend
	return pools{b.LSNPools(), b.LSNGroups(), b.LSNClients(), b.LSNStat(control.Filter{})}, nil
}

// clearLSN sets the counters of the NAT to zero.
func (p *site) clearLSN(r *request) (outcome, error) {
	if action := r.PostForm.Get("action"); action != "clear" {
		return outcome{}, unknownAction(action)
	}
	r.backend.ClearLSNStat(control.Filter{})
	return outcome{to: "/pools", notice: "The counters of the NAT begin at zero again."}, nil
}

func unknownAction(action string) error {
	return &control.Error{Message: fmt.Sprintf("there is no action %q here", action), Code: control.CodeBadRequest}
}

func (p *site) subscribersPage() page {
	return page{path: "/subscribers", title: "Subscribers", menu: "Address sharing", template: "subscribers", get: p.subscribers, post: p.flushLSN}
}

// maxSubscribers bounds how many are told apart for one page.
const maxSubscribers = 16384

// subscribers are those with the most sessions.
type subscribers struct {
	Form  url.Values
	Rows  []*subscriber
	All   int  // that there are
	Cut   bool // there are more sessions or subscribers than were looked at
	Names []control.LSNClient
}

// subscriber is one with what it has.
type subscriber struct {
	IP              netip.Addr
	TD              uint16
	TCP, UDP, Other uint64
	ESP             uint64
	NAT             []netip.Addr
}

// Sessions is how many a subscriber has of the NAT.
func (s *subscriber) Sessions() uint64 { return s.TCP + s.UDP + s.Other }

type subscriberKey struct {
	ip netip.Addr
	td uint16
}

func (p *site) subscribers(r *request) (any, error) {
	f, err := r.filter(control.BySourceIP, control.ByClient, control.ByNetwork, control.ByTD)
	if err != nil {
		return nil, err
	}
	out := subscribers{Form: r.Form, Names: r.backend.LSNClients()}
	found := map[subscriberKey]*subscriber{}
	of := func(ip netip.Addr, td uint16, nat netip.Addr) *subscriber {
		s := found[subscriberKey{ip, td}]
		if s == nil && len(found) < maxSubscribers {
			s = &subscriber{IP: ip, TD: td}
			found[subscriberKey{ip, td}] = s
		}
		if s == nil {
			out.Cut = true
			return &subscriber{}
		}
		if len(s.NAT) < 4 && !slices.Contains(s.NAT, nat) {
			s.NAT = append(s.NAT, nat)
		}
		return s
	}
	sessions, err := r.backend.LSNSessions(f)
	if err != nil {
		return nil, err
	}
	walked := 0
	for row := range control.Passing(f, sessions) {
		if walked++; walked > maxWalk {
			out.Cut = true
			break
		}
		of(row.SubscriberIP, row.SubscriberTD, row.NATIP).count(row.Protocol)
	}
	tunnels, err := r.backend.IPsecSessions(f)
	if err != nil {
		return nil, err
	}
	for row := range control.Passing(f, tunnels) {
		of(row.SourceIP, row.TD, row.NATIP).ESP++
	}
	for _, s := range found {
		out.Rows = append(out.Rows, s)
	}
	out.All = len(out.Rows)
	slices.SortFunc(out.Rows, func(a, b *subscriber) int {
		return cmp.Or(cmp.Compare(b.Sessions(), a.Sessions()), cmp.Compare(b.ESP, a.ESP), a.IP.Compare(b.IP), cmp.Compare(a.TD, b.TD))
	})
	out.Rows = out.Rows[:min(len(out.Rows), maxRows)]
	return out, nil
}

func (s *subscriber) count(protocol string) {
	switch protocol {
	case "TCP":
		s.TCP++
	case "UDP":
		s.UDP++
	default:
		s.Other++
	}
}

// flushLSN ends the sessions of a subscriber. Without one it does nothing: the
// command line is the place for a flush of everything.
func (p *site) flushLSN(r *request) (outcome, error) {
	if action := r.PostForm.Get("action"); action != "flush" {
		return outcome{}, unknownAction(action)
	}
	f, err := r.filter(control.BySourceIP, control.ByTD)
	if err == nil && !f.SourceIP.IsValid() {
		err = &control.Error{Message: "whose sessions? Give the address of a subscriber", Code: control.CodeBadRequest}
	}
	if err != nil {
		return outcome{}, err
	}
	done, err := r.backend.FlushLSN(f)
	if err != nil {
		return outcome{}, err
	}
	return outcome{to: "/subscribers", notice: fmt.Sprintf("%s: %d sessions and %d mappings are gone.", f.SourceIP, done.Sessions, done.Mappings)}, nil
}

func (p *site) ipsecPage() page {
	return page{path: "/ipsec", title: "IPsec ALG", menu: "Address sharing", template: "ipsec", get: p.ipsec, post: p.ipsecDo,
		refresh: 5, live: "/ipsec/live", every: time.Second}
}

// ipsec is what the IPsec ALG has.
type ipsec struct {
	Form     url.Values
	Stat     control.IPsecStat
	Gates    []control.IPsecGate // locks that are held or waited for, or with open gates
	Sessions []control.IPsecSession
	More     bool
}

func (p *site) ipsec(r *request) (any, error) {
	f, err := r.filter(control.FiltersOfIPsec()...)
	if err != nil {
		return nil, err
	}
	out := ipsec{Form: r.Form}
	if out.Stat, err = r.backend.IPsecStat(""); err != nil {
		return nil, err
	}
	gates, err := r.backend.IPsecGates(f)
	if err != nil {
		return nil, err
	}
	for g := range control.Passing(f, gates) {
		if out.More = len(out.Gates) == maxRows; out.More {
			break
		}
		out.Gates = append(out.Gates, g)
	}
	sessions, err := r.backend.IPsecSessions(f)
	if err != nil {
		return nil, err
	}
	for s := range control.Passing(f, sessions) {
		if len(out.Sessions) == maxRows {
			out.More = true
			break
		}
		out.Sessions = append(out.Sessions, s)
	}
	slices.SortFunc(out.Gates, func(a, b control.IPsecGate) int {
		return cmp.Or(cmp.Compare(a.TD, b.TD), a.NATIP.Compare(b.NATIP), a.DestIP.Compare(b.DestIP))
	})
	slices.SortFunc(out.Sessions, func(a, b control.IPsecSession) int {
		return cmp.Or(cmp.Compare(a.TD, b.TD), a.SourceIP.Compare(b.SourceIP), a.DestIP.Compare(b.DestIP), cmp.Compare(a.SPIIn, b.SPIIn))
	})
	return out, nil
}

// ipsecDo flushes sessions, or clears the counters.
func (p *site) ipsecDo(r *request) (outcome, error) {
	switch action := r.PostForm.Get("action"); action {
	case "clear":
		_, err := r.backend.ClearIPsecStat("", control.ClearFull)
		return outcome{to: "/ipsec", notice: "The counters of the IPsec ALG begin at zero again."}, err
	case "flush":
		f, err := r.filter(control.FiltersOfIPsecFlush()...)
		if err == nil && !f.SourceIP.IsValid() && !f.DestIP.IsValid() {
			err = &control.Error{Message: "whose sessions? Give the address of a client, of a server, or both", Code: control.CodeBadRequest}
		}
		if err != nil {
			return outcome{}, err
		}
		done, err := r.backend.FlushIPsec(f)
		return outcome{to: "/ipsec", notice: fmt.Sprintf("%s: %d ESP sessions, %d IKE sessions and %d messages that waited are gone.",
			whose(f), done.ESPSessions, done.IKESessions, done.HeldMessages)}, err
	default:
		return outcome{}, unknownAction(action)
	}
}

func whose(f control.Filter) string {
	var of []string
	for _, a := range []netip.Addr{f.SourceIP, f.DestIP} {
		if a.IsValid() {
			of = append(of, a.String())
		}
	}
	return strings.Join(of, " with ")
}
