//go:build noweb

package web

import (
	"context"
	"net/http"

	"spigate/configs"
)

// site stands for the pages in a build without them.
type site struct{ server *Server }

func newSite(s *Server) (*site, error) { return &site{s}, nil }

func (*site) set(configs.Web) {}

func (*site) streams(string) bool { return false }

func (*site) knows(*http.Request) bool { return false }

func (*site) run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (p *site) serve(w http.ResponseWriter, _ *http.Request) {
	p.server.plain(w, http.StatusNotFound, "this build has no pages (tag noweb)")
}
