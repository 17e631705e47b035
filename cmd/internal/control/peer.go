package control

import (
	"context"
	"net"
	"net/http"
	"os/user"
	"strconv"
	"syscall"
)

// Who is at the other end of a connection: the kernel tells (SO_PEERCRED), and
// nobody can claim to be another.

// credentials returns what the kernel says of the process at the other end.
func credentials(conn *net.UnixConn) (cred *syscall.Ucred, ok bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, false
	}
	err = raw.Control(func(fd uintptr) {
		got, bad := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		cred, ok = got, bad == nil
	})
	return cred, ok && err == nil
}

// peerKey is the key of a connection in a request's context.
type peerKey struct{}

// withPeer notes who has connected.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	if c, ok := conn.(*counted); ok {
		conn = c.Conn
	}
	if unix, ok := conn.(*net.UnixConn); ok {
		if cred, ok := credentials(unix); ok {
			return context.WithValue(ctx, peerKey{}, cred.Uid)
		}
	}
	return ctx
}

// askedBy is the name of the user who asks, "uid N" if it has none, or "unknown".
func askedBy(r *http.Request) string {
	uid, ok := r.Context().Value(peerKey{}).(uint32)
	if !ok {
		return "unknown"
	}
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + id
}
