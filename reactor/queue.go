package reactor

import "sync"

// Queue hands values from any goroutine to one loop: a thread queue. The loop
// takes all that have gathered as one batch, in the order of Put, and is
// woken once per batch.
type Queue[T any] struct {
	// Immutable after NewQueue.
	loop     *Loop
	capacity int
	handle   func(batch []T)

	mu     sync.Mutex // guards everything below
	values []T
	spare  []T // the last batch's memory, empty
	posted bool
}

// NewQueue returns a queue of at most capacity values in front of l. handle
// runs on the loop; the batch is valid until it returns.
func NewQueue[T any](l *Loop, capacity int, handle func(batch []T)) *Queue[T] {
	return &Queue[T]{loop: l, capacity: max(capacity, 1), handle: handle}
}

// Put adds a value. It never blocks: it fails with ErrQueueFull, or with
// ErrLoopClosed once the loop has stopped. What was put without an error
// reaches handle, also when the loop stops right after.
func (q *Queue[T]) Put(v T) error {
	q.mu.Lock()
	if len(q.values) >= q.capacity {
		q.mu.Unlock()
		return ErrQueueFull
	}
	if !q.posted {
		if err := q.loop.enqueue(q); err != nil {
			q.mu.Unlock()
			return err
		}
		q.posted = true
	}
	q.values = append(q.values, v)
	q.mu.Unlock()
	q.loop.wake()
	return nil
}

// Len returns the number of values that wait.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.values)
}

// run takes the batch. It is called on the loop.
func (q *Queue[T]) run() {
	q.mu.Lock()
	batch := q.values
	q.values, q.spare = q.spare, nil
	q.posted = false
	q.mu.Unlock()

	q.handle(batch)

	clear(batch)
	q.mu.Lock()
	q.spare = batch[:0]
	q.mu.Unlock()
}
