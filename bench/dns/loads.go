package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lars.internal/bench/measure"
)

// loadRun is what so many hosts take.
type loadRun struct {
	Hosts    int        `json:"hosts"`
	Services int        `json:"services"`
	Starts   []startRun `json:"starts"`
	Reload   reloadRun  `json:"reload"` // after the last start
}

// startRun is one start of lars-dns.
type startRun struct {
	AnswerSeconds float64 `json:"start_to_first_answer_s"`
	LoadSeconds   float64 `json:"load_s"` // as the service counts it
	CPUSeconds    float64 `json:"cpu_s"`
	ResidentMiB   float64 `json:"resident_mib"`
	HeapMiB       float64 `json:"heap_mib"` // in use, with what the collector has not taken yet
	PeakMiB       float64 `json:"peak_mib"` // resident
}

// reloadRun is a full reload that finds nothing new, with lookups once a
// millisecond before and during it.
type reloadRun struct {
	Seconds    float64 `json:"reload_s"`
	CPUSeconds float64 `json:"cpu_s"`
	PeakMiB    float64 `json:"peak_mib"` // resident, since the start
	Idle       spread  `json:"lookups_when_idle"`
	During     spread  `json:"lookups_during_reload"`
}

// loads measures all sizes, and edits at the least and the largest of them.
func (s *stage) loads(ctx context.Context, amount amounts) ([]loadRun, []editRun, error) {
	var loads []loadRun
	var edits []editRun
	least, largest := slices.Min(amount.sizes), slices.Max(amount.sizes)
	for _, size := range amount.sizes {
		rounds := 0
		if size == least || size == largest {
			rounds = amount.editRounds
		}
		load, more, err := s.load(ctx, size, amount.starts, rounds)
		if err != nil {
			return nil, nil, fmt.Errorf("%d hosts: %w", size, err)
		}
		loads, edits = append(loads, load), append(edits, more...)
	}
	return loads, edits, nil
}

// load measures one size.
func (s *stage) load(ctx context.Context, hosts, starts, editRounds int) (loadRun, []editRun, error) {
	r := loadRun{Hosts: hosts, Services: hosts / hostsPerService}
	progress("loads: inserting %d hosts", hosts)
	db, err := s.database(ctx, hosts, hostsPerService)
	if err != nil {
		return r, nil, err
	}
	defer db.close()
	for range starts - 1 {
		d, err := s.startLoaded(ctx, db, &r)
		if err != nil {
			return r, nil, err
		}
		d.Stop()
	}
	d, err := s.startLoaded(ctx, db, &r)
	if err != nil {
		return r, nil, err
	}
	defer d.Stop()
	if err := r.Reload.measure(ctx, d, db); err != nil {
		return r, nil, fmt.Errorf("reload: %w", err)
	}
	progress("loads: %7d hosts read again in %.2f s, lookups meanwhile p99 %.1f ms", r.Hosts, r.Reload.Seconds, r.Reload.During.P99)
	edits, err := r.edits(ctx, d, db, editRounds)
	return r, edits, err
}

// startLoaded starts a lars-dns and takes the figures of its load. It reads
// everything now, when the version goes back, and at no other time.
func (s *stage) startLoaded(ctx context.Context, db *database, r *loadRun) (*dnsServer, error) {
	began := time.Now()
	d, err := s.startDNS(db, "LARS_DNS_RELOAD_INTERVAL=24h")
	if err != nil {
		return nil, err
	}
	run, err := d.load(ctx, began, r.Hosts)
	if err != nil {
		d.Stop()
		return nil, err
	}
	r.Starts = append(r.Starts, run)
	progress("loads: %7d hosts loaded in %.2f s, %4.0f MiB resident", r.Hosts, run.LoadSeconds, run.ResidentMiB)
	return d, nil
}

// load waits for the first answer, then takes the figures.
func (d *dnsServer) load(ctx context.Context, began time.Time, hosts int) (r startRun, err error) {
	a, err := newAudience(ctx, d.addr, 1, 1)
	if err != nil {
		return r, err
	}
	defer a.stop()
	r.AnswerSeconds = time.Since(began).Seconds()
	cpu, err := d.CPU()
	if err != nil {
		return r, err
	}
	m, err := d.awaitLoads(ctx, 1)
	if err != nil {
		return r, err
	}
	if got := int(m["lars_dns_hosts"]); got != hosts {
		return r, fmt.Errorf("lars-dns has loaded %d hosts of %d", got, hosts)
	}
	mem, err := d.memory()
	if err != nil {
		return r, err
	}
	r.LoadSeconds, r.CPUSeconds = m[fullSeconds], cpu.Seconds()
	r.ResidentMiB, r.PeakMiB, r.HeapMiB = mem.resident, mem.peak, m["go_memstats_heap_inuse_bytes"]/(1<<20)
	return r, nil
}

