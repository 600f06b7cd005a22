package sim

import (
	"math"
	"math/bits"
	"time"
)

// random is a splitmix generator (Steele, Lea, Flood 2014).
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// float returns a number from 0 to below 1.
func (r *random) float() float64 { return float64(r.next()>>11) / (1 << 53) }

// below returns a number from 0 to below n.
func (r *random) below(n int) int {
	hi, _ := bits.Mul64(r.next(), uint64(n))
	return int(hi)
}

// two returns two numbers from 0 to below n, different ones if it can.
func (r *random) two(n int) (a, b int) {
	a = r.below(n)
	if n == 1 {
		return a, a
	}
	return a, (a + 1 + r.below(n-1)) % n
}

// exponential returns a time of an exponential distribution.
func (r *random) exponential(mean float64) time.Duration {
	return time.Duration(-mean * math.Log(1-r.float()))
}

// lognormal returns a time of a lognormal distribution.
func (r *random) lognormal(median, sigma float64) time.Duration {
	g := math.Sqrt(-2*math.Log(1-r.float())) * math.Cos(2*math.Pi*r.float())
	return time.Duration(median * math.Exp(sigma*g))
}
