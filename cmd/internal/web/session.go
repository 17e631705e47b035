//go:build !noweb

package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"io"
	"sync"
	"time"

	"spigate/configs"
)

// Bounds of sessions.
const (
	maxSessions   = 64
	maxOfUser     = 16
	absoluteLimit = 12 * time.Hour // whatever is done in it
)

// session is a browser that somebody has logged in with.
type session struct {
	user        account
	token       string // that the forms of its pages carry
	began, used time.Time
	notice      string // for the next page
	streams     int
}

// sessions are known by the hash of what the browser's cookie says: whoever
// reads the daemon's memory, or times the look-up, learns no id.
type sessions struct {
	now    func() time.Time
	random io.Reader

	mu   sync.Mutex
	idle time.Duration
	byID map[[sha256.Size]byte]*session
}

// secret returns 256 random bits.
func (s *sessions) secret() (string, error) {
	var b [32]byte
	_, err := io.ReadFull(s.random, b[:])
	return base64.RawURLEncoding.EncodeToString(b[:]), err
}

// begin makes a session and returns the cookie's value. If there are too many,
// the one that nobody has used for longest ends.
func (s *sessions) begin(user account) (id string, err error) {
	if id, err = s.secret(); err != nil {
		return "", err
	}
	token, err := s.secret()
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	s.evict(maxOfUser, func(o *session) bool { return o.user.name == user.name })
	s.evict(maxSessions, func(*session) bool { return true })
	now := s.now()
	s.byID[sha256.Sum256([]byte(id))] = &session{user: user, token: token, began: now, used: now}
	return id, nil
}

// evict ends the oldest of some sessions if there are so many.
func (s *sessions) evict(most int, of func(*session) bool) {
	var oldest [sha256.Size]byte
	var at time.Time
	count := 0
	for id, o := range s.byID {
		if !of(o) {
			continue
		}
		if count++; at.IsZero() || o.used.Before(at) {
			oldest, at = id, o.used
		}
	}
	if count >= most {
		delete(s.byID, oldest)
	}
}

// expire ends the sessions whose time is over.
func (s *sessions) expire() {
	for id, o := range s.byID {
		if s.over(o) {
			delete(s.byID, id)
		}
	}
}

func (s *sessions) over(o *session) bool {
	now := s.now()
	return now.Sub(o.used) >= s.idle || now.Sub(o.began) >= absoluteLimit
}

// find returns the session of a cookie, or nil. used says that a person has
// asked for something, and not a page by itself.
func (s *sessions) find(id string, used bool) *session {
	if len(id) != base64.RawURLEncoding.EncodedLen(32) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sha256.Sum256([]byte(id))
	o := s.byID[key]
	if o == nil {
		return nil
	}
	if s.over(o) {
		delete(s.byID, key)
		return nil
	}
	if used {
		o.used = s.now()
	}
	return o
}

// end ends the session of a cookie.
func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, sha256.Sum256([]byte(id)))
}

// keep ends all sessions but those that a function keeps.
func (s *sessions) keep(idle time.Duration, keeps func(account) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle = idle
	for id, o := range s.byID {
		if !keeps(o.user) {
			delete(s.byID, id)
		}
	}
}

// leave puts a notice into a session for its next page; take gets it.
func (s *sessions) leave(o *session, notice string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o.notice = notice
}

func (s *sessions) take(o *session) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	notice := o.notice
	o.notice = ""
	return notice
}

// hasToken compares a form's token with the session's.
func (o *session) hasToken(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(o.token)) == 1
}

// may reports whether a session's user has a role.
func (o *session) may(role configs.WebRole) bool { return o.user.role >= role }