// measure makes the service read everything again while somebody asks.
func (r *reloadRun) measure(ctx context.Context, d *dnsServer, db *database) error {
	l := newLookups(d, 1, time.Millisecond)
	defer l.stop()
	if err := l.connect(1, func(int) handler { return handler{l.start, l.answer} }); err != nil {
		return err
	}
	if err := pause(ctx, time.Second); err != nil {
		return err
	}
	r.Idle = spreadOf(l.take())
	before, err := d.metrics()
	if err != nil {
		return err
	}
	var after map[string]float64
	cpu, err := d.busy(func() (err error) {
		if err := db.turnBack(ctx); err != nil {
			return err
		}
		after, err = d.awaitLoads(ctx, 2)
		return err
	})
	if err != nil {
		return err
	}
	r.During = spreadOf(l.take())
	mem, err := d.memory()
	if err != nil {
		return err
	}
	r.Seconds, r.CPUSeconds, r.PeakMiB = after[fullSeconds]-before[fullSeconds], cpu.Seconds(), mem.peak
	return l.err()
}

// editRun is what edits of so many services cost, each from one transaction to
// the last push to the one subscriber.
type editRun struct {
	Hosts      int     `json:"hosts"`    // in the database
	Services   int     `json:"services"` // that one edit changes
	Edits      int     `json:"edits"`
	CPUMillis  float64 `json:"server_cpu_ms_per_edit"` // without what idling costs
	IdleMillis float64 `json:"idle_cpu_ms_per_s"`
	ReadMillis float64 `json:"read_ms_per_edit"` // from the new version seen to the new table in use
	Pushed     spread  `json:"all_pushed"`       // since COMMIT returned
}

// edits measures edits of 1, 10 and 1,000 services.
func (r *loadRun) edits(ctx context.Context, d *dnsServer, db *database, rounds int) ([]editRun, error) {
	var runs []editRun
	for _, services := range []int{1, 10, 1000} {
		if rounds == 0 || services > r.Services {
			continue
		}
		e := editRun{Hosts: r.Hosts, Services: services, Edits: rounds}
		if err := e.measure(ctx, d, db); err != nil {
			return nil, fmt.Errorf("edit %d services: %w", services, err)
		}
		runs = append(runs, e)
		progress("edits: %7d hosts, %4d services changed: %6.2f ms of the server, pushed after p50 %3.0f ms", e.Hosts, e.Services, e.CPUMillis, e.Pushed.P50)
	}
	return runs, nil
}

func (e *editRun) measure(ctx context.Context, d *dnsServer, db *database) error {
	a, err := newAudience(ctx, d.addr, 1, e.Services)
	if err != nil {
		return err
	}
	defer a.stop()
	idle, err := d.busy(func() error { return pause(ctx, time.Second) })
	if err != nil {
		return err
	}
	before, err := d.metrics()
	if err != nil {
		return err
	}
	pushed := measure.NewHistogram()
	began := time.Now()
	busy, err := d.busy(func() error {
		for range e.Edits {
			c, arrivals, err := editSeen(ctx, db, a)
			if err != nil {
				return err
			}
			var last time.Duration
			for _, at := range arrivals {
				last = max(last, at.Sub(c.done))
			}
			pushed.RecordValue(int64(last))
		}
		return nil
	})
	if err != nil {
		return err
	}
	took := time.Since(began)
	after, err := d.metrics()
	if err != nil {
		return err
	}
	perEdit := func(d time.Duration) float64 { return d.Seconds() * 1e3 / float64(e.Edits) }
	e.IdleMillis = idle.Seconds() * 1e3
	e.CPUMillis = max(0, perEdit(busy-time.Duration(float64(idle)*took.Seconds())))
	e.ReadMillis = (after[deltaSeconds] - before[deltaSeconds]) * 1e3 / float64(e.Edits)
	e.Pushed = spreadOf(pushed)
	return nil
}
