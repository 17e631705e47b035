package ipsec

// timed is something that ends by itself: at the first nanosecond after its
// deadline (R22).
type timed interface {
	comparable
	deadline() int64
	place() *int32 // where the agenda notes its row: index + 1, 0 if it has none
}

// agenda orders what has a deadline, earliest first (a binary heap). A row may
// say too early a time, never too late a one: a deadline that moves away with
// each packet costs nothing, and is looked up again when the row comes up.
type agenda[T timed] struct{ rows []agendaRow[T] }

type agendaRow[T timed] struct {
	at   int64
	what T
}

// first returns the earliest time at which something may end.
func (g *agenda[T]) first() int64 {
	if len(g.rows) == 0 {
		return farFuture
	}
	return g.rows[0].at
}

// put enters what, or moves it to its present deadline.
func (g *agenda[T]) put(what T) {
	at := what.deadline()
	i := int(*what.place()) - 1
	if i < 0 {
		i = len(g.rows)
		g.rows = append(g.rows, agendaRow[T]{})
		g.set(i, agendaRow[T]{at, what})
	}
	g.rows[i].at = at
	g.fix(i)
}

// sooner is put for a deadline that may only have come nearer.
func (g *agenda[T]) sooner(what T) {
	i := int(*what.place()) - 1
	if i < 0 || what.deadline() < g.rows[i].at {
		g.put(what)
	}
}

// remove takes what out, if it is in.
func (g *agenda[T]) remove(what T) {
	i := int(*what.place()) - 1
	if i < 0 {
		return
	}
	*what.place() = 0
	last := len(g.rows) - 1
	moved := g.rows[last]
	g.rows[last] = agendaRow[T]{}
	g.rows = g.rows[:last]
	if i < last {
		g.set(i, moved)
		g.fix(i)
	}
	g.shrink()
}

// due returns something whose deadline has passed at now, or the zero value.
// Rows that came up too early are put right on the way; budget counts them.
func (g *agenda[T]) due(now int64, budget *int) (what T) {
	for ; *budget > 0 && now > g.first(); *budget-- {
		at := g.rows[0].what.deadline()
		if now > at {
			*budget--
			return g.rows[0].what
		}
		g.rows[0].at = at
		g.fix(0)
	}
	return what
}

// again looks every deadline up anew, after all of them may have changed.
func (g *agenda[T]) again() {
	for i := range g.rows {
		g.rows[i].at = g.rows[i].what.deadline()
	}
	for i := len(g.rows)/2 - 1; i >= 0; i-- {
		g.down(i)
	}
}

func (g *agenda[T]) set(i int, r agendaRow[T]) {
	g.rows[i] = r
	*r.what.place() = int32(i) + 1
}

func (g *agenda[T]) fix(i int) {
	for i > 0 {
		up := (i - 1) / 2
		if g.rows[up].at <= g.rows[i].at {
			break
		}
		g.swap(i, up)
		i = up
	}
	g.down(i)
}

func (g *agenda[T]) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(g.rows); c++ {
			if g.rows[c].at < g.rows[least].at {
				least = c
			}
		}
		if least == i {
			return
		}
		g.swap(i, least)
		i = least
	}
}

func (g *agenda[T]) swap(i, j int) {
	a, b := g.rows[i], g.rows[j]
	g.set(i, b)
	g.set(j, a)
}

// shrink gives memory back after a flood.
func (g *agenda[T]) shrink() {
	if n := len(g.rows); cap(g.rows) > 1024 && n < cap(g.rows)/4 {
		rows := make([]agendaRow[T], n, cap(g.rows)/2)
		copy(rows, g.rows)
		g.rows = rows
	}
}
