package ipsec

// tombstones remembers inbound SPIs whose session has ended, for ten minutes:
// a server that still sends to a client which is gone must not have its stale
// SPI bound to whoever has the gate open (R69, N14). All live equally long, so
// the ring is in order of expiry; when it is full the oldest gives way.
type tombstones struct {
	until    map[spiKey]int64
	capacity int
	ring     []spiKey // made when first needed
	first    int      // of the oldest
	count    int
}

func (t *tombstones) init(capacity int) {
	t.until = make(map[spiKey]int64)
	t.capacity = capacity
}

// add remembers k. A key that is there already is prolonged in its old place.
func (t *tombstones) add(k spiKey, now int64) {
	if _, ok := t.until[k]; ok {
		t.until[k] = now + int64(tombstoneLife)
		return
	}
	if t.ring == nil {
		t.ring = make([]spiKey, t.capacity)
	}
	if t.count == len(t.ring) {
		t.drop()
	}
	t.ring[(t.first+t.count)%len(t.ring)] = k
	t.count++
	t.until[k] = now + int64(tombstoneLife)
}

// has reports whether k ended less than ten minutes ago.
func (t *tombstones) has(k spiKey, now int64) bool {
	until, ok := t.until[k]
	return ok && now <= until
}

// expire forgets what is older than ten minutes.
func (t *tombstones) expire(now int64) {
	for t.count > 0 && !t.has(t.ring[t.first], now) {
		t.drop()
	}
}

func (t *tombstones) drop() {
	delete(t.until, t.ring[t.first])
	t.first = (t.first + 1) % len(t.ring)
	t.count--
}
