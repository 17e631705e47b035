package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"

	"spigate/configs"
)

// What whoever wants to log in is told.
var (
	errWrong = errors.New("wrong name or password")
	errOften = errors.New("too many attempts: wait a minute")
)

// maxPassword is how much of a password bcrypt looks at, in bytes.
const maxPassword = 72

// maxProved bounds the remembered proofs of programs.
const maxProved = 64

// users knows who may log in.
type users struct {
	now      func() time.Time
	attempts attempts
	// turn is held while a hash is computed: one at a time, for each takes a
	// processor for a tenth of a second or more. The thread keeps its priority: at
	// a low one the collector of garbage would wait for it, and packets for that.
	turn chan struct{}
	salt []byte // of proved

	mu     sync.Mutex
	byName map[string]account
	nobody []byte // a hash that no password has, as expensive as the users'
	proved map[[sha256.Size]byte]bool
}

// account is a user, as of one configuration.
type account struct {
	name string
	hash []byte
	role configs.WebRole
}

func newUsers(random io.Reader, now func() time.Time) (*users, error) {
	u := &users{now: now, turn: make(chan struct{}, 1), salt: make([]byte, 32)}
	u.attempts.from = map[netip.Prefix]*bucket{}
	if _, err := io.ReadFull(random, u.salt); err != nil {
		return nil, err
	}
	return u, nil
}

// set replaces all users by those of a configuration.
func (u *users) set(list []*configs.WebUser) {
	var accounts []account
	for _, w := range list {
		accounts = append(accounts, account{w.Name, w.Password.Octets(), w.Role})
	}
	u.replace(accounts)
}

func (u *users) replace(accounts []account) {
	byName, cost := map[string]account{}, bcrypt.MinCost
	for _, a := range accounts {
		byName[a.name] = a
		if c, err := bcrypt.Cost(a.hash); err == nil {
			cost = max(cost, c)
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.byName = byName
	u.nobody = fmt.Appendf(nil, "$2a$%02d$%s", cost, strings.Repeat(".", 53))
	u.proved = map[[sha256.Size]byte]bool{}
}

// any reports whether there is anybody who may log in.
func (u *users) any() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.byName) > 0
}

// named returns the user of a name as of now.
func (u *users) named(name string) (account, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	a, ok := u.byName[name]
	return a, ok
}

// logIn checks a name and a password. It takes as long for a name that there is
// not as for one that there is.
func (u *users) logIn(from netip.Prefix, name, password string) (account, error) {
	if !u.attempts.allow(from, u.now()) {
		return account{}, errOften
	}
	select {
	case u.turn <- struct{}{}:
		defer func() { <-u.turn }()
	default:
		return account{}, errOften
	}
	a, known := u.named(name)
	hash := a.hash
	if !known || len(hash) == 0 {
		u.mu.Lock()
		hash, known = u.nobody, false
		u.mu.Unlock()
	}
	wrong := bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil
	if wrong || !known || len(password) > maxPassword {
		return account{}, errWrong
	}
	return a, nil
}

// program is logIn for what asks again and again: it pays for the hash once.
func (u *users) program(from netip.Prefix, name, password string) error {
	mac := hmac.New(sha256.New, u.salt)
	fmt.Fprintf(mac, "%d %s %s", len(name), name, password)
	proof := [sha256.Size]byte(mac.Sum(nil))
	u.mu.Lock()
	before := u.byName
	proved := u.proved[proof]
	u.mu.Unlock()
	if proved {
		return nil
	}
	if _, err := u.logIn(from, name, password); err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.proved) < maxProved && sameMap(before, u.byName) {
		u.proved[proof] = true
	}
	return nil
}

// sameMap reports whether nobody has replaced the users meanwhile.
func sameMap(a, b map[string]account) bool {
	if len(a) != len(b) {
		return false
	}
	for name, x := range a {
		if y, ok := b[name]; !ok || !x.same(y) {
			return false
		}
	}
	return true
}

// same reports whether nothing about a user has changed.
func (a account) same(b account) bool {
	return a.name == b.name && a.role == b.role && string(a.hash) == string(b.hash)
}
