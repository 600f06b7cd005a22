package reactor

import (
	"math/bits"
	"sync"
)

const (
	minClassBits = 12 // the smallest buffer: 4 KiB
	maxClassBits = 26 // the largest: 64 MiB
	classes      = maxClassBits - minClassBits + 1

	// keepPerClass is how many bytes of free buffers a class keeps at most.
	keepPerClass = 4 << 20

	// DefaultBufferLimit is the default ceiling of a BufferPool, in bytes.
	DefaultBufferLimit = 1 << 30
)

// BufferPool lends buffers of size classes, powers of two from 4 KiB to
// 64 MiB, up to a ceiling on all that is lent at a time. Connections borrow
// one while they hold half a frame or unsent output, so an idle connection
// holds none. Safe for concurrent use; several servers may share one.
type BufferPool struct {
	// Immutable after NewBufferPool.
	limit int64

	mu   sync.Mutex // guards everything below
	free [classes][][]byte
	lent int64
}

// NewBufferPool returns a pool that lends at most limit bytes at a time;
// 0 means DefaultBufferLimit.
func NewBufferPool(limit int64) *BufferPool {
	if limit <= 0 {
		limit = DefaultBufferLimit
	}
	return &BufferPool{limit: limit}
}

// Lent returns how many bytes are lent at the moment.
func (p *BufferPool) Lent() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lent
}

// get returns an empty buffer with room for n bytes. It fails with
// ErrNoBuffers at the ceiling, and for n beyond the largest class.
func (p *BufferPool) get(n int) ([]byte, error) {
	class := classOf(n)
	if class >= classes {
		return nil, ErrNoBuffers
	}
	size := int64(1) << (class + minClassBits)
	p.mu.Lock()
	if p.lent+size > p.limit {
		p.mu.Unlock()
		return nil, ErrNoBuffers
	}
	p.lent += size
	var b []byte
	if free := p.free[class]; len(free) > 0 {
		b = free[len(free)-1]
		free[len(free)-1] = nil
		p.free[class] = free[:len(free)-1]
	}
	p.mu.Unlock()
	if b == nil {
		b = make([]byte, 0, size)
	}
	return b, nil
}

// put takes back a buffer that get returned; nil is allowed.
func (p *BufferPool) put(b []byte) {
	if b == nil {
		return
	}
	class := classOf(cap(b))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lent -= int64(cap(b))
	if (len(p.free[class])+1)*cap(b) <= keepPerClass {
		p.free[class] = append(p.free[class], b[:0])
	}
}

// grow returns a buffer with the content of b and room for n more bytes, and
// takes back b if it is another one. On an error b is as it was.
func (p *BufferPool) grow(b []byte, n int) ([]byte, error) {
	if cap(b)-len(b) >= n {
		return b, nil
	}
	bigger, err := p.get(len(b) + n)
	if err != nil {
		return b, err
	}
	bigger = append(bigger, b...)
	p.put(b)
	return bigger, nil
}

// classOf returns the smallest class that holds n bytes.
func classOf(n int) int {
	if n <= 1<<minClassBits {
		return 0
	}
	return bits.Len(uint(n-1)) - minClassBits
}
