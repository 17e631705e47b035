package control

import "iter"

// Backend is what the daemon shows. Package wire implements it over the
// runtime objects.
//
// Methods are called from many goroutines at once. The loops over a sequence
// are as slow as the reader at the other end of the socket, so a sequence
// must not hold a lock of the packet path while it yields: copy a shard or
// some hundred rows under the lock, let go, then yield them.
//
// The filter is there to save work (skip a shard, look up one address). The
// server applies it again to every row, so a backend may ignore it, but for
// two things: it must return NotFound for a Filter.Client that the
// configuration does not have, and fill the rows' Client field.
type Backend interface {
	IPsecSessions(f Filter) (iter.Seq[IPsecSession], error)
	IPsecGates(f Filter) (iter.Seq[IPsecGate], error)
	LSNSessions(f Filter) (iter.Seq[LSNSession], error)
	Flows(f Filter) (iter.Seq[Flow], error)
	// IPsecStat counts for one ALG profile, or for "" all together. NotFound if
	// there is no such profile.
	IPsecStat(profile string) (IPsecStat, error)
	Drops() []Drop // every reason of the table, in its order, those at zero too
	Version() Version
	Status() Status
	Settings
	Owners
	LSNStats
	LSNWorks
	LTM
	NetScaler
	NetIPsec
	Switches
	Paths
	Explainer
	Tracer
	Capturer
	Meters
	Doctor
	Top
	Operator
	Configurer
	Lifecycle
}

// The paths of the views, and of the operations.
const (
	pathIPsecSessions = "/v1/ipsecalg/session"
	pathIPsecGates    = "/v1/ipsecalg/gate"
	pathLSNSessions   = "/v1/lsn/session"
	pathFlows         = "/v1/flow"
	pathDrops         = "/v1/drops"
	pathVersion       = "/v1/version"
	pathStatus        = "/v1/status"
	pathIPsecStat     = "/v1/ipsecalg/stat"
	pathIPsecProfiles = "/v1/ipsecalg/profile"
	pathLSNClients    = "/v1/lsn/client"
	pathLSNPools      = "/v1/lsn/pool"
	pathLSNGroups     = "/v1/lsn/group"
	pathLSNApps       = "/v1/lsn/appsprofile"
	pathLSNBlocks     = "/v1/lsn/block"
	pathWho           = "/v1/who"
	pathExplain       = "/v1/explain"
	pathLSNStat       = "/v1/lsn/stat"
	pathLSNGroupStat  = "/v1/lsn/group/stat"
	pathLSNPoolStat   = "/v1/lsn/pool/stat"
	pathLSNStatics    = "/v1/lsn/static"
	pathLSNLogStat    = "/v1/lsn/log/stat"
	pathLSNHelperStat = "/v1/lsn/helper/stat"
	pathLSNClear      = "/v1/lsn/stat/clear"

	pathLSNDeterministic = "/v1/lsn/deterministicnat"

	pathIPsecClearBasic = "/v1/ipsecalg/stat/clear-basic"
	pathIPsecClearFull  = "/v1/ipsecalg/stat/clear-full"

	pathIPsecFlush = "/v1/ipsecalg/session/flush"
	pathLSNFlush   = "/v1/lsn/session/flush"
)

// FiltersOfIPsec, FiltersOfLSN and FiltersOfFlow are the filters that the
// views of the same name take; the others take none.
func FiltersOfIPsec() []string {
	return []string{BySourceIP, ByNATIP, ByDestIP, ByClient, ByNetwork, ByTD}
}

// FiltersOfLSN returns the filters of "show lsn session".
func FiltersOfLSN() []string { return append(FiltersOfIPsec(), ByNATPort) }

// FiltersOfFlow returns the filters of "show flow".
func FiltersOfFlow() []string { return []string{BySourceIP, ByNATIP, ByDestIP, ByNetwork, ByTD} }
