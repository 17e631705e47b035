package control

import (
	"context"
	"iter"
	"net/http"
)

// LSNWorks is what the NAT has beside it: its log, and helpers for protocols
// that it breaks.
type LSNWorks interface {
	LSNLogStats() []LSNLogStat // in the order of the configuration; none without [log.nat]
	LSNHelperStats() []LSNHelperStat
}

// LSNLogStat is a row of "stat lsn log": one target of the NAT log.
type LSNLogStat struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"` // syslog or ipfix
	Address  string `json:"address"`
	Up       bool   `json:"up"`       // the last attempt to send worked
	Queued   uint64 `json:"queued"`   // records that wait
	Sent     uint64 `json:"sent"`     // records; over UDP nobody knows what arrived
	Lost     uint64 `json:"lost"`     // records that found the queue full, told as gaps
	Messages uint64 `json:"messages"` // datagrams, or writes over TCP
	Bytes    uint64 `json:"bytes"`
	Failures uint64 `json:"failures"` // connections that failed
}

// LSNHelperStat is a row of "stat lsn helper".
type LSNHelperStat struct {
	Name     string            `json:"name"` // ftp or tftp
	TD       uint16            `json:"td"`
	Counters map[string]uint64 `json:"counters"`
}

func (l LSNLogStat) passes(f *Filter) bool    { return f.named(l.Name) }
func (h LSNHelperStat) passes(f *Filter) bool { return f.named(h.Name) && f.in(h.TD) }

func (l LSNLogStat) label() string    { return l.Name }
func (h LSNHelperStat) label() string { return h.Name }

// lsnWorks adds the paths of LSNWorks.
func (s *Server) lsnWorks(mux *http.ServeMux) {
	mux.Handle(pathLSNLogStat, setting(s, "target of the NAT log", s.backend.LSNLogStats))
	mux.Handle(pathLSNHelperStat, setting(s, "helper", s.backend.LSNHelperStats, FiltersOfObjects()...))
}

// LSNLogStats yields the counters of each target of the NAT log.
func (c *Client) LSNLogStats(ctx context.Context, f Filter) iter.Seq2[LSNLogStat, error] {
	return ask[LSNLogStat](ctx, c, pathLSNLogStat, f)
}

// LSNHelperStats yields the counters of each helper.
func (c *Client) LSNHelperStats(ctx context.Context, f Filter) iter.Seq2[LSNHelperStat, error] {
	return ask[LSNHelperStat](ctx, c, pathLSNHelperStat, f)
}
