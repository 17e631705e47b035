package configs

import (
	"crypto/x509"
	"time"
)

// Web is [web]: how [control] http is served, and who may log in there.
type Web struct {
	TLS bool // false on a loopback address alone
	// Chain and Key are the server's certificate, its own first. Without them the
	// daemon makes one in System.StateDir.
	Chain          []*x509.Certificate
	Key            PrivateKey
	SessionTimeout time.Duration // without a request
	Users          []*WebUser    // in the file's order
}

// WebUser is [web.user.NAME].
type WebUser struct {
	Name     string
	Password Secret // a hash of bcrypt in its own form; unknown if it is in a file that was not read
	Role     WebRole
}

// WebRole is what a user of the pages may do.
type WebRole uint8

// The roles.
const (
	WebReadOnly WebRole = iota // looks at everything but secrets
	WebAdmin                   // also flushes, clears and changes the configuration
)

func (r WebRole) String() string { return spell(webRoleWords(), r) }

func webRoleWords() []word[WebRole] {
	return []word[WebRole]{{WebReadOnly, "read_only", nil}, {WebAdmin, "admin", nil}}
}
