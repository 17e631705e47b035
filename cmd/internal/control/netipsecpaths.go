package control

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"slices"
)

// The paths of NetIPsec.
const (
	pathNetIPsecSAs       = "/v1/net/ipsec/sa"
	pathNetIPsecSelectors = "/v1/net/ipsec/selector"
	pathNetIPsecPeers     = "/v1/net/ipsec/peer"
	pathNetIPsecStats     = "/v1/net/ipsec/stat"

	pathNetIPsecFlush         = "/v1/net/ipsec/sa/flush"
	pathNetIPsecRekeyPeer     = "/v1/net/ipsec/peer/rekey"
	pathNetIPsecRekeySelector = "/v1/net/ipsec/selector/rekey"
	pathNetIPsecInitiate      = "/v1/net/ipsec/selector/initiate"
)

// netIPsec adds the paths of NetIPsec.
func (s *Server) netIPsec(mux *http.ServeMux) {
	b := s.backend
	mux.Handle(pathNetIPsecSAs, view(s, FiltersOfNetIPsecSAs(), func(f Filter) (iter.Seq[NetIPsecSA], error) {
		if err := s.knownTunnel(f); err != nil {
			return nil, err
		}
		return slices.Values(b.NetIPsecSAs()), nil
	}))
	mux.Handle(pathNetIPsecSelectors, setting(s, nounSelector, b.NetIPsecSelectors, FiltersOfNetIPsecSelectors()...))
	mux.Handle(pathNetIPsecPeers, setting(s, nounPeer, b.NetIPsecPeers, FiltersOfObjects()...))
	mux.Handle(pathNetIPsecStats, view(s, FiltersOfObjects(), plain(b.NetIPsecStats)))
	mux.Handle(pathNetIPsecFlush, operation(s, pathNetIPsecFlush, FiltersOfNetIPsecFlush(), func(f Filter) (NetIPsecAsked, error) {
		if err := s.knownTunnel(f); err != nil {
			return NetIPsecAsked{}, err
		}
		return b.FlushNetIPsec(f)
	}))
	for path, do := range map[string]func(Filter) (NetIPsecAsked, error){
		pathNetIPsecRekeyPeer:     ofOne(nounPeer, objectsOf(b.NetIPsecPeers), b.RekeyNetIPsecPeer),
		pathNetIPsecRekeySelector: ofOne(nounSelector, objectsOf(b.NetIPsecSelectors), b.RekeyNetIPsecSelector),
		pathNetIPsecInitiate:      ofOne(nounSelector, objectsOf(b.NetIPsecSelectors), b.InitiateNetIPsec),
	} {
		mux.Handle(path, operation(s, path, []string{ByName, ByTD}, do))
	}
}

// The nouns of refusals.
const (
	nounSelector = "net ipsec selector"
	nounPeer     = "net ipsec peer"
)

// ofOne refuses a request without a name, which would look as if it meant all,
// and one with a name that is not there.
func ofOne(kind string, all func() []object, do func(Filter) (NetIPsecAsked, error)) func(Filter) (NetIPsecAsked, error) {
	return func(f Filter) (NetIPsecAsked, error) {
		if f.Name == "" {
			return NetIPsecAsked{}, &Error{kind + ": a name is missing", CodeBadRequest}
		}
		if err := checkName(kind, f, all()); err != nil {
			return NetIPsecAsked{}, err
		}
		return do(f)
	}
}

// knownTunnel refuses a filter with a selector or peer that is not there: no
// rows would look as if it had no SAs.
func (s *Server) knownTunnel(f Filter) error {
	if err := checkName(nounSelector, Filter{Name: f.Selector, TD: f.TD}, objectsOf(s.backend.NetIPsecSelectors)()); err != nil {
		return err
	}
	return checkName(nounPeer, Filter{Name: f.Peer, TD: f.TD}, objectsOf(s.backend.NetIPsecPeers)())
}

// NetIPsecSAs yields the SAs that pass the filter.
func (c *Client) NetIPsecSAs(ctx context.Context, f Filter) iter.Seq2[NetIPsecSA, error] {
	return ask[NetIPsecSA](ctx, c, pathNetIPsecSAs, f)
}

// NetIPsecSelectors yields the traffic selectors, or the one that Filter.Name
// names.
func (c *Client) NetIPsecSelectors(ctx context.Context, f Filter) iter.Seq2[NetIPsecSelector, error] {
	return ask[NetIPsecSelector](ctx, c, pathNetIPsecSelectors, f)
}

// NetIPsecPeers yields the peers with their IKE SAs.
func (c *Client) NetIPsecPeers(ctx context.Context, f Filter) iter.Seq2[NetIPsecPeer, error] {
	return ask[NetIPsecPeer](ctx, c, pathNetIPsecPeers, f)
}

// NetIPsecStats yields the counters of each traffic domain.
func (c *Client) NetIPsecStats(ctx context.Context, f Filter) iter.Seq2[NetIPsecStat, error] {
	return ask[NetIPsecStat](ctx, c, pathNetIPsecStats, f)
}

// FlushNetIPsec ends the SAs that pass the filter.
func (c *Client) FlushNetIPsec(ctx context.Context, f Filter) (NetIPsecAsked, error) {
	return one(rowsOf[NetIPsecAsked](ctx, c, http.MethodPost, pathNetIPsecFlush, f))
}

// RekeyNetIPsecPeer replaces the IKE SA of the peer that Filter.Name names.
func (c *Client) RekeyNetIPsecPeer(ctx context.Context, f Filter) (NetIPsecAsked, error) {
	return one(rowsOf[NetIPsecAsked](ctx, c, http.MethodPost, pathNetIPsecRekeyPeer, f))
}

// RekeyNetIPsecSelector replaces the SAs of the selector that Filter.Name names.
func (c *Client) RekeyNetIPsecSelector(ctx context.Context, f Filter) (NetIPsecAsked, error) {
	return one(rowsOf[NetIPsecAsked](ctx, c, http.MethodPost, pathNetIPsecRekeySelector, f))
}

// InitiateNetIPsec begins to negotiate SAs for the selector that Filter.Name
// names.
func (c *Client) InitiateNetIPsec(ctx context.Context, f Filter) (NetIPsecAsked, error) {
	return one(rowsOf[NetIPsecAsked](ctx, c, http.MethodPost, pathNetIPsecInitiate, f))
}

// The following see to it that a list without anything is [] and not null.

// MarshalJSON implements json.Marshaler.
func (s NetIPsecSA) MarshalJSON() ([]byte, error) {
	type fields NetIPsecSA
	s.Traffic = present(s.Traffic)
	return json.Marshal(fields(s))
}

// MarshalJSON implements json.Marshaler.
func (s NetIPsecSelector) MarshalJSON() ([]byte, error) {
	type fields NetIPsecSelector
	s.SPIsIn, s.SPIsOut = present(s.SPIsIn), present(s.SPIsOut)
	return json.Marshal(fields(s))
}

// MarshalJSON implements json.Marshaler.
func (p NetIPsecPeer) MarshalJSON() ([]byte, error) {
	type fields NetIPsecPeer
	p.IKESAs = present(p.IKESAs)
	return json.Marshal(fields(p))
}

// MarshalJSON implements json.Marshaler.
func (i NetIPsecIKE) MarshalJSON() ([]byte, error) {
	type fields NetIPsecIKE
	i.Children = present(i.Children)
	return json.Marshal(fields(i))
}

func present[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
