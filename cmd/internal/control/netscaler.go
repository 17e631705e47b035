package control

import (
	"context"
	"iter"
	"net/http"
)

// NetScaler is the part of a Backend that lists the running configuration in
// NetScaler's commands.
type NetScaler interface {
	NetScalerConfig() []NetScalerLine
}

// NetScalerLine is a row of "list netscaler", "list lsn" and "list ipsecalg": a
// command, in an order in which they can be typed.
type NetScalerLine struct {
	Kind    string `json:"kind"`    // of the object: lsn pool
	Name    string `json:"name"`    // of it; "" for what has none
	Command string `json:"command"` // with # in front: what no command can say
}

func (NetScalerLine) passes(*Filter) bool { return true }

const pathNetScaler = "/v1/netscaler/config"

// netScaler adds the path of NetScaler.
func (s *Server) netScaler(mux *http.ServeMux) {
	mux.Handle(pathNetScaler, view(s, nil, plain(func() []NetScalerLine { return s.backend.NetScalerConfig() })))
}

// NetScalerConfig yields the running configuration in NetScaler's commands.
func (c *Client) NetScalerConfig(ctx context.Context) iter.Seq2[NetScalerLine, error] {
	return ask[NetScalerLine](ctx, c, pathNetScaler, Filter{})
}
