package bucket

// Key is what an entry is found by. It has an entry's first two words with the
// version left out, so that comparing needs no unpacking. It holds no pointer and
// is comparable.
type Key struct {
	addrs uint64
	rest  uint64 // id and tag: proto, ctx, Valid
}

// restMask are the bits of an entry's second word that a key has.
const restMask = 0xffffffff<<idShift | (scopeMask|uint64(Valid))<<tagShift

// MakeKey composes a key. addrs is what the machine reads at the 8 bytes of
// source and destination in the IPv4 header, id what it reads at the 4 bytes of
// the SPI or the ports (ICMP: any number that stands for identifier and type),
// ctx the number of the interface.
func MakeKey(addrs uint64, id uint32, proto, ctx uint8) Key {
	return makeKey(addrs, id, uint32(proto)<<24|uint32(ctx)<<16)
}

// makeKey takes of tag what belongs to a key.
func makeKey(addrs uint64, id, tag uint32) Key {
	return Key{addrs, uint64(id)<<idShift | uint64(tag&scopeMask|Valid)<<tagShift}
}

// Addrs is what MakeKey was given.
func (k Key) Addrs() uint64 { return k.addrs }

// ID is what MakeKey was given.
func (k Key) ID() uint32 { return uint32(k.rest >> idShift) }

// Proto is what MakeKey was given.
func (k Key) Proto() uint8 { return uint8(k.rest >> (tagShift + 24)) }

// Context is what MakeKey was given.
func (k Key) Context() uint8 { return uint8(k.rest >> (tagShift + 16)) }

// scope is the key's part of a tag.
func (k Key) scope() uint32 { return uint32(k.rest>>tagShift) & scopeMask }

// Seed is the secret of a table's hash: drawn at random for each table, told to
// nobody, so that nobody outside can choose flows that share a bucket.
type Seed [2]uint64

// The multipliers of the hash's last steps: odd numbers whose bits look random.
const (
	mix1 = 0x9e3779b97f4a7c15
	mix2 = 0xd6e8feb86659fd93
)

// hash is the key's hash. bucket.h has the same text in C.
func (s *Seed) hash(k Key) uint64 { return spread(s.gather(k)) }

// gather is the NH family of RFC 4418: for two different keys, the seeds under
// which they collide are one in 2^32, whoever chose the keys.
func (s *Seed) gather(k Key) uint64 {
	return uint64(uint32(k.addrs)+uint32(s[0]))*uint64(uint32(k.addrs>>32)+uint32(s[0]>>32)) +
		uint64(k.ID()+uint32(s[1]))*uint64(k.scope()+uint32(s[1]>>32))
}

// spread makes all bits of a hash depend on all that was gathered.
func spread(h uint64) uint64 {
	h = (h ^ h>>32) * mix1
	h = (h ^ h>>29) * mix2
	return h ^ h>>32
}

// first and second are the numbers of a hash's two buckets of n.
func first(h, n uint64) uint64  { return (h & 0xffffffff) * n >> 32 }
func second(h, n uint64) uint64 { return (h >> 32) * n >> 32 }

// preferred is the way of a bucket that a hash's entry takes first. The others
// follow by way ^ 1, ^ 2, ^ 3, so that the first two are in one cache line.
func preferred(h uint64) uint32 { return uint32(h&1) * 2 }
