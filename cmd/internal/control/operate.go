package control

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// Operator is the part of a Backend that changes something. A filter that
// selects nothing is no error (section 1.3 of the specification); one with a
// client that the configuration does not have is NotFound. Unlike for the
// views, nobody applies the filter again: the Operator must honour all of it.
type Operator interface {
	FlushIPsec(f Filter) (IPsecFlushed, error)
	FlushLSN(f Filter) (LSNFlushed, error)
	// ClearIPsecStat sets counters of the IPsec ALG to zero, of one profile or
	// for "" of all, and returns what they were. NotFound as IPsecStat.
	ClearIPsecStat(profile string, level ClearLevel) (IPsecStat, error)
	// ClearLSNStat sets the counters of the NAT to zero, in the traffic domains
	// that pass, and returns what they were.
	ClearLSNStat(f Filter) LSNStat
}

// ClearLevel says which counters are cleared. What says how things are now is
// no counter, and stays.
type ClearLevel uint8

// The levels, as on a NetScaler.
const (
	ClearBasic ClearLevel = iota // those that "stat ipsecalg" shows without --detail
	ClearFull                    // all
)

// clearing answers a path that clears one level.
func (s *Server) clearing(path string, level ClearLevel) http.Handler {
	return operation(s, path, []string{ByName}, func(f Filter) (IPsecStat, error) {
		return s.backend.ClearIPsecStat(f.Name, level)
	})
}

// ClearIPsecStat sets counters to zero and returns what they were; see
// Operator.
func (c *Client) ClearIPsecStat(ctx context.Context, profile string, level ClearLevel) (IPsecStat, error) {
	path := pathIPsecClearBasic
	if level == ClearFull {
		path = pathIPsecClearFull
	}
	return one(rowsOf[IPsecStat](ctx, c, http.MethodPost, path, Filter{Name: profile}))
}

// IPsecFlushed is the row that answers "flush ipsecalg session": how many went.
type IPsecFlushed struct {
	ESPSessions  uint64 `json:"esp_sessions"`
	IKESessions  uint64 `json:"ike_sessions"`
	HeldMessages uint64 `json:"held_messages"` // phase-2 messages that waited for a lock
}

// LSNFlushed is the row that answers "flush lsn session".
type LSNFlushed struct {
	Sessions uint64 `json:"sessions"`
	Mappings uint64 `json:"mappings"`
}

// FiltersOfIPsecFlush returns the filters of "flush ipsecalg session".
func FiltersOfIPsecFlush() []string { return []string{BySourceIP, ByNATIP, ByDestIP, ByTD} }

// FiltersOfLSNFlush returns the filters of "flush lsn session": those that
// choose mappings, because a mapping goes as a whole.
func FiltersOfLSNFlush() []string {
	return []string{BySourceIP, ByNATIP, ByNATPort, ByClient, ByNetwork, ByTD}
}

// operation answers a path that changes something, with one row. It takes
// POST alone, so that nothing that only looks can change anything. A body is
// refused: what stands there would be taken for a filter by the one who wrote
// it, and the operation would then be done to everything.
func operation[T row](s *Server, path string, allowed []string, do func(Filter) (T, error)) http.Handler {
	return s.operation(path, allowed, func(f Filter) (row, error) { return do(f) })
}

func (s *Server) operation(path string, allowed []string, do func(Filter) (row, error)) http.Handler {
	answer := s.handle(http.MethodPost, allowed, func(f Filter, yield func(row) bool) error {
		done, err := do(f)
		if err == nil {
			s.log.Info("control: operator", "path", path, "filter", readable(f), "done", inJSON(done))
			yield(done)
		}
		return err
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.ContentLength != 0 {
			refuse(w, http.StatusBadRequest, &Error{"filters stand in the address, the body must be empty", CodeBadRequest})
			return
		}
		answer.ServeHTTP(w, r)
	})
}

// readable is a filter as people write it: in a log nobody undoes %2F.
func readable(f Filter) string {
	text := f.Values().Encode()
	if clear, err := url.QueryUnescape(text); err == nil {
		return clear
	}
	return text
}

// inJSON is a row as the client gets it; %v would print pointers as addresses.
func inJSON(row any) string {
	text, err := json.Marshal(row)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// FlushIPsec removes the ESP sessions, gates, locks, held messages and IKE
// sessions that pass the filter.
func (c *Client) FlushIPsec(ctx context.Context, f Filter) (IPsecFlushed, error) {
	return one(rowsOf[IPsecFlushed](ctx, c, http.MethodPost, pathIPsecFlush, f))
}

// FlushLSN removes the NAT mappings that pass the filter, with their sessions.
func (c *Client) FlushLSN(ctx context.Context, f Filter) (LSNFlushed, error) {
	return one(rowsOf[LSNFlushed](ctx, c, http.MethodPost, pathLSNFlush, f))
}

func (IPsecFlushed) passes(*Filter) bool { return true }
func (LSNFlushed) passes(*Filter) bool   { return true }
