package netns

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// attack is one kind of hostile input, and what may become of it.
type attack struct {
	name string
	time time.Duration                       // how long it lasts
	run  func(a *arena, ctx context.Context) // until ctx ends
	may  string                              // the answers that there may be
	must map[string]int                      // those that there have to be, and how often at least
	most map[string]int                      // and at most
}

const hoard = 200 // connections, more than either server takes

func attacks(cookie string) []attack {
	return []attack{
		{name: "slow heads, pages", time: attackTime, run: slowHeads((*arena).overTLS), may: "held, cut off", must: map[string]int{"cut off": 100}, most: map[string]int{"held": 64}},
		{name: "slow heads, socket", time: attackTime, run: slowHeads((*arena).dialControl), may: "held, 503, cut off", must: map[string]int{"503": 100}, most: map[string]int{"held": 96}},
		{name: "half a TLS handshake", time: attackTime, run: halfHandshakes, may: "held, cut off", must: map[string]int{"cut off": 100}, most: map[string]int{"held": 64}},
		{name: "huge bodies", time: attackTime, run: hugeBodies, may: "411, 413, 503, cut off", must: map[string]int{"411": 1, "413": 3}},
		{name: "deep and broken", time: attackTime, run: broken, may: "200, 303, 400, 404, 405, 413, 422, 431, 501, 503, 505, cut off", must: map[string]int{"400": 3}},
		{name: "path tricks", time: attackTime, run: pathTricks, may: "301, 303, 307, 400, 403, 404, 405, 431, 501, 505, cut off", must: map[string]int{"404": 3, "400": 2, "431": 1}},
		{name: "forged cookies", time: attackTime, run: forgedCookies, may: "303, 431, cut off", must: map[string]int{"303": 20}},
		{name: "guessed passwords", time: attackTime, run: guesses, may: "401, 429", must: map[string]int{"429": 20}, most: map[string]int{"401": 8}},
		{name: "streams hoarded", time: attackTime, run: streams(cookie), may: "200, 401, 503, cut off", must: map[string]int{"503": 10, "401": 10}, most: map[string]int{"200": 4}},
		{name: "requests, socket", time: attackTime, run: socketFlood, may: "200, 400, 404, 503, cut off", must: map[string]int{"200": 20}},
		{name: "nothing is read, socket", time: 3500 * time.Millisecond, run: neverReads, may: "cut off, 503", must: map[string]int{"cut off": 8}},
	}
}

// slowHeads sends a request's head one line in a while, and never its end.
func slowHeads(dial func(*arena, context.Context) (net.Conn, error)) func(*arena, context.Context) {
	return func(a *arena, ctx context.Context) {
		crowd(hoard, func(int) {
			conn, err := dial(a, ctx)
			if err != nil {
				if ctx.Err() == nil {
					a.tally("cut off")
				}
				return
			}
			defer conn.Close()
			io.WriteString(conn, "GET / HTTP/1.1\r\nHost: ")
			a.held(ctx, conn)
		})
	}
}

// held tallies whether a connection is kept, refused or closed.
func (a *arena) held(ctx context.Context, conn net.Conn) {
	answer := make([]byte, 12)
	_, err := io.ReadFull(conn, answer)
	switch {
	case err == nil:
		a.tally(string(answer[9:]))
	case ctx.Err() != nil:
		a.tally("held")
	default:
		a.tally("cut off")
	}
}

func halfHandshakes(a *arena, ctx context.Context) {
	crowd(hoard, func(int) {
		conn, err := a.dial(ctx, "")
		if err != nil {
			a.tally("cut off")
			return
		}
		defer conn.Close()
		conn.Write([]byte{22, 3, 1, 2, 0, 1, 0}) // a ClientHello of half a kilobyte begins
		a.held(ctx, conn)
	})
}

// zeros is a body of as many as are asked for, slow to make for nobody.
func zeros(n int64) io.Reader {
	return io.LimitReader(strings.NewReader(strings.Repeat("0", int(n))), n)
}

const sentOfHuge = 10 << 20

func hugeBodies(a *arena, ctx context.Context) {
	claimed := "Content-Length: 1073741824\r\n"
	form := "Content-Type: application/x-www-form-urlencoded\r\n"
	chunked := "Transfer-Encoding: chunked\r\n"
	chunk := fmt.Sprintf("%x\r\n", sentOfHuge)
	crowd(4, func(i int) {
		for ctx.Err() == nil {
			a.once(ctx, a.overTLS, io.MultiReader(strings.NewReader(head("POST", "/login", form, claimed)), zeros(sentOfHuge)))
			a.once(ctx, a.overTLS, io.MultiReader(strings.NewReader(head("POST", "/config", form, chunked)+chunk), zeros(sentOfHuge)))
			a.once(ctx, a.dialControl, io.MultiReader(strings.NewReader(head("POST", "/v1/lsn/session/flush", claimed)), zeros(sentOfHuge)))
			a.once(ctx, a.dialControl, io.MultiReader(strings.NewReader(head("POST", "/v1/config/apply?file=x", chunked)+chunk), zeros(sentOfHuge)))
		}
	})
}

