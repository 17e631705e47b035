package control

import (
	"context"
	"net/http"
	"strconv"
)

// mostNames bounds what is offered to somebody who pressed a key.
const mostNames = 500

// NamesOf are the nouns of which Names knows where their names are.
func NamesOf() []string {
	var out []string
	for noun := range namePaths() {
		out = append(out, noun)
	}
	return out
}

// namePaths are the views in which a noun's names stand.
func namePaths() map[string]string {
	return map[string]string{
		"ipsecalg profile": pathIPsecProfiles,
		"lsn client":       pathLSNClients, "lsn pool": pathLSNPools, "lsn group": pathLSNGroups,
		"lsn appsprofile": pathLSNApps, "lsn static": pathLSNStatics, "lsn log": pathLSNLogStat, "lsn helper": pathLSNHelperStat,
		"ltm virtual": pathLTMConfig + string(KindVirtual), "ltm nat": pathLTMConfig + string(KindNAT),
		"ltm snat": pathLTMConfig + string(KindSNAT), "ltm profile fastl4": pathLTMConfig + string(KindFastL4),
		"net vlan": pathVLAN, "net route": pathRoute, "net arp": pathARP, "switch": pathSwitch,
		"net ipsec selector": pathNetIPsecSelectors, "net ipsec peer": pathNetIPsecPeers,
		"drop reason": pathDrops, "trace": pathTraces, "config revision": pathConfigHistory,
	}
}

// named is what of any row may be its name.
type named struct {
	Name        string  `json:"name"`
	Destination string  `json:"destination"` // of a route; a virtual server has a name first
	Address     string  `json:"address"`     // of a neighbour
	Reason      string  `json:"reason"`
	Number      *uint64 `json:"number"` // of a revision
}

func (n *named) text() string {
	for _, text := range []string{n.Name, n.Reason, n.Destination, n.Address} {
		if text != "" {
			return text
		}
	}
	if n.Number != nil {
		return strconv.FormatUint(*n.Number, 10)
	}
	return ""
}

// Names returns the names that objects of a noun have now, in the order of their
// view and at most 500 of them: what a shell may complete a word to.
func (c *Client) Names(ctx context.Context, noun string) ([]string, error) {
	path, ok := namePaths()[noun]
	for _, kind := range LTMKinds() {
		if !ok && kind.Words() == noun {
			path, ok = pathLTMConfig+string(kind), true
		}
	}
	if !ok {
		return nil, NotFound("noun", noun, NamesOf()...)
	}
	var out []string
	err := c.receive(ctx, http.MethodGet, path, Filter{}, func(read func(any) error) (bool, error) {
		var row named
		if err := read(&row); err != nil {
			return false, err
		}
		if text := row.text(); text != "" {
			out = append(out, text)
		}
		return len(out) < mostNames, nil
	})
	return out, err
}
