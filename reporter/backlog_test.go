package reporter

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lars.internal/route"
)

// dumbBacklog is the model: a plain list that is searched from its start.
type dumbBacklog struct {
	limit int
	rows  []route.CallStatus
}

func (d *dumbBacklog) put(s route.CallStatus) outcome {
	for i := range d.rows {
		if rowOf(&d.rows[i]) == rowOf(&s) {
			if s.Time >= d.rows[i].Time {
				d.rows[i] = s
			}
			return merged
		}
	}
	if len(d.rows) == d.limit {
		return full
	}
	d.rows = append(d.rows, s)
	return added
}

func TestBacklogEqualsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		b, model := newBacklog(limit), &dumbBacklog{limit: limit}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if rapid.IntRange(0, 5).Draw(t, "kind") == 0 {
				n := rapid.IntRange(0, 25).Draw(t, "remove")
				b.remove(n)
				model.rows = slices.Clone(model.rows[min(n, len(model.rows)):])
			} else {
				s := drawStatus(t)
				if got, want := b.put(s), model.put(s); got != want {
					t.Fatalf("put %+v: outcome %d, want %d", s, got, want)
				}
			}
			checkBacklog(t, b, model)
		}
	})
}

func drawStatus(t *rapid.T) route.CallStatus {
	return route.CallStatus{
		Key:    route.Key{Modid: int32(rapid.IntRange(0, 1).Draw(t, "modid"))},
		Host:   route.Host{IP: uint32(rapid.IntRange(1, 8).Draw(t, "ip")), Port: 1},
		Caller: uint32(rapid.IntRange(0, 1).Draw(t, "caller")),
		Succ:   uint32(rapid.IntRange(0, 1000).Draw(t, "succ")),
		Time:   int64(rapid.IntRange(0, 3).Draw(t, "time")),
	}
}

func checkBacklog(t *rapid.T, b *backlog, model *dumbBacklog) {
	if b.len() != len(model.rows) || len(b.place) != b.len() {
		t.Fatalf("len %d with %d places, want %d", b.len(), len(b.place), len(model.rows))
	}
	got := slices.Concat(b.head(b.len()), []route.CallStatus{})
	if diff := cmp.Diff(slices.Concat(model.rows, []route.CallStatus{}), got); diff != "" {
		t.Fatalf("rows (-want +got):\n%s", diff)
	}
	if got := b.head(3); len(got) != min(3, b.len()) || cap(got) != len(got) {
		t.Fatalf("head(3) has %d rows and room for %d", len(got), cap(got))
	}
}

// A backlog that never becomes empty has to give its memory back all the same.
func TestBacklogMemoryIsBounded(t *testing.T) {
	b := newBacklog(100)
	hosts := manyHosts(100)
	for round := range 1000 {
		for i, h := range hosts {
			b.put(route.CallStatus{Host: h, Caller: uint32(round*100 + i)})
		}
		b.remove(60)
	}
	if got := cap(b.waiting); got > 1000 {
		t.Errorf("room for %d rows, the limit is 100", got)
	}
}
