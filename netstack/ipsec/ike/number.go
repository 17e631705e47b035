package ike

import "fmt"

// Ports of IKE in host byte order (RFC 7296 sections 2 and 2.23).
const (
	Port    = 500
	NATPort = 4500
)

// exchange is an exchange type (RFC 7296 section 3.1).
type exchange uint8

const (
	exchangeInit          exchange = 34
	exchangeAuth          exchange = 35
	exchangeChild         exchange = 36
	exchangeInformational exchange = 37
)

func (x exchange) String() string {
	switch x {
	case exchangeInit:
		return "IKE_SA_INIT"
	case exchangeAuth:
		return "IKE_AUTH"
	case exchangeChild:
		return "CREATE_CHILD_SA"
	case exchangeInformational:
		return "INFORMATIONAL"
	}
	return fmt.Sprintf("exchange %d", uint8(x))
}

// Payload types (RFC 7296 section 3.2, RFC 7383 section 2.5).
const (
	payloadNone     = 0
	payloadSA       = 33
	payloadKE       = 34
	payloadIDi      = 35
	payloadIDr      = 36
	payloadCert     = 37
	payloadCertReq  = 38
	payloadAuth     = 39
	payloadNonce    = 40
	payloadNotify   = 41
	payloadDelete   = 42
	payloadVendor   = 43
	payloadTSi      = 44
	payloadTSr      = 45
	payloadSK       = 46
	payloadConfig   = 47
	payloadEAP      = 48
	payloadFragment = 53
)

// Protocols of proposals, notifies and deletes (RFC 7296 section 3.3.1).
const (
	protocolNone = 0
	protocolIKE  = 1
	protocolAH   = 2
	protocolESP  = 3
)

// notifyType is the type of a notify payload (RFC 7296 section 3.10.1).
type notifyType uint16

const (
	notifyCritical            notifyType = 1
	notifyInvalidSPI          notifyType = 4 // INVALID_IKE_SPI
	notifyMajorVersion        notifyType = 5
	notifyInvalidSyntax       notifyType = 7
	notifyNoProposal          notifyType = 14
	notifyInvalidKE           notifyType = 17
	notifyAuthFailed          notifyType = 24
	notifySinglePair          notifyType = 34
	notifyNoAdditional        notifyType = 35
	notifyTSUnacceptable      notifyType = 38
	notifyTemporary           notifyType = 43
	notifyChildNotFound       notifyType = 44
	notifyFirstStatus         notifyType = 16384
	notifyInitialContact      notifyType = 16384
	notifyNATSource           notifyType = 16388
	notifyNATDestination      notifyType = 16389
	notifyCookie              notifyType = 16390
	notifyTransport           notifyType = 16391
	notifyRekey               notifyType = 16393
	notifyFragmentation       notifyType = 16430 // RFC 7383
	notifySignatureAlgorithms notifyType = 16431 // RFC 7427
)

func (n notifyType) String() string {
	switch n {
	case notifyCritical:
		return "UNSUPPORTED_CRITICAL_PAYLOAD"
	case notifyInvalidSPI:
		return "INVALID_IKE_SPI"
	case notifyMajorVersion:
		return "INVALID_MAJOR_VERSION"
	case notifyInvalidSyntax:
		return "INVALID_SYNTAX"
	case notifyNoProposal:
		return "NO_PROPOSAL_CHOSEN"
	case notifyInvalidKE:
		return "INVALID_KE_PAYLOAD"
	case notifyAuthFailed:
		return "AUTHENTICATION_FAILED"
	case notifySinglePair:
		return "SINGLE_PAIR_REQUIRED"
	case notifyNoAdditional:
		return "NO_ADDITIONAL_SAS"
	case notifyTSUnacceptable:
		return "TS_UNACCEPTABLE"
	case notifyTemporary:
		return "TEMPORARY_FAILURE"
	case notifyChildNotFound:
		return "CHILD_SA_NOT_FOUND"
	}
	return fmt.Sprintf("notify %d", uint16(n))
}

// isError reports whether a notify says that a request failed.
func (n notifyType) isError() bool { return n < notifyFirstStatus }

// Transform types (RFC 7296 section 3.3.2).
const (
	transformCipher    = 1
	transformPRF       = 2
	transformIntegrity = 3
	transformGroup     = 4
	transformESN       = 5
)

// Bounds of what is read. A peer that sends more is refused with
// INVALID_SYNTAX: nothing honest comes near them.
const (
	maxMessage   = 65535
	maxPayloads  = 64
	maxProposals = 64
	maxOptions   = 64 // transforms of a proposal
	maxSelectors = 64
	maxCerts     = 8
	maxDeletes   = 256
	minNonce     = 16 // RFC 7296 section 2.10
	maxNonce     = 256
	maxCookie    = 64
)