func broken(a *arena, ctx context.Context) {
	apply := func(text string) string {
		return head("POST", "/v1/config/apply?file=x", fmt.Sprintf("Content-Length: %d\r\n", len(text))) + text
	}
	deep := 200_000
	socket := []string{
		apply("a = " + strings.Repeat("[", deep)), apply(strings.Repeat("a.", deep) + "b = 1"), apply("a = " + strings.Repeat("{a=", deep)),
		apply(strings.Repeat("[", deep) + strings.Repeat("]", deep)), apply("\xff\x00"), apply(strings.Repeat(`{"a":`, deep)),
		head("GET", "/v1/lsn/session?nat_ip=%zz"), head("GET", "/v1/lsn/session?nat_ip="+strings.Repeat("9.", 4000)),
		head("GET", "/v1/explain?in=lan&frame="+strings.Repeat("f", 12000)), head("GET", "/v1/lsn/session?"+strings.Repeat("nat_port=1&", 1200)),
		head("GET", "/v1/trace?match="+strings.Repeat("(", 8000)), head("POST", "/v1/lsn/session/flush", "Content-Length: 1\r\n") + "{",
		"\x16\x03\x01\x02\x00\x01\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /v1/status HTTP/1.1\r\n\r\n", head("GET", "/v1/status", "Content-Length: 1\r\nContent-Length: 2\r\n"),
	}
	pages := []string{
		head("GET", "/flows?source_ip=%zz&&;="), head("GET", "/login?"+strings.Repeat("next=/&", 1500)),
		head("POST", "/login", "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n") + "name=%zz&",
		head("POST", "/login", "Content-Type: multipart/form-data; boundary=\"\r\nContent-Length: 2\r\n") + "--", "\x00\r\n\r\n",
		head("GET", "/", "Transfer-Encoding: chunked, chunked\r\n"),
	}
	for ctx.Err() == nil {
		crowd(2, func(i int) {
			for _, request := range [][]string{socket, pages}[i] {
				a.once(ctx, []func(context.Context) (net.Conn, error){a.dialControl, a.overTLS}[i], strings.NewReader(request))
			}
		})
	}
}

func pathTricks(a *arena, ctx context.Context) {
	var requests []string
	for _, path := range []string{
		"/..;/config", "/%2e%2e/config", "//config", "/config%00", "/config%00.html", "/assets/../config", "/assets/..%2fconfig", "/assets/%2e%2e%2f",
		"/.%2e/%2e./etc/passwd", "/\\config", "/config;x=1", "/CONFIG", "/config/", "/config/.", "/./config", "*", "config", "http://" + webAddress + "/config",
		"http://evil.example/", "/" + strings.Repeat("a/", 4000), "/" + strings.Repeat("x", 40_000),
	} {
		requests = append(requests, head("GET", path))
	}
	requests = append(requests,
		head("CONNECT", "127.0.0.1:22"), head("TRACE", "/"), head("PUT", "/config"), head("DELETE", "/config"), head("GET", "/", "X: "+strings.Repeat("x", 40_000)+"\r\n"),
		head("GET", "/", strings.Repeat("X: y\r\n", 8000)), "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		head("GET", "/", "Upgrade: h2c\r\nConnection: Upgrade\r\n"), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	for ctx.Err() == nil {
		for _, request := range requests {
			a.once(ctx, a.overTLS, strings.NewReader(request))
		}
	}
}

// forgedCookies asks for a page as nobody's session again and again, over
// connections that stay.
func forgedCookies(a *arena, ctx context.Context) {
	crowd(8, func(i int) {
		for n := 0; ctx.Err() == nil; n++ {
			forged := fmt.Sprintf("%043d", n*8+i)
			if n%10 == 9 {
				forged = strings.Repeat("x", 5000) + "; " + strings.Repeat("a=b; ", 500)
			}
			a.once(ctx, a.overTLS, strings.NewReader(head("GET", "/config", "Cookie: __Host-spigate="+forged+"\r\n")))
		}
	})
}

func guesses(a *arena, ctx context.Context) {
	crowd(8, func(i int) {
		for n := 0; ctx.Err() == nil; n++ {
			a.once(ctx, a.overTLS, strings.NewReader(loginForm([]string{"honest", "nobody"}[n%2], fmt.Sprint("guess ", i, " ", n))))
		}
	})
}

// streams opens streams of pages with a session and without.
func streams(cookie string) func(*arena, context.Context) {
	return func(a *arena, ctx context.Context) {
		crowd(40, func(i int) {
			conn, err := a.dialTLS(ctx, "")
			if err != nil {
				a.tally("cut off")
				return
			}
			defer conn.Close()
			who := "Cookie: " + cookie + "\r\n"
			if i%2 == 1 {
				who = ""
			}
			io.WriteString(conn, head("GET", "/overview/live", who))
			a.held(ctx, conn)
			<-ctx.Done()
		})
	}
}

func socketFlood(a *arena, ctx context.Context) {
	crowd(16, func(i int) {
		for ctx.Err() == nil {
			a.once(ctx, a.dialControl, strings.NewReader(head("GET", []string{"/v1/drops", "/v1/status", "/metrics", "/v1/lsn/session"}[i%4], "Connection: close\r\n")))
		}
	})
}

// neverReads asks more and more over one connection and fetches no answer.
func neverReads(a *arena, ctx context.Context) {
	crowd(24, func(int) {
		conn, err := a.dialControl(ctx)
		if err != nil {
			a.tally("cut off")
			return
		}
		defer conn.Close()
		if conn.SetWriteDeadline(time.Now().Add(10*time.Second)) != nil {
			return
		}
		request := head("GET", "/v1/drops")
		for err == nil {
			_, err = io.WriteString(conn, request)
		}
		if ctx.Err() == nil {
			a.tally("cut off")
		}
	})
}
