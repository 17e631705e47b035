package ipsec

import "testing"

func TestTombstonesAreBoundedAndExpire(t *testing.T) {
	var s tombstones
	s.init(3)
	key := func(spi uint32) spiKey { return spiKey{addrN, addrY, spi} }
	for spi := range uint32(4) {
		s.add(key(spi), int64(spi))
	}
	if s.has(key(0), 4) || !s.has(key(1), 4) || !s.has(key(3), 4) {
		t.Error("the fourth must push out the first, and it alone")
	}
	s.add(key(2), 100) // prolonged
	life := int64(tombstoneLife)
	if !s.has(key(1), 1+life) || s.has(key(1), 2+life) || !s.has(key(2), 100+life) {
		t.Error("a tombstone lives ten minutes, and not a nanosecond more")
	}
	s.expire(101 + life)
	if len(s.until) != 0 || s.count != 0 {
		t.Errorf("%d left after all have expired", len(s.until))
	}
}
